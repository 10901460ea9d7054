// SPDX-License-Identifier: Apache-2.0
#include "agent/record/record.h"

#include "agent/base/base64url.h"
#include "agent/record/json.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

DK_DEFINE_FREE(json, json_t, json_decref)

static bool get_integer(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const json_t *value = json_object_get(object, key);

    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= min && *out <= max;
}

// A hash, or nothing.
static bool get_hash(const json_t *object, const char *key, char out[static DK_SHA256_TEXT_SIZE])
{
    const json_t *value = json_object_get(object, key);
    uint8_t hash[DK_SHA256_SIZE];

    out[0] = '\0';
    if (value == NULL)
        return true;
    if (!json_is_string(value) ||
        !dk_base64url_decode_exact(json_string_value(value), json_string_length(value), hash, sizeof hash))
        return false;
    memcpy(out, json_string_value(value), DK_SHA256_TEXT_SIZE);
    return true;
}

enum dk_err dk_record_read_dropped(const char *json, size_t len, struct dk_record_dropped *out)
{
    json_error_t error;
    enum dk_err err = DK_OK;
    struct dk_record_dropped dropped;
    dk_auto(json) json_t *root = len <= DK_RECORD_MAX_BYTES ? dk_json_load(json, len, &error, &err) : NULL;
    const json_t *object = json_object_get(root, "dropped");
    const json_t *seq = json_object_get(root, "seq");

    if (err == DK_ERR_MEMORY)
        return err;
    if (json_is_object(root) && object == NULL)
        return DK_ERR_NO_INPUT;
    if (!get_integer(object, "first_seq", 1, DK_RECORD_SEQ_MAX, &dropped.first_seq) ||
        !get_integer(object, "last_seq", dropped.first_seq, DK_RECORD_SEQ_MAX, &dropped.last_seq) ||
        !get_integer(object, "count", 1, dropped.last_seq - dropped.first_seq + 1, &dropped.count) ||
        !get_integer(object, "bytes", 0, INT64_MAX, &dropped.bytes) ||
        !get_hash(object, "prev", dropped.prev) || !get_hash(object, "sha256", dropped.sha256) ||
        !json_is_integer(seq) || json_integer_value(seq) <= dropped.last_seq)
        return DK_ERR_DATA;
    *out = dropped;
    return DK_OK;
}
