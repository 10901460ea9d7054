// SPDX-License-Identifier: Apache-2.0
#include "agent/report/text.h"

#include "agent/base/parse.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
