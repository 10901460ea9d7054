// SPDX-License-Identifier: Apache-2.0
#include "agent/record/ring.h"

#include "agent/base/base64url.h"
#include "agent/record/json.h"
#include "agent/record/record.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JWK_MAX_BYTES = 1 << 16 };

DK_DEFINE_FREE(json, json_t, json_decref)

enum dk_err dk_ring_add(struct dk_keys *ring, struct dk_key **key, struct dk_fault *fault)
{
    if (ring->count == DK_RING_MAX)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "there are more than %d keys", DK_RING_MAX);
    if (ring->count == ring->capacity) {
        size_t capacity = ring->capacity == 0 ? 4 : ring->capacity * 2;
        struct dk_ring_key *keys = reallocarray(ring->keys, capacity, sizeof *keys);

        if (keys == NULL)
            return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        ring->keys = keys;
        ring->capacity = capacity;
    }

    struct dk_ring_key *added = &ring->keys[ring->count++];

    *added = (struct dk_ring_key){.key = *key, .from_seq = 1, .until_seq = INT64_MAX};
    snprintf(added->device, sizeof added->device, "%s", dk_key_id(*key));
    *key = NULL;
    return DK_OK;
}

static enum dk_err fail_member(const char *name, const char *member, const char *allowed, struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_DATA, name, NULL, "\"%s\" of a key must be %s", member, allowed);
}

static bool get_seq(const json_t *jwk, const char *member, int64_t *out)
{
    const json_t *value = json_object_get(jwk, member);

    if (value == NULL)
        return true;
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 1 && *out <= DK_RECORD_SEQ_MAX;
}

// What a JWK says of its own validity.
static enum dk_err read_validity(const char *name, const json_t *jwk, struct dk_ring_key *out, struct dk_fault *fault)
{
    const json_t *role = json_object_get(jwk, "dokiem_role"), *device = json_object_get(jwk, "dokiem_device");
    const json_t *revoked = json_object_get(jwk, "dokiem_revoked");
    const char *role_text = json_string_value(role);
    uint8_t hash[DK_SHA256_SIZE];

    if (role != NULL && (role_text == NULL ||
                         (strcmp(role_text, "device") != 0 && strcmp(role_text, "collector") != 0)))
        return fail_member(name, "dokiem_role", "device or collector", fault);
    if (role != NULL)
        out->role = strcmp(role_text, "device") == 0 ? DK_ROLE_DEVICE : DK_ROLE_COLLECTOR;
    if (device != NULL && (!json_is_string(device) ||
                           !dk_base64url_decode_exact(json_string_value(device), json_string_length(device), hash,
                                                      sizeof hash)))
        return fail_member(name, "dokiem_device", "a key thumbprint (43 characters of base64url)", fault);
    if (device != NULL)
        snprintf(out->device, sizeof out->device, "%s", json_string_value(device));
    if (!get_seq(jwk, "dokiem_from_seq", &out->from_seq) || !get_seq(jwk, "dokiem_until_seq", &out->until_seq))
        return fail_member(name, "dokiem_from_seq or dokiem_until_seq", "a number from 1 to 9999999999", fault);
    out->revoked = revoked != NULL;
    if (revoked != NULL && (!json_is_string(revoked) || !dk_wall_parse(json_string_value(revoked),
                                                                       &out->revoked_since)))
        return fail_member(name, "dokiem_revoked", "a UTC time like 2026-11-20T04:05:06.789Z", fault);
    return DK_OK;
}

// Two sources that speak of one key: neither may widen what the other allows.
static enum dk_err merge(const char *name, struct dk_ring_key *known, const struct dk_ring_key *said,
                         struct dk_fault *fault)
{
    const char *own = dk_key_id(known->key);

    if (known->role != DK_ROLE_ANY && said->role != DK_ROLE_ANY && known->role != said->role)
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "the key %s is called a device's and a collector's", own);
    if (strcmp(known->device, said->device) != 0 && strcmp(known->device, own) != 0 && strcmp(said->device, own) != 0)
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "the key %s is said to be of two devices", own);
    if (strcmp(known->device, own) == 0)
        memcpy(known->device, said->device, sizeof known->device);
    if (known->role == DK_ROLE_ANY)
        known->role = said->role;
    if (said->from_seq > known->from_seq)
        known->from_seq = said->from_seq;
    if (said->until_seq < known->until_seq)
        known->until_seq = said->until_seq;
    if (said->revoked && (!known->revoked || said->revoked_since.ns < known->revoked_since.ns)) {
        known->revoked = true;
        known->revoked_since = said->revoked_since;
    }
    return DK_OK;
}

// Adds *said, whose key it takes over on success.
static enum dk_err put(const char *name, struct dk_keys *ring, struct dk_ring_key *said, struct dk_fault *fault)
{
    struct dk_ring_key *known = dk_ring_find(ring, dk_key_id(said->key));

    if (known != NULL) {
        enum dk_err err = merge(name, known, said, fault);

        if (err == DK_OK) {
            dk_key_free(said->key);
            said->key = NULL;
        }
        return err;
    }

    struct dk_key *key = said->key;
    enum dk_err err = dk_ring_add(ring, &key, fault);

    if (err == DK_OK) {
        ring->keys[ring->count - 1] = *said;
        said->key = NULL;
    }
    return err;
}

enum dk_err dk_ring_merge(const char *name, struct dk_keys *ring, struct dk_keys *from, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < from->count && err == DK_OK; i++)
        err = put(name, ring, &from->keys[i], fault);
    if (err == DK_OK)
        dk_keys_free(from);
    return err;
}

static enum dk_err add_text(const char *name, const char *text, size_t len, const json_t *jwk, struct dk_keys *ring,
                            struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_ring_key said = {.from_seq = 1, .until_seq = INT64_MAX};
    enum dk_err err = dk_key_read_public(name, text, len, &key, fault);

    if (err != DK_OK)
        return err;
    snprintf(said.device, sizeof said.device, "%s", dk_key_id(key));
    if (jwk != NULL)
        err = read_validity(name, jwk, &said, fault);
    if (err != DK_OK)
        return err;

    said.key = key;
    err = put(name, ring, &said, fault);
    key = said.key;
    return err;
}

static bool is_p256(const json_t *jwk)
{
    const char *kty = json_string_value(json_object_get(jwk, "kty"));
    const char *crv = json_string_value(json_object_get(jwk, "crv"));

    return kty != NULL && crv != NULL && strcmp(kty, "EC") == 0 && strcmp(crv, "P-256") == 0;
}

static enum dk_err read_set(const char *name, const json_t *set, struct dk_keys *ring, struct dk_fault *fault)
{
    bool found = false;

    if (!json_is_array(set) || json_array_size(set) > DK_RING_MAX)
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "\"keys\" is not an array of at most %d keys", DK_RING_MAX);
    for (size_t i = 0; i < json_array_size(set); i++) {
        const json_t *jwk = json_array_get(set, i);
        dk_auto_buf struct dk_buf text = dk_buf_make(JWK_MAX_BYTES);

        if (!is_p256(jwk))
            continue;

        enum dk_err err = dk_json_dump(jwk, &text);

        if (err != DK_OK)
            return dk_fail(fault, err, name, NULL, "a key of the set cannot be read: %s", dk_err_text(err));
        err = add_text(name, dk_buf_text(&text), text.len, jwk, ring, fault);
        if (err != DK_OK)
            return err;
        found = true;
    }
    return found ? DK_OK : dk_fail(fault, DK_ERR_DATA, name, NULL, "holds no ECDSA P-256 key");
}

enum dk_err dk_keys_read_public(const char *name, const char *text, size_t len, struct dk_keys *ring,
                                struct dk_fault *fault)
{
    enum dk_err err = DK_OK;
    json_error_t error;
    dk_auto(json) json_t *json = dk_json_load(text, len, &error, &err);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, name, NULL, "out of memory");
    if (json_object_get(json, "keys") != NULL)
        return read_set(name, json_object_get(json, "keys"), ring, fault);
    return add_text(name, text, len, json, ring, fault); // which says what is wrong with what is no JSON
}

struct dk_ring_key *dk_ring_find(const struct dk_keys *ring, const char *id)
{
    for (size_t i = 0; i < ring->count; i++)
        if (strcmp(dk_key_id(ring->keys[i].key), id) == 0)
            return &ring->keys[i];
    return NULL;
}

bool dk_ring_has(const struct dk_keys *ring, enum dk_role role)
{
    for (size_t i = 0; i < ring->count; i++)
        if (ring->keys[i].role == role)
            return true;
    return false;
}

void dk_keys_free(struct dk_keys *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        dk_key_free(ring->keys[i].key);
    free(ring->keys);
    *ring = (struct dk_keys){0};
}
