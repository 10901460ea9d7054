// SPDX-License-Identifier: Apache-2.0
#include "agent/base/parse.h"

#include <string.h>

bool dk_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = text[0] == '-';
    const char *digits = text + (negative ? 1 : 0);
    int64_t value = 0;

    if (digits[0] == '\0' || (digits[0] == '0' && (digits[1] != '\0' || negative)))
        return false;
    for (; *digits != '\0'; digits++) {
        if (*digits < '0' || *digits > '9')
            return false;

        int64_t digit = *digits - '0';

        if (__builtin_mul_overflow(value, INT64_C(10), &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool dk_parse_decimal(const char *text, size_t len, int64_t scale, int64_t min, int64_t max, int64_t *out)
{
    int64_t digits = 0, divisor = 1;
    size_t i = 0, whole = 0, decimals = 0;

    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++, whole++)
        if (__builtin_mul_overflow(digits, INT64_C(10), &digits) ||
            __builtin_add_overflow(digits, (int64_t)(text[i] - '0'), &digits))
            return false;
    if (whole == 0 || (whole > 1 && text[0] == '0'))
        return false;
    if (i < len && text[i] == '.') {
        for (i++; i < len && text[i] >= '0' && text[i] <= '9'; i++, decimals++) {
            if (decimals == 9 || __builtin_mul_overflow(digits, INT64_C(10), &digits) ||
                __builtin_add_overflow(digits, (int64_t)(text[i] - '0'), &digits))
                return false;
            divisor *= 10;
        }
        if (decimals == 0)
            return false;
    }
    if (i != len)
        return false;

    int64_t product = 0;

    if (__builtin_mul_overflow(digits, scale, &product) || product % divisor != 0)
        return false;
    product /= divisor;
    if (product < min || product > max)
        return false;
    *out = product;
    return true;
}

// Length of the UTF-8 sequence at `bytes`, its code point in *code; 0 when it is not valid.
static size_t utf8_sequence(const unsigned char *bytes, size_t len, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t count = 0;

    if (bytes[0] < 0x80)
        count = 1, *code = bytes[0];
    else if ((bytes[0] & 0xe0) == 0xc0)
        count = 2, *code = bytes[0] & 0x1fU;
    else if ((bytes[0] & 0xf0) == 0xe0)
        count = 3, *code = bytes[0] & 0x0fU;
    else if ((bytes[0] & 0xf8) == 0xf0)
        count = 4, *code = bytes[0] & 0x07U;
    if (count == 0 || count > len)
        return 0;
    for (size_t i = 1; i < count; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (bytes[i] & 0x3fU);
    }
    if (*code < smallest[count] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return count;
}

bool dk_text_is_clean(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;

    while (len > 0) {
        uint32_t code = 0;
        size_t count = utf8_sequence(bytes, len, &code);

        if (count == 0 || code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
            (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
            return false;
        bytes += count;
        len -= count;
    }
    return true;
}

void dk_text_cleaned(const char *text, char *out, size_t size)
{
    size_t left = strnlen(text, size - 1), at = 0;

    while (left > 0) {
        size_t count = 1;

        while (count < 4 && count < left && !dk_text_is_clean(text, count))
            count++;
        if (dk_text_is_clean(text, count)) {
            memcpy(out + at, text, count);
        } else {
            count = 1;
            out[at] = '?';
        }
        at += count;
        text += count;
        left -= count;
    }
    out[at] = '\0';
}
