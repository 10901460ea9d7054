// SPDX-License-Identifier: Apache-2.0
#include "collector/devices.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/base64url.h"
#include "agent/base/parse.h"
#include "agent/record/json.h"
#include "agent/record/seal.h"
#include "collector/records.h"

DK_DEFINE_FREE(json, json_t, json_decref)

// What an enrolment says; texts are borrowed from `json`.
struct enrolment {
    json_t *json; // owned
    const char *token;
    struct dk_device device; // id, jwk and site
};

enum dk_err dk_token_make(struct dk_store *store, struct dk_wall now, int64_t lifetime_ns, bool approves,
                          char out[static DK_TOKEN_SIZE], struct dk_fault *fault)
{
    uint8_t random[16];
    struct dk_token token = {.approves = approves, .expires = {now.ns + lifetime_ns}};
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_TOKEN_SIZE);
    enum dk_err err = DK_OK;

    // One that begins with '-' would look like an option where people type it.
    do {
        dk_buf_free(&text);
        if (RAND_bytes(random, sizeof random) != 1)
            return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "the system gives no random numbers");
        err = dk_base64url_encode(random, sizeof random, &text);
    } while (err == DK_OK && text.data[0] == '-');
    if (err == DK_OK)
        err = dk_sha256_text(dk_buf_text(&text), text.len, token.sha256);
    if (err != DK_OK)
        return dk_fail(fault, err, "token", NULL, "%s", dk_err_text(err));
    err = dk_store_add_token(store, &token, now, fault);
    if (err == DK_OK)
        snprintf(out, DK_TOKEN_SIZE, "%s", dk_buf_text(&text));
    return err;
}

static unsigned refuse(unsigned status, const char *reason, struct dk_buf *answer)
{
    return dk_answer_refusal(status, reason, answer) == DK_OK ? status : 503;
}

static unsigned not_now(struct dk_store *store, enum dk_err err, struct dk_buf *answer,
                        struct dk_fault *fault)
{
    (void)dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
    dk_store_rollback(store);
    dk_buf_free(answer);
    return refuse(503, "the store cannot be written now; try again", answer);
}

static bool copy_member(const json_t *object, const char *name, char *out, size_t size)
{
    const json_t *value = json_object_get(object, name);
    size_t len = json_string_length(value);

    if (!json_is_string(value) || len >= size || !dk_text_is_clean(json_string_value(value), len))
        return false;
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

// The key is inside the payload that it signs, so the payload is read once, unverified, for nothing but the
// key.
static enum dk_err read_key(const char *jws, size_t len, struct dk_key **out, struct dk_fault *fault)
{
    const char *payload = memchr(jws, '.', len);
    const char *end = payload == NULL ? NULL : memchr(payload + 1, '.', len - (size_t)(payload + 1 - jws));
    dk_auto_buf struct dk_buf bytes = dk_buf_make(DK_ENROL_MAX_BYTES);

    if (end == NULL || dk_base64url_decode(payload + 1, (size_t)(end - payload - 1), &bytes) != DK_OK)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "is not a JWS");

    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_ENROL_MAX_BYTES);
    enum dk_err err = DK_OK;
    dk_auto(json) json_t *json = dk_json_load(dk_buf_text(&bytes), bytes.len, NULL, &err);
    const json_t *member = json_object_get(json, "jwk");

    if (err != DK_ERR_MEMORY)
        err = json_is_object(member) ? dk_json_dump(member, &jwk) : DK_ERR_DATA;
    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "there is no jwk in the enrolment");
    return dk_key_read_public("jwk", dk_buf_text(&jwk), jwk.len, out, fault);
}

// Errors: DATA saying what is wrong, MEMORY.
static enum dk_err read_enrolment(const char *jws, size_t len, struct enrolment *out, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_ENROL_MAX_BYTES);
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE - 1);
    enum dk_err err = read_key(jws, len, &key, fault);

    if (err == DK_OK)
        err = dk_open(key, DK_TYP_ENROL, jws, len, &payload, fault);
    if (err == DK_OK)
        err = dk_key_public_jwk(key, &jwk);
    if (err != DK_OK)
        return err;

    dk_auto(json) json_t *json = dk_json_load(dk_buf_text(&payload), payload.len, NULL, &err);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, NULL, NULL, "out of memory");

    const char *schema = json_string_value(json_object_get(json, "schema"));
    const json_t *site = json_object_get(json, "site"), *device = json_object_get(json, "device");
    struct dk_wall time;

    if (schema == NULL || strcmp(schema, "dokiem.enrol/1") != 0)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "schema must be dokiem.enrol/1");
    if (!copy_member(site, "code", out->device.site_code, DK_SITE_SIZE) ||
        !copy_member(site, "name", out->device.site_name, DK_SITE_SIZE))
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "site must have code and name, texts of at most %d bytes without control characters",
                       DK_SITE_SIZE - 1);
    if (!json_is_object(device) || !json_is_string(json_object_get(json, "token")) ||
        !json_is_string(json_object_get(json, "time")) ||
        !dk_wall_parse(json_string_value(json_object_get(json, "time")), &time))
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "token, device and time must be there");
    snprintf(out->device.id, sizeof out->device.id, "%s", dk_key_id(key));
    snprintf(out->device.jwk, sizeof out->device.jwk, "%s", dk_buf_text(&jwk));
    out->token = json_string_value(json_object_get(json, "token"));
    out->json = json;
    json = NULL;
    return DK_OK;
}

static unsigned answer_state(const struct dk_device *device, const struct dk_key *collector, unsigned status,
                             struct dk_buf *answer)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE);

    // Neither text needs escaping: a thumbprint, a word of ours, and a JWK of base64url.
    if (dk_key_public_jwk(collector, &jwk) != DK_OK ||
        dk_buf_printf(answer, "{\"id\":\"%s\",\"state\":\"%s\",\"collector\":%s}\n", device->id,
                      device->state, dk_buf_text(&jwk)) != DK_OK)
        return 503;
    return status;
}

// Inside a transaction. Sets *status, and *device to what is answered. Errors: as the store.
static enum dk_err decide(struct dk_store *store, struct dk_wall now, const struct enrolment *enrolment,
                          struct dk_device *device, unsigned *status, struct dk_fault *fault)
{
    struct dk_token token = {0};
    char sha256[DK_SHA256_TEXT_SIZE];
    enum dk_err err = dk_sha256_text(enrolment->token, strlen(enrolment->token), sha256);

    *status = 403;
    if (err == DK_OK)
        err = dk_store_token(store, sha256, &token, fault);
    if (err != DK_OK)
        return err == DK_ERR_NO_INPUT ? DK_OK : err;

    struct dk_store_key key = {0};
    enum dk_err known = dk_store_key(store, enrolment->device.id, &key, fault);

    if (known == DK_OK && key.until_seq > 0)
        return DK_OK; // another key has followed it
    if (known == DK_OK)
        known = dk_store_device(store, key.device, device, fault);
    if (known != DK_OK && known != DK_ERR_NO_INPUT)
        return known;
    if (known == DK_OK && strcmp(device->state, DK_DEVICE_REVOKED) == 0)
        return DK_OK;
    // The answer to an enrolment may have been lost: the same key may ask with the same token again.
    if (known == DK_OK && strcmp(token.used_by, device->id) == 0) {
        *status = 200;
        return DK_OK;
    }
    if (token.used_by[0] != '\0' || token.expires.ns <= now.ns)
        return DK_OK;
    if (known != DK_OK) {
        *device = enrolment->device;
        device->enrolled = now;
        snprintf(device->state, sizeof device->state, "%s", DK_DEVICE_PENDING);
    } else {
        memcpy(device->site_code, enrolment->device.site_code, sizeof device->site_code);
        memcpy(device->site_name, enrolment->device.site_name, sizeof device->site_name);
    }
    if (token.approves)
        snprintf(device->state, sizeof device->state, "%s", DK_DEVICE_APPROVED);
    *status = known == DK_OK ? 200 : 201;
    err = dk_store_put_device(store, device, fault);
    return err == DK_OK ? dk_store_use_token(store, sha256, device->id, now, fault) : err;
}

unsigned dk_devices_enrol(struct dk_store *store, const struct dk_key *collector, struct dk_wall now,
                          const char *body, size_t len, struct dk_buf *answer, struct dk_fault *fault)
{
    struct enrolment enrolment = {0};
    struct dk_device device = {0};
    struct dk_fault wrong = {0};
    unsigned status = 0;

    if (len > 0 && body[len - 1] == '\n')
        len--;
    if (len > DK_ENROL_MAX_BYTES)
        return refuse(413, "the enrolment is too long", answer);

    enum dk_err err = read_enrolment(body, len, &enrolment, &wrong);

    if (err == DK_ERR_DATA)
        return refuse(400, wrong.what, answer);
    if (err == DK_OK)
        err = dk_store_begin(store, fault);
    if (err == DK_OK)
        err = decide(store, now, &enrolment, &device, &status, fault);
    json_decref(enrolment.json);
    if (err == DK_OK && status == 403) {
        dk_store_rollback(store);
        return refuse(403,
                      strcmp(device.state, DK_DEVICE_REVOKED) == 0 ? "the device is revoked"
                                                                   : "the token is wrong, used or expired",
                      answer);
    }
    if (err == DK_OK)
        err = dk_store_commit(store, fault);
    if (err != DK_OK)
        return not_now(store, err, answer, fault);
    return answer_state(&device, collector, status, answer);
}

static enum dk_err find(struct dk_store *store, const char *id, struct dk_device *out, struct dk_fault *fault)
{
    enum dk_err err = dk_store_device(store, id, out, fault);

    return err == DK_ERR_NO_INPUT ? dk_fail(fault, err, id, "list them with: dokiem-collector devices",
                                            "is no device of this collector")
                                  : err;
}

static enum dk_err put_revoked(struct dk_store *store, struct dk_device *device, struct dk_wall since,
                               struct dk_fault *fault)
{
    snprintf(device->state, sizeof device->state, "%s", DK_DEVICE_REVOKED);
    device->revoked_since = since;
    return dk_store_put_device(store, device, fault);
}

enum dk_err dk_device_approve(struct dk_store *store, const char *id, const char *replaces, struct dk_wall now,
                              struct dk_fault *fault)
{
    struct dk_device device = {0}, old = {0};
    enum dk_err err = dk_store_begin(store, fault);

    if (err == DK_OK && replaces != NULL && strcmp(id, replaces) == 0)
        err = dk_fail(fault, DK_ERR_USAGE, "--replaces", NULL, "is the device itself");
    if (err == DK_OK)
        err = find(store, id, &device, fault);
    if (err == DK_OK && replaces != NULL)
        err = find(store, replaces, &old, fault);
    if (err == DK_OK && replaces != NULL && strcmp(old.state, DK_DEVICE_REVOKED) != 0)
        err = put_revoked(store, &old, now, fault);
    if (err == DK_OK) {
        snprintf(device.state, sizeof device.state, "%s", DK_DEVICE_APPROVED);
        device.revoked_since = (struct dk_wall){0};
        if (replaces != NULL)
            memcpy(device.replaces, old.id, sizeof device.replaces);
        err = dk_store_put_device(store, &device, fault);
    }
    if (err == DK_OK)
        err = dk_store_commit(store, fault);
    dk_store_rollback(store);
    return err;
}

enum dk_err dk_device_revoke(struct dk_store *store, const char *id, struct dk_wall since, struct dk_fault *fault)
{
    struct dk_device device = {0};
    enum dk_err err = dk_store_begin(store, fault);

    if (err == DK_OK)
        err = find(store, id, &device, fault);
    if (err == DK_OK)
        err = put_revoked(store, &device, since, fault);
    if (err == DK_OK)
        err = dk_store_commit(store, fault);
    dk_store_rollback(store);
    return err;
}

struct export
{
    struct dk_buf *out;
    const char *separator;
};

// A JWK with its closing brace taken off, and what stands in every one of ours.
static enum dk_err begin_key(struct export *export, const char *jwk, const char *id, const char *role)
{
    enum dk_err err = dk_buf_printf(export->out,
                                    "%s\n%.*s,\"kid\":\"%s\",\"use\":\"sig\",\"alg\":\"ES256\",\"dokiem_role\":\"%s\"",
                                    export->separator, (int)strlen(jwk) - 1, jwk, id, role);

    export->separator = ",";
    return err;
}

// No text needs escaping: JWKs of base64url, thumbprints, dates; the site's code was checked to be clean, and is
// written by jansson.
static enum dk_err export_key(void *argument, const struct dk_store_key *key, const struct dk_device *device)
{
    struct export *export = argument;
    char date[DK_RFC3339_SIZE];
    json_t *site = json_string(device->site_code);
    char *code = site == NULL ? NULL : json_dumps(site, JSON_ENCODE_ANY | JSON_COMPACT);
    enum dk_err err = code == NULL ? DK_ERR_MEMORY : begin_key(export, key->jwk, key->id, "device");

    dk_wall_rfc3339(device->enrolled, date);
    if (err == DK_OK)
        err = dk_buf_printf(export->out,
                            ",\"dokiem_device\":\"%s\",\"dokiem_from_seq\":%lld,\"dokiem_state\":\"%s\","
                            "\"dokiem_enrolled\":\"%s\",\"dokiem_site\":%s",
                            key->device, (long long)key->from_seq, device->state, date, code);
    if (err == DK_OK && key->until_seq > 0)
        err = dk_buf_printf(export->out, ",\"dokiem_until_seq\":%lld", (long long)key->until_seq);
    if (err == DK_OK && device->replaces[0] != '\0')
        err = dk_buf_printf(export->out, ",\"dokiem_replaces\":\"%s\"", device->replaces);
    if (err == DK_OK && device->revoked_since.ns > 0) {
        dk_wall_rfc3339(device->revoked_since, date);
        err = dk_buf_printf(export->out, ",\"dokiem_revoked\":\"%s\"", date);
    }
    free(code);
    json_decref(site);
    return err == DK_OK ? dk_buf_append(export->out, "}", 1) : err;
}

enum dk_err dk_keys_export(struct dk_store *store, const struct dk_key *collector, struct dk_buf *out,
                           struct dk_fault *fault)
{
    struct export export = {.out = out, .separator = ""};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE);
    enum dk_err err = dk_buf_printf(out, "{\"keys\":[");

    if (err == DK_OK && collector != NULL)
        err = dk_key_public_jwk(collector, &jwk);
    if (err == DK_OK && collector != NULL)
        err = begin_key(&export, dk_buf_text(&jwk), dk_key_id(collector), "collector");
    if (err == DK_OK && collector != NULL)
        err = dk_buf_append(out, "}", 1);
    if (err == DK_OK)
        err = dk_store_keys(store, export_key, &export, fault);
    if (err == DK_OK)
        err = dk_buf_printf(out, "\n]}\n");
    return err == DK_OK ? DK_OK : dk_fail(fault, err, "keys", NULL, "%s", dk_err_text(err));
}
