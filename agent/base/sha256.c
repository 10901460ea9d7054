// SPDX-License-Identifier: Apache-2.0
#include "agent/base/sha256.h"

#include "agent/base/base64url.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum dk_err dk_sha256(const void *data, size_t len, uint8_t out[static DK_SHA256_SIZE])
{
    size_t size = 0;

    if (EVP_Q_digest(NULL, "SHA256", NULL, data, len, out, &size) != 1 || size != DK_SHA256_SIZE)
        return DK_ERR_INTERNAL;
    return DK_OK;
}

enum dk_err dk_sha256_text(const void *data, size_t len, char out[static DK_SHA256_TEXT_SIZE])
{
    uint8_t hash[DK_SHA256_SIZE] = {0};
    enum dk_err err = dk_sha256(data, len, hash);

    if (err != DK_OK)
        return err;

    dk_auto_buf struct dk_buf text = dk_buf_make(DK_SHA256_TEXT_SIZE - 1);

    err = dk_base64url_encode(hash, sizeof hash, &text);
    if (err == DK_OK)
        memcpy(out, text.data, DK_SHA256_TEXT_SIZE);
    return err;
}

enum dk_err dk_sha256_hex(const void *data, size_t len, char out[static DK_SHA256_HEX_SIZE])
{
    uint8_t hash[DK_SHA256_SIZE] = {0};
    enum dk_err err = dk_sha256(data, len, hash);

    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned)hash[i]);
    return DK_OK;
}
