// SPDX-License-Identifier: Apache-2.0
#include "agent/base/base64url.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum dk_err dk_base64url_encode(const void *data, size_t len, struct dk_buf *out)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i += 3) {
        size_t count = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;

        if (count > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (count > 2)
            group |= bytes[i + 2];

        char text[4] = {alphabet[group >> 18 & 63], alphabet[group >> 12 & 63], alphabet[group >> 6 & 63],
                        alphabet[group & 63]};
        enum dk_err err = dk_buf_append(out, text, count + 1);

        if (err != DK_OK)
            return err;
    }
    return DK_OK;
}

// Of each byte the six bits that it stands for; -1 for one that is not of the alphabet.
static const int8_t values[256] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
    -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};

// The `count` - 1 bytes that 2 to 4 characters encode; false when they encode none.
static bool decode_group(const char *text, size_t count, uint8_t bytes[static 3])
{
    uint32_t group = 0;

    for (size_t k = 0; k < 4; k++) {
        int value = k < count ? values[(unsigned char)text[k]] : 0;

        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
    }
    for (int k = 0; k < 3; k++)
        bytes[k] = (uint8_t)(group >> (16 - 8 * k));
    // The bits that no byte uses must be zero, or two texts would mean the same bytes.
    return !(count == 2 && (group & 0xffff) != 0) && !(count == 3 && (group & 0xff) != 0);
}

enum dk_err dk_base64url_decode(const char *text, size_t len, struct dk_buf *out)
{
    uint8_t bytes[3072];
    size_t used = 0;

    if (len % 4 == 1)
        return DK_ERR_DATA;
    for (size_t i = 0; i < len; i += 4) {
        size_t count = len - i < 4 ? len - i : 4;

        if (!decode_group(text + i, count, bytes + used))
            return DK_ERR_DATA;
        used += count - 1;
        if (used + 3 <= sizeof bytes && i + 4 < len)
            continue;

        enum dk_err err = dk_buf_append(out, bytes, used);

        if (err != DK_OK)
            return err;
        used = 0;
    }
    return DK_OK;
}

bool dk_base64url_decode_exact(const char *text, size_t len, void *out, size_t size)
{
    uint8_t *to = out;

    // No memory is asked for: a shortage of it must not pass for a wrong text.
    if (len != DK_BASE64URL_LEN(size))
        return false;
    for (size_t i = 0; i < len; i += 4) {
        size_t count = len - i < 4 ? len - i : 4;
        uint8_t bytes[3];

        if (!decode_group(text + i, count, bytes))
            return false;
        memcpy(to + i / 4 * 3, bytes, count - 1);
    }
    return true;
}
