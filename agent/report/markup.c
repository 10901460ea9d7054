// SPDX-License-Identifier: Apache-2.0
#include "agent/report/markup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/report/text.h"

enum { FORMATTED_MAX = 2048 };

struct dk_markup dk_markup_make(size_t max)
{
    return (struct dk_markup){.out = dk_buf_make(max)};
}

static void append(struct dk_markup *m, const char *text, size_t len)
{
    if (m->err == DK_OK)
        m->err = dk_buf_append(&m->out, text, len);
}

void dk_markup_add(struct dk_markup *m, const char *markup)
{
    append(m, markup, strlen(markup));
}

void dk_markup_addf(struct dk_markup *m, const char *format, ...)
{
    char text[FORMATTED_MAX];
    va_list arguments;

    va_start(arguments, format);

    int len = vsnprintf(text, sizeof text, format, arguments);

    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof text)
        m->err = m->err == DK_OK ? DK_ERR_INTERNAL : m->err; // markup cut in its middle would be another
    else
        append(m, text, (size_t)len);
}

// U+061C, U+200E and U+200F: they have no width, and turn the text after them round.
static bool is_direction_mark(const char *text, size_t len)
{
    return (len == 2 && memcmp(text, "\xd8\x9c", 2) == 0) ||
           (len == 3 && (memcmp(text, "\xe2\x80\x8e", 3) == 0 || memcmp(text, "\xe2\x80\x8f", 3) == 0));
}

// Bytes of the character that `text` begins with, and whether it may be shown.
static size_t character(const char *text, size_t left, bool *clean)
{
    size_t len = 1;

    for (size_t size = 1; size <= 4 && size <= left; size++)
        if (dk_text_is_clean(text, size)) {
            *clean = !is_direction_mark(text, size);
            return size;
        }
    *clean = false;
    while (len < left && len < 4 && ((unsigned char)text[0] & 0xc0) == 0xc0 &&
           ((unsigned char)text[len] & 0xc0) == 0x80)
        len++;
    return len;
}

void dk_markup_text(struct dk_markup *m, const char *text)
{
    static const struct {
        char character;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    size_t left = strlen(text), shown = 0;

    while (left > 0 && m->err == DK_OK) {
        bool clean = false;
        size_t len = character(text, left, &clean);
        const char *entity = clean ? NULL : "?";

        if (shown + len > DK_MARKUP_TEXT_MAX) {
            dk_markup_add(m, "…");
            return;
        }
        for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
            if (text[0] == entities[i].character)
                entity = entities[i].entity;
        append(m, entity != NULL ? entity : text, entity != NULL ? strlen(entity) : len);
        shown += len;
        text += len;
        left -= len;
    }
}

void dk_markup_foreign(struct dk_markup *m, const char *text)
{
    dk_markup_add(m, "<bdi>");
    dk_markup_text(m, text);
    dk_markup_add(m, "</bdi>");
}

void dk_markup_words(struct dk_markup *m, const char *format, ...)
{
    char text[FORMATTED_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dk_markup_text(m, text);
}

void dk_number_text(int64_t value, int64_t scale, int decimals, bool round_up,
                    char out[static DK_NUMBER_SIZE])
{
    int64_t unit = scale, whole = 1;

    for (int i = 0; i < decimals; i++) {
        unit /= 10;
        whole *= 10;
    }
    if (unit < 1)
        unit = 1;

    int64_t digits = value / unit + (round_up && value % unit > 0 ? 1 : 0);
    int64_t rest = digits % whole < 0 ? -(digits % whole) : digits % whole;

    char fraction[24];

    snprintf(fraction, sizeof fraction, "%019" PRId64, rest);
    // TRANSLATORS: the decimal mark of numbers, as in 34.41.
    if (decimals > 0)
        snprintf(out, DK_NUMBER_SIZE, "%s%" PRId64 "%s%s", digits < 0 && digits / whole == 0 ? "-" : "",
                 digits / whole, _("."), fraction + strlen(fraction) - (size_t)decimals);
    else
        snprintf(out, DK_NUMBER_SIZE, "%" PRId64, digits);
}
