// SPDX-License-Identifier: Apache-2.0
#include "agent/base/language.h"

#include "agent/base/message.h"

#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if DK_NLS
// A small system may not have the locale that the user names. C.UTF-8 with LANGUAGE then gives their
// language.
static void stand_in_for_missing_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *wanted = NULL, *current = setlocale(LC_MESSAGES, NULL);
    char language[16];

    for (size_t i = 0; i < sizeof names / sizeof names[0] && (wanted == NULL || wanted[0] == '\0'); i++)
        wanted = getenv(names[i]);
    if (wanted == NULL || current == NULL || strcmp(current, "C") != 0)
        return;

    size_t len = strcspn(wanted, ".@");

    if (len == 0 || len >= sizeof language || wanted[0] == 'C' || strncmp(wanted, "POSIX", len) == 0)
        return;
    snprintf(language, sizeof language, "%.*s", (int)len, wanted);
    if (setlocale(LC_CTYPE, "C.UTF-8") != NULL && setlocale(LC_MESSAGES, "C.UTF-8") != NULL)
        setenv("LANGUAGE", language, 0);
}
#endif

#if DK_NLS
static bool has_catalogue(const char *directory)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/vi/LC_MESSAGES/dokiem.mo", directory);
    return access(path, R_OK) == 0;
}

// Where the catalogues of this build are when it runs from its build folder: BUILD/po, for BUILD/agent/dokiem and
// BUILD/probes/reference/dokiem-reference.
static bool build_directory(char out[static PATH_MAX])
{
    static const char *const ways[] = {"../po", "../../po"};
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = NULL;

    if (len > 0) {
        program[len] = '\0';
        slash = strrchr(program, '/');
    }
    for (size_t i = 0; slash != NULL && i < sizeof ways / sizeof ways[0]; i++)
        if (snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - program), program, ways[i]) < PATH_MAX &&
            has_catalogue(out))
            return true;
    return false;
}
#endif

void dk_language_bind(const char *directory)
{
#if DK_NLS
    char beside[PATH_MAX];

    if (!has_catalogue(directory) && build_directory(beside))
        directory = beside;
    bindtextdomain("dokiem", directory);
    stand_in_for_missing_locale();
#else
    (void)directory;
#endif
}

const char *dk_language(void)
{
    // TRANSLATORS: the code of your language (RFC 5646), as in "vi".
    return _("en");
}

bool dk_language_use(const char *language)
{
    if (strcmp(language, "en") != 0 && strcmp(language, "vi") != 0)
        return false;
#if DK_NLS
    const char *current = setlocale(LC_MESSAGES, NULL);

    // In the C locale there are no catalogues. Another one is as good as any: LANGUAGE decides.
    if ((current == NULL || strcmp(current, "C") == 0 || strcmp(current, "POSIX") == 0) &&
        setlocale(LC_MESSAGES, "C.UTF-8") == NULL)
        return strcmp(language, "en") == 0;
    setenv("LANGUAGE", language, 1);
    // What is known of the catalogues of another language is forgotten when the domain is bound anew.
    bindtextdomain("dokiem", bindtextdomain("dokiem", NULL));
#endif
    return strcmp(dk_language(), language) == 0;
}

void dk_language_system_in_english(void)
{
#if DK_NLS
    // Our catalogues have none of the C library's texts.
    bindtextdomain("libc", bindtextdomain("dokiem", NULL));
#endif
}
