// SPDX-License-Identifier: Apache-2.0
#include "agent/record/record.h"

#include "agent/base/base64url.h"
#include "agent/record/json.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

DK_DEFINE_FREE(json, json_t, json_decref)

static enum dk_err fail_member(struct dk_fault *fault, const char *member, const char *allowed)
{
    return dk_fail(fault, DK_ERR_DATA, member, NULL, "the record must have %s here", allowed);
}

// A string member no longer than out_size − 1; false when it is anything else.
static bool get_text(const json_t *object, const char *key, char *out, size_t out_size)
{
    const json_t *value = json_object_get(object, key);
    size_t len = json_string_length(value);

    if (!json_is_string(value) || len >= out_size)
        return false;
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

static bool is_uuid7(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-7xxx-vxxx-xxxxxxxxxxxx";

    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        const char *allowed = shape[i] == 'x' ? "0123456789abcdef" : shape[i] == 'v' ? "89ab" : NULL;

        if (allowed == NULL ? text[i] != shape[i] : strchr(allowed, text[i]) == NULL)
            return false;
    }
    return true;
}

static bool is_hash(const char *text)
{
    uint8_t hash[DK_SHA256_SIZE];

    return dk_base64url_decode_exact(text, strlen(text), hash, sizeof hash);
}

static enum dk_err read_chain(const json_t *root, struct dk_record_head *head, struct dk_fault *fault)
{
    const json_t *seq = json_object_get(root, "seq");

    head->seq = json_integer_value(seq);
    if (!json_is_integer(seq) || head->seq < 1 || head->seq > DK_RECORD_SEQ_MAX)
        return fail_member(fault, "seq", "an integer from 1 to 9999999999");
    if (head->seq == 1) {
        if (!json_is_null(json_object_get(root, "prev")))
            return fail_member(fault, "prev", "null, because seq is 1");
    } else if (!get_text(root, "prev", head->prev, sizeof head->prev) || !is_hash(head->prev)) {
        return fail_member(fault, "prev", "a SHA-256 in base64url (43 characters)");
    }
    return DK_OK;
}

enum dk_err dk_record_read_origin(const char *json, size_t len, struct dk_record_origin *out, struct dk_fault *fault)
{
    json_error_t error;
    enum dk_err err = DK_OK;
    dk_auto(json) json_t *root = dk_json_load(json, len, &error, &err);

    if (err != DK_OK || !json_is_object(root))
        return dk_fail(fault, err != DK_OK ? err : DK_ERR_DATA, "record", NULL, "is not a JSON object");
    *out = (struct dk_record_origin){0};
    (void)get_text(json_object_get(root, "server"), "url", out->server_url, sizeof out->server_url);
    (void)get_text(json_object_get(root, "inspection"), "confirms", out->confirms, sizeof out->confirms);
    return DK_OK;
}

// True also when there is none.
static bool get_dropped(const json_t *root, struct dk_record_head *head)
{
    const json_t *dropped = json_object_get(root, "dropped");
    const json_t *first = json_object_get(dropped, "first_seq"), *last = json_object_get(dropped, "last_seq");

    if (dropped == NULL)
        return true;
    head->dropped_first = json_integer_value(first);
    head->dropped_last = json_integer_value(last);
    return json_is_integer(first) && json_is_integer(last) && head->dropped_first >= 1 &&
           head->dropped_first <= head->dropped_last && head->dropped_last < head->seq;
}

// The end of the flat array of integers at `at`, written without spaces; NULL when it is anything else.
static const char *end_of_integers(const char *at, const char *end)
{
    enum { DIGITS_MAX = 18 }; // any such number fits an int64_t

    do {
        at++;
        if (at < end && *at == '-')
            at++;

        const char *first = at;

        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (at == first || at - first > DIGITS_MAX || (*first == '0' && at - first > 1))
            return NULL;
    } while (at < end && *at == ',');
    return at < end && *at == ']' ? at + 1 : NULL;
}

// Appends the text with its flat arrays of integers emptied: series of samples are most of a record, and to build a
// tree of them most of the cost of reading its head. What is emptied was valid and held nothing but integers, so the
// rest is valid JSON if, and only if, the whole is.
static enum dk_err leave_out_series(const char *json, size_t len, struct dk_buf *out)
{
    const char *at = json, *end = json + len, *copied = json;
    enum dk_err err = DK_OK;

    while (err == DK_OK && at < end) {
        const char *after = NULL;

        if (*at == '"') {
            for (at++; at < end && *at != '"'; at++)
                at += *at == '\\' && at + 1 < end;
        } else if (*at == '[' && (after = end_of_integers(at, end)) != NULL) {
            err = dk_buf_append(out, copied, (size_t)(at + 1 - copied));
            copied = after - 1;
            at = copied;
        }
        at++;
    }
    return err == DK_OK ? dk_buf_append(out, copied, (size_t)(end - copied)) : err;
}

static json_t *load(const char *json, size_t len, json_error_t *error, enum dk_err *err)
{
    dk_auto_buf struct dk_buf rest = dk_buf_make(len);

    *err = leave_out_series(json, len, &rest);

    json_t *root = *err == DK_OK ? dk_json_load(dk_buf_text(&rest), rest.len, error, err) : NULL;

    // Said of the whole text, so that line and column are the reader's.
    return root != NULL || *err == DK_ERR_MEMORY ? root : dk_json_load(json, len, error, err);
}

enum dk_err dk_record_read_head(const char *json, size_t len, struct dk_record_head *out,
                                struct dk_fault *fault)
{
    if (len > DK_RECORD_MAX_BYTES)
        return dk_fail(fault, DK_ERR_DATA, "record", NULL, "is longer than %d bytes", DK_RECORD_MAX_BYTES);

    json_error_t error;
    enum dk_err loaded = DK_OK;
    dk_auto(json) json_t *root = load(json, len, &error, &loaded);

    if (loaded == DK_ERR_MEMORY)
        return dk_fail(fault, DK_ERR_MEMORY, "record", NULL, "out of memory");
    if (root == NULL)
        return dk_fail(fault, DK_ERR_DATA, "record", NULL, "is not JSON: line %d, column %d: %s", error.line,
                       error.column, error.text);
    if (!json_is_object(root))
        return dk_fail(fault, DK_ERR_DATA, "record", NULL, "is not a JSON object");

    struct dk_record_head head = {0};
    char kind[16], start[DK_RFC3339_SIZE], end[DK_RFC3339_SIZE];

    if (!get_text(root, "schema", head.schema, sizeof head.schema) ||
        strcmp(head.schema, DK_RECORD_SCHEMA) != 0)
        return fail_member(fault, "schema", "\"" DK_RECORD_SCHEMA "\"");
    if (!get_text(root, "id", head.id, sizeof head.id) || !is_uuid7(head.id))
        return fail_member(fault, "id", "a UUIDv7 in lower case");

    enum dk_err err = read_chain(root, &head, fault);

    if (err != DK_OK)
        return err;
    if (!get_text(root, "kind", kind, sizeof kind) || !dk_kind_parse(kind, &head.kind))
        return fail_member(fault, "kind", "measurement, skipped, failed or rotation");
    if (!get_text(json_object_get(root, "device"), "id", head.device_id, sizeof head.device_id) ||
        !is_hash(head.device_id))
        return fail_member(fault, "device.id", "a key thumbprint (43 characters of base64url)");
    if (!get_text(json_object_get(root, "time"), "start", start, sizeof start) ||
        !dk_wall_parse(start, &head.start))
        return fail_member(fault, "time.start", "a UTC time like 2026-11-20T04:05:06.789Z");
    if (!get_text(json_object_get(root, "time"), "end", end, sizeof end) || !dk_wall_parse(end, &head.end))
        head.end = head.start;
    if (!get_dropped(root, &head))
        return fail_member(fault, "dropped", "first_seq and last_seq, in this order and before seq");
    (void)get_text(json_object_get(json_object_get(root, "wire"), "evidence"), "sha256", head.evidence_sha256,
                   sizeof head.evidence_sha256);
    *out = head;
    return DK_OK;
}
