// SPDX-License-Identifier: Apache-2.0
#include "agent/report/text.h"

#include "agent/base/parse.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void dk_text_bind(const char *directory)
{
#if DK_NLS
    bindtextdomain("dokiem", directory);
    stand_in_for_missing_locale();
#else
    (void)directory;
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

enum dk_err dk_text_append_clean(struct dk_buf *out, const char *text)
{
    enum dk_err err = DK_OK;

    for (size_t left = strlen(text); left > 0 && err == DK_OK;) {
        size_t count = clean_length(text, left);

        err = count > 0 ? dk_buf_append(out, text, count) : dk_buf_append(out, "?", 1);
        count = count > 0 ? count : 1;
        text += count;
        left -= count;
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
