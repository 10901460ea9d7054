// SPDX-License-Identifier: Apache-2.0
#include "agent/report/text.h"

#include "agent/base/parse.h"

#include <ctype.h>
#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
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
// Where the catalogues of this build are when it runs from its build folder: BUILD/po, for BUILD/agent/dokiem.
static bool build_directory(char out[static PATH_MAX])
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);

    if (len <= 0)
        return false;
    program[len] = '\0';

    char *slash = strrchr(program, '/');

    if (slash == NULL)
        return false;
    *slash = '\0';
    return snprintf(out, PATH_MAX, "%s/../po", program) < PATH_MAX;
}

static bool has_catalogue(const char *directory)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/vi/LC_MESSAGES/dokiem.mo", directory);
    return access(path, R_OK) == 0;
}
#endif

void dk_text_bind(const char *directory)
{
#if DK_NLS
    char beside[PATH_MAX];

    if (!has_catalogue(directory) && build_directory(beside) && has_catalogue(beside))
        directory = beside;
    bindtextdomain("dokiem", directory);
    stand_in_for_missing_locale();
#else
    (void)directory;
#endif
}

const char *dk_text_language(void)
{
    // TRANSLATORS: the code of your language (RFC 5646), as in "vi".
    return _("en");
}

bool dk_text_use_language(const char *language)
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
    return strcmp(dk_text_language(), language) == 0;
}

void dk_text_system_in_english(void)
{
#if DK_NLS
    // Our catalogues have none of the C library's texts.
    bindtextdomain("libc", bindtextdomain("dokiem", NULL));
#endif
}

// Bytes of the clean character that `text` begins with; 0 when it does not.
static size_t clean_length(const char *text, size_t left)
{
    for (size_t count = 1; count <= 4 && count <= left; count++)
        if (dk_text_is_clean(text, count))
            return count;
    return 0;
}

static uint32_t code_of(const char *text, size_t count)
{
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)text[0] & lead[count];

    for (size_t i = 1; i < count; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    return code;
}

static size_t columns_of(uint32_t code)
{
    static const struct {
        uint32_t first, last;
        size_t columns;
    } ranges[] = {{0x300, 0x36f, 0},   {0x200b, 0x200f, 0}, {0xfe00, 0xfe0f, 0},   {0x1100, 0x115f, 2},
                  {0x2e80, 0xa4cf, 2}, {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2},   {0xfe30, 0xfe6f, 2},
                  {0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2}, {0x1f300, 0x1faff, 2}, {0x20000, 0x3fffd, 2}};

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return ranges[i].columns;
    return 1;
}

static size_t columns_within(const char *text, size_t len)
{
    size_t columns = 0;

    while (len > 0) {
        size_t count = clean_length(text, len);

        columns += count > 0 ? columns_of(code_of(text, count)) : 1;
        count = count > 0 ? count : 1;
        text += count;
        len -= count;
    }
    return columns;
}

size_t dk_text_columns(const char *text)
{
    return columns_within(text, strlen(text));
}

// Bytes of the UTF-8 sequence that a lead byte announces, cut at what follows: one '?' for one character.
static size_t dirty_character(const char *text, size_t len)
{
    size_t size = 1;

    while (size < len && size < 4 && ((unsigned char)text[0] & 0xc0) == 0xc0 &&
           ((unsigned char)text[size] & 0xc0) == 0x80)
        size++;
    return size;
}

enum dk_err dk_text_clean(const char *text, size_t len, bool keep_lines, struct dk_buf *out)
{
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < len && err == DK_OK;) {
        size_t size = keep_lines && text[i] == '\n' ? 1 : clean_length(text + i, len - i);

        if (size > 0) {
            err = dk_buf_append(out, text + i, size);
        } else {
            size = dirty_character(text + i, len - i);
            err = dk_buf_append(out, "?", 1);
        }
        i += size;
    }
    return err;
}

enum dk_err dk_text_append_wrapped(struct dk_buf *out, const char *text, size_t at, size_t indent,
                                   size_t columns)
{
    enum dk_err err = DK_OK;
    bool fresh = true; // nothing on this line yet

    for (const char *word = text; *word != '\0' && err == DK_OK;) {
        size_t len = strcspn(word, " "), wide = columns_within(word, len);

        if (!fresh && at + 1 + wide > columns) {
            err = dk_buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
            fresh = true;
        }
        if (err == DK_OK && !fresh)
            err = dk_buf_append(out, " ", 1);
        if (err == DK_OK)
            err = dk_buf_append(out, word, len);
        at += wide + (fresh ? 0 : 1);
        fresh = false;
        word += len;
        word += strspn(word, " ");
    }
    return err;
}

// Puts the digits of an RFC 3339 date in the places that the form of the language has for them.
static void write_date(struct dk_wall when, char out[static DK_DATE_SIZE])
{
    static const char letters[] = "YYYY-MM-DDThh:mm:ss";
    char text[DK_RFC3339_SIZE];
    size_t used[128] = {0};

    dk_wall_rfc3339(when, text);
    // TRANSLATORS: the form of a date, of YYYY, MM, DD, hh, mm and ss.
    snprintf(out, DK_DATE_SIZE, "%s", _("YYYY-MM-DD hh:mm:ss"));
    for (char *at = out; *at != '\0'; at++) {
        const char *place = isalpha((unsigned char)*at) ? strchr(letters, *at) : NULL;

        if (place != NULL)
            *at = text[(size_t)(place - letters) + used[(unsigned char)*at]++];
    }
}

void dk_local_date(struct dk_wall when, char out[static DK_DATE_SIZE])
{
    write_date((struct dk_wall){when.ns + DK_VIETNAM_NS}, out);
}

void dk_utc_date(struct dk_wall when, char out[static DK_DATE_SIZE])
{
    write_date(when, out);
}
