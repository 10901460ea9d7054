// SPDX-License-Identifier: Apache-2.0
//
// A JWS from anywhere, opened with the key of RFC 7515 appendix A.3. Nobody has signed a dokiem record with
// that key, so whatever opens is a forgery; and what is refused must leave nothing behind.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/key.h"
#include "agent/record/ring.h"
#include "agent/record/seal.h"

static const char jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dk_key *key; // read once: the fuzzer runs millions of inputs
    dk_auto_buf struct dk_buf text = dk_buf_make(1 << 16), opened = dk_buf_make(1 << 16),
                              payload = dk_buf_make(1 << 16);
    dk_auto_keys struct dk_keys ring = {0};
    char id[DK_SHA256_TEXT_SIZE];
    struct dk_fault fault = {0};

    if (key == NULL && dk_key_read_public("fixed", jwk, strlen(jwk), &key, NULL) != DK_OK)
        abort();
    if (dk_buf_append(&text, data, size) != DK_OK)
        return 0;

    const char *jws = dk_buf_text(&text);
    enum dk_err err = dk_open(key, DK_TYP_RECORD, jws, size, &opened, &fault);

    if (err == DK_OK || opened.len != 0 || fault.err != err || fault.what[0] == '\0')
        abort();
    if (dk_jws_key_id(jws, size, DK_TYP_RECORD, id, NULL) == DK_OK && strlen(id) != DK_SHA256_TEXT_SIZE - 1)
        abort();
    (void)!dk_jws_payload(jws, size, &payload, NULL);
    (void)!dk_keys_read_public("fuzz", jws, size, &ring, NULL);
    return 0;
}
