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

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    if (c == '_')
        return 63;
    return -1;
}

enum dk_err dk_base64url_decode(const char *text, size_t len, struct dk_buf *out)
{
    if (len % 4 == 1)
        return DK_ERR_DATA;
    for (size_t i = 0; i < len; i += 4) {
        size_t count = len - i < 4 ? len - i : 4;
        uint32_t group = 0;

        for (size_t k = 0; k < 4; k++) {
            int value = k < count ? value_of(text[i + k]) : 0;

            if (value < 0)
                return DK_ERR_DATA;
            group = group << 6 | (uint32_t)value;
        }

        uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};

        // The bits that no byte uses must be zero, or two texts would mean the same bytes.
        if ((count == 2 && (group & 0xffff) != 0) || (count == 3 && (group & 0xff) != 0))
            return DK_ERR_DATA;

        enum dk_err err = dk_buf_append(out, bytes, count - 1);

        if (err != DK_OK)
            return err;
    }
    return DK_OK;
}

bool dk_base64url_decode_exact(const char *text, size_t len, void *out, size_t size)
{
    dk_auto_buf struct dk_buf bytes = dk_buf_make(size);

    if (dk_base64url_decode(text, len, &bytes) != DK_OK || bytes.len != size)
        return false;
    memcpy(out, dk_buf_text(&bytes), size);
    return true;
}
