// SPDX-License-Identifier: Apache-2.0
#include "agent/record/receipt.h"

#include "agent/base/base64url.h"
#include "agent/record/json.h"
#include "agent/record/record.h"
#include "agent/record/seal.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

enum { RECEIPT_MAX_BYTES = 4096 };

DK_DEFINE_FREE(json, json_t, json_decref)

static bool get_hash(const json_t *json, const char *member, char out[static DK_SHA256_TEXT_SIZE])
{
    const json_t *value = json_object_get(json, member);
    uint8_t hash[DK_SHA256_SIZE];

    if (!json_is_string(value) ||
        !dk_base64url_decode_exact(json_string_value(value), json_string_length(value), hash, sizeof hash))
        return false;
    memcpy(out, json_string_value(value), DK_SHA256_TEXT_SIZE);
    return true;
}

static bool get_seq(const json_t *json, const char *member, int64_t *out)
{
    const json_t *value = json_object_get(json, member);

    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 1 && *out <= DK_RECORD_SEQ_MAX;
}

enum dk_err dk_receipt_open(const struct dk_key *collector, const char *jws, size_t len, struct dk_receipt *out,
                            struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(RECEIPT_MAX_BYTES);
    enum dk_err err = dk_open(collector, DK_TYP_RECEIPT, jws, len, &payload, fault);

    if (err != DK_OK)
        return err;

    json_error_t error;
    dk_auto(json) json_t *json = dk_json_load(dk_buf_text(&payload), payload.len, &error, &err);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, "receipt", NULL, "out of memory");

    const char *schema = json_string_value(json_object_get(json, "schema"));
    const char *received = json_string_value(json_object_get(json, "received"));
    struct dk_receipt receipt = {0};

    if (schema == NULL || strcmp(schema, "dokiem.receipt/1") != 0)
        return dk_fail(fault, DK_ERR_DATA, "receipt", NULL, "its schema is not dokiem.receipt/1");
    if (!get_hash(json, "record_sha256", receipt.record_sha256) || !get_hash(json, "device", receipt.device) ||
        !get_seq(json, "seq", &receipt.seq) || !get_seq(json, "last_seq", &receipt.last_seq) || received == NULL ||
        !dk_wall_parse(received, &receipt.received))
        return dk_fail(fault, DK_ERR_DATA, "receipt", NULL,
                       "must have record_sha256, device, seq, received and last_seq");
    *out = receipt;
    return DK_OK;
}
