// SPDX-License-Identifier: Apache-2.0
#include "agent/record/word.h"

#include "agent/base/base64url.h"
#include "agent/base/parse.h"
#include "agent/base/sha256.h"
#include "agent/record/json.h"
#include "agent/record/seal.h"

#include <jansson.h>
#include <string.h>

enum { RUN_ID_BYTES = 16 };

static const int64_t bytes_max = INT64_C(1) << 53, duration_max_ns = 86400 * DK_NS_PER_S;
static const int64_t line_max_bps = INT64_C(1000000000000000);

DK_DEFINE_FREE(json, json_t, json_decref)

enum dk_err dk_run_id(const char *device_id, const char *record_id, char out[static DK_RUN_ID_SIZE])
{
    dk_auto_buf struct dk_buf text = dk_buf_make(256), encoded = dk_buf_make(DK_RUN_ID_SIZE - 1);
    uint8_t hash[DK_SHA256_SIZE];
    enum dk_err err = dk_buf_printf(&text, "%s.%s", device_id, record_id);

    if (err == DK_OK)
        err = dk_sha256(text.data, text.len, hash);
    if (err == DK_OK)
        err = dk_base64url_encode(hash, RUN_ID_BYTES, &encoded);
    if (err == DK_OK)
        memcpy(out, dk_buf_text(&encoded), DK_RUN_ID_SIZE);
    return err == DK_ERR_DATA ? DK_ERR_INTERNAL : err;
}

bool dk_run_id_is_one(const char *text)
{
    uint8_t id[RUN_ID_BYTES];

    return dk_base64url_decode_exact(text, strlen(text), id, sizeof id);
}

void dk_word_hint(const struct dk_word *word, bool upload, struct dk_server_hint *out)
{
    const struct dk_word_direction *seen = upload ? &word->upload : &word->download;

    *out = (struct dk_server_hint){0};
    if (!seen->seen)
        return;
    *out = (struct dk_server_hint){
        .duration_ns = seen->duration_ns,
        .streams = seen->streams,
        .others_bytes = seen->others_bytes,
        .line_bps = word->line_bps,
        .idle_ns = seen->idle_ns,
        .send_buffer_bytes = seen->send_buffer_bytes,
        .rtt_min_ns = seen->rtt_min_ns,
    };
    memcpy(out->bytes, seen->bytes, sizeof out->bytes);
}

// The members of a direction that may be left out.
enum { OPTIONAL = 4 };
struct optional {
    const char *key;
    int64_t max;
    int64_t *value;
};

static void list_optional(struct dk_word_direction *direction, struct optional list[static OPTIONAL])
{
    list[0] = (struct optional){"others_bytes", bytes_max, &direction->others_bytes};
    list[1] = (struct optional){"idle_ns", duration_max_ns, &direction->idle_ns};
    list[2] = (struct optional){"send_buffer_bytes", bytes_max, &direction->send_buffer_bytes};
    list[3] = (struct optional){"rtt_min_ns", duration_max_ns, &direction->rtt_min_ns};
}

// NULL without memory.
static json_t *direction_json(struct dk_word_direction *direction)
{
    struct optional list[OPTIONAL];
    char start[DK_RFC3339_SIZE];
    dk_auto(json) json_t *bytes = json_array();

    dk_wall_rfc3339(direction->start, start);
    for (size_t s = 0; s < direction->streams; s++)
        if (json_array_append_new(bytes, json_integer(direction->bytes[s])) != 0)
            return NULL;

    json_t *object = json_pack("{s:s, s:I, s:I, s:O}", "start", start, "duration_ns",
                               (json_int_t)direction->duration_ns, "rtt_ns", (json_int_t)direction->rtt_ns, "bytes",
                               bytes);

    list_optional(direction, list);
    for (size_t i = 0; i < OPTIONAL; i++)
        if (*list[i].value >= 0 && json_object_set_new(object, list[i].key, json_integer(*list[i].value)) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

enum dk_err dk_word_build(const struct dk_word *word, struct dk_buf *out)
{
    struct dk_word_direction directions[] = {word->download, word->upload};
    const char *const names[] = {"download", "upload"};
    char issued[DK_RFC3339_SIZE];

    dk_wall_rfc3339(word->issued, issued);

    dk_auto(json) json_t *root = json_pack("{s:s, s:s, s:s}", "schema", DK_WORD_SCHEMA, "run", word->run, "client",
                                           word->client);

    for (size_t i = 0; i < 2; i++)
        if (directions[i].seen && json_object_set_new(root, names[i], direction_json(&directions[i])) != 0)
            return DK_ERR_MEMORY;
    if (word->line_bps > 0 && json_object_set_new(root, "line_bps", json_integer(word->line_bps)) != 0)
        return DK_ERR_MEMORY;
    if (json_object_set_new(root, "issued", json_string(issued)) != 0)
        return DK_ERR_MEMORY;
    return dk_json_dump(root, out);
}

static enum dk_err refuse(struct dk_fault *fault, const char *member, const char *allowed)
{
    return dk_fail(fault, DK_ERR_DATA, member, NULL, "the server's word must have %s here", allowed);
}

static bool get_integer(const json_t *object, const char *key, int64_t max, int64_t *out)
{
    const json_t *value = json_object_get(object, key);

    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= max;
}

static bool get_date(const json_t *object, const char *key, struct dk_wall *out)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL && dk_wall_parse(text, out);
}

static enum dk_err read_direction(const json_t *root, const char *name, struct dk_word_direction *out,
                                  struct dk_fault *fault)
{
    const json_t *object = json_object_get(root, name), *bytes = json_object_get(object, "bytes");
    struct optional list[OPTIONAL];
    size_t members = 4;

    if (object == NULL)
        return DK_OK;
    list_optional(out, list);
    for (size_t i = 0; i < OPTIONAL; i++) {
        *list[i].value = -1;
        if (json_object_get(object, list[i].key) == NULL)
            continue;
        members++;
        if (!get_integer(object, list[i].key, list[i].max, list[i].value))
            return refuse(fault, list[i].key, "a whole number that can be");
    }
    out->seen = true;
    out->streams = json_array_size(bytes);
    if (json_object_size(object) != members || !get_date(object, "start", &out->start) ||
        !get_integer(object, "duration_ns", duration_max_ns, &out->duration_ns) ||
        !get_integer(object, "rtt_ns", duration_max_ns, &out->rtt_ns) || out->streams < 1 ||
        out->streams > DK_STREAMS_MAX)
        return refuse(fault, name, "start, duration_ns, rtt_ns and the bytes of 1 to 32 streams, and nothing unknown");
    for (size_t s = 0; s < out->streams; s++) {
        const json_t *value = json_array_get(bytes, s);

        out->bytes[s] = json_integer_value(value);
        if (!json_is_integer(value) || out->bytes[s] < 0 || out->bytes[s] > bytes_max)
            return refuse(fault, name, "whole numbers of bytes");
    }
    return DK_OK;
}

enum dk_err dk_word_read(const char *json, size_t len, const char *run, struct dk_word *out, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;
    dk_auto(json) json_t *root = dk_json_load(json, len, NULL, &err);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, NULL, NULL, "out of memory");

    const char *schema = json_string_value(json_object_get(root, "schema"));
    const char *its_run = json_string_value(json_object_get(root, "run"));
    const char *client = json_string_value(json_object_get(root, "client"));
    size_t client_len = json_string_length(json_object_get(root, "client"));
    struct dk_word word = {0};

    if (schema == NULL || strcmp(schema, DK_WORD_SCHEMA) != 0)
        return refuse(fault, "schema", "\"" DK_WORD_SCHEMA "\"");
    if (its_run == NULL || !dk_run_id_is_one(its_run))
        return refuse(fault, "run", "128 bits in base64url");
    if (strcmp(its_run, run) != 0)
        return dk_fail(fault, DK_ERR_DATA, "run", NULL, "the server's word is about another run");
    if (client == NULL || client_len == 0 || client_len >= sizeof word.client || !dk_text_is_clean(client, client_len))
        return refuse(fault, "client", "the network of the client");
    if (!get_date(root, "issued", &word.issued))
        return refuse(fault, "issued", "a UTC time like 2026-11-20T04:05:06.789Z");
    err = read_direction(root, "download", &word.download, fault);
    if (err == DK_OK)
        err = read_direction(root, "upload", &word.upload, fault);
    if (err != DK_OK)
        return err;

    bool has_line = json_object_get(root, "line_bps") != NULL;

    if (has_line && (!get_integer(root, "line_bps", line_max_bps, &word.line_bps) || word.line_bps < 1))
        return refuse(fault, "line_bps", "bits per second");
    if (json_object_size(root) != 4 + (size_t)word.download.seen + (size_t)word.upload.seen + has_line)
        return refuse(fault, "", "no other members");
    memcpy(word.run, run, sizeof word.run);
    memcpy(word.client, client, client_len + 1);
    *out = word;
    return DK_OK;
}

enum dk_err dk_word_read_unverified(const char *jws, size_t len, const char *run, struct dk_word *out,
                                    struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_WORD_SIZE);
    char id[DK_SHA256_TEXT_SIZE];
    enum dk_err err = len < DK_WORD_SIZE ? dk_jws_key_id(jws, len, DK_TYP_WORD, id, fault)
                                         : dk_fail(fault, DK_ERR_DATA, NULL, NULL, "the server's word is too long");

    if (err == DK_OK)
        err = dk_jws_payload(jws, len, &payload, fault);
    if (err == DK_OK)
        err = dk_word_read(dk_buf_text(&payload), payload.len, run, out, fault);
    return err;
}
