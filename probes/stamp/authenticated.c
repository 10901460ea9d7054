// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/authenticated.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/bytes.h"
#include "agent/base/file.h"

enum { COVERED = 96, FILE_MAX_BYTES = 256, TLVS_MAX = 2048 };

_Static_assert(COVERED + DK_STAMP_MAC_SIZE == DK_STAMP_AUTHENTICATED_SIZE, "the HMAC is the end of the packet");

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

enum dk_err dk_stamp_key_read(const char *path, struct dk_stamp_key *out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(FILE_MAX_BYTES);
    struct dk_stamp_key key = {0};
    enum dk_err err = dk_file_read(path, &text, fault);

    if (err != DK_OK)
        return err;

    size_t len = text.len > 0 && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
    bool right = len % 2 == 0 && len / 2 >= DK_STAMP_KEY_MIN && len / 2 <= DK_STAMP_KEY_MAX;

    for (size_t i = 0; i < len && right; i += 2) {
        int high = digit((uint8_t)text.data[i]), low = digit((uint8_t)text.data[i + 1]);

        right = high >= 0 && low >= 0;
        key.data[key.len++] = (uint8_t)(high << 4 | low);
    }
    OPENSSL_cleanse(text.data, text.len);
    if (right)
        *out = key;
    OPENSSL_cleanse(&key, sizeof key);
    if (!right)
        return dk_fail(fault, DK_ERR_DATA, path, "openssl rand -hex 32 makes one",
                       "a key for STAMP is 32 to 128 hexadecimal digits in one line");
    return DK_OK;
}

static bool mac(const uint8_t *data, size_t data_len, const struct dk_stamp_key *key,
                uint8_t out[static DK_STAMP_MAC_SIZE])
{
    uint8_t whole[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (HMAC(EVP_sha256(), key->data, (int)key->len, data, data_len, whole, &len) == NULL || len < DK_STAMP_MAC_SIZE)
        return false;
    memcpy(out, whole, DK_STAMP_MAC_SIZE);
    return true;
}

bool dk_stamp_tlv_mac(uint32_t sequence, const uint8_t *tlvs, size_t len, const struct dk_stamp_key *key,
                      uint8_t out[static DK_STAMP_MAC_SIZE])
{
    uint8_t covered[4 + TLVS_MAX];
    struct dk_writer w = {covered, sizeof covered, false};

    if (len > TLVS_MAX)
        return false;
    dk_put_u32(&w, sequence);
    memcpy(w.at, tlvs, len);
    return mac(covered, 4 + len, key, out);
}

bool dk_stamp_mac_equal(const uint8_t a[static DK_STAMP_MAC_SIZE], const uint8_t b[static DK_STAMP_MAC_SIZE])
{
    return CRYPTO_memcmp(a, b, DK_STAMP_MAC_SIZE) == 0;
}

static bool is_genuine(const uint8_t *data, size_t len, const struct dk_stamp_key *key)
{
    uint8_t expected[DK_STAMP_MAC_SIZE];

    return len >= DK_STAMP_AUTHENTICATED_SIZE && mac(data, COVERED, key, expected) &&
           dk_stamp_mac_equal(expected, data + COVERED);
}

bool dk_stamp_seal_request(const struct dk_stamp_request *request, const struct dk_stamp_key *key,
                           uint8_t out[static DK_STAMP_AUTHENTICATED_SIZE])
{
    struct dk_writer w = {out, COVERED, false};

    dk_put_u32(&w, request->sequence);
    dk_put_zero(&w, 12);
    dk_put_u64(&w, request->timestamp);
    dk_put_u16(&w, request->error_estimate);
    dk_put_u16(&w, request->session);
    dk_put_zero(&w, w.left);
    return mac(out, COVERED, key, out + COVERED);
}

bool dk_stamp_seal_answer(const struct dk_stamp_answer *answer, const struct dk_stamp_key *key,
                          uint8_t out[static DK_STAMP_AUTHENTICATED_SIZE])
{
    struct dk_writer w = {out, COVERED, false};

    dk_put_u32(&w, answer->sequence);
    dk_put_zero(&w, 12);
    dk_put_u64(&w, answer->timestamp);
    dk_put_u16(&w, answer->error_estimate);
    dk_put_u16(&w, answer->session);
    dk_put_zero(&w, 4);
    dk_put_u64(&w, answer->received);
    dk_put_zero(&w, 8);
    dk_put_u32(&w, answer->sender_sequence);
    dk_put_zero(&w, 12);
    dk_put_u64(&w, answer->sender_timestamp);
    dk_put_u16(&w, answer->sender_error_estimate);
    dk_put_zero(&w, 6);
    dk_put_u8(&w, answer->sender_ttl);
    dk_put_zero(&w, w.left);
    return mac(out, COVERED, key, out + COVERED);
}

bool dk_stamp_open_request(const void *data, size_t len, const struct dk_stamp_key *key, struct dk_stamp_request *out)
{
    struct dk_reader r = {data, len, false};

    if (!is_genuine(data, len, key))
        return false;
    out->sequence = dk_get_u32(&r);
    dk_get_skip(&r, 12);
    out->timestamp = dk_get_u64(&r);
    out->error_estimate = dk_get_u16(&r);
    out->session = dk_get_u16(&r);
    return true;
}

bool dk_stamp_open_answer(const void *data, size_t len, const struct dk_stamp_key *key, struct dk_stamp_answer *out)
{
    struct dk_reader r = {data, len, false};

    if (!is_genuine(data, len, key))
        return false;
    out->sequence = dk_get_u32(&r);
    dk_get_skip(&r, 12);
    out->timestamp = dk_get_u64(&r);
    out->error_estimate = dk_get_u16(&r);
    out->session = dk_get_u16(&r);
    dk_get_skip(&r, 4);
    out->received = dk_get_u64(&r);
    dk_get_skip(&r, 8);
    out->sender_sequence = dk_get_u32(&r);
    dk_get_skip(&r, 12);
    out->sender_timestamp = dk_get_u64(&r);
    out->sender_error_estimate = dk_get_u16(&r);
    dk_get_skip(&r, 6);
    out->sender_ttl = dk_get_u8(&r);
    return true;
}
