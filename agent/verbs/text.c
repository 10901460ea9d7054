// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/report/text.h"

// Bytes of the clean character that `text` begins with; 0 when it does not begin with one.
static size_t clean_character(const char *text, size_t len)
{
    for (size_t size = 1; size <= 4 && size <= len; size++)
        if (dk_text_is_clean(text, size))
            return size;
    return 0;
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
        size_t size = keep_lines && text[i] == '\n' ? 1 : clean_character(text + i, len - i);

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

void dk_text_print(const char *text)
{
    dk_auto_buf struct dk_buf clean = dk_buf_make(strlen(text));

    if (dk_text_clean(text, strlen(text), false, &clean) == DK_OK)
        fputs(dk_buf_text(&clean), stdout);
}

void dk_text_print_padded(const char *text, int columns)
{
    int blanks = abs(columns) - (int)dk_text_columns(text);

    printf("%*s%s%*s", columns < 0 && blanks > 0 ? blanks : 0, "", text, columns > 0 && blanks > 0 ? blanks : 0, "");
}

void dk_when_text(struct dk_wall when, char out[static DK_WHEN_SIZE])
{
    static const int64_t vietnam_ns = INT64_C(7) * 3600 * DK_NS_PER_S;
    char text[DK_RFC3339_SIZE];
    bool local = strcmp(dk_text_language(), "vi") == 0;

    dk_wall_rfc3339((struct dk_wall){when.ns + (local ? vietnam_ns : 0)}, text);
    if (local)
        snprintf(out, DK_WHEN_SIZE, "%.2s/%.2s/%.4s %.8s", text + 8, text + 5, text, text + 11);
    else
        snprintf(out, DK_WHEN_SIZE, "%s", text);
}

void dk_rate_text(int64_t rate_bps, char out[static DK_RATE_TEXT_SIZE])
{
    if (rate_bps < 0)
        snprintf(out, DK_RATE_TEXT_SIZE, "-");
    else
        snprintf(out, DK_RATE_TEXT_SIZE, _("%lld.%lld Mb/s"), (long long)(rate_bps / 1000000),
                 (long long)(rate_bps / 100000 % 10));
}
