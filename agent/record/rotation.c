// SPDX-License-Identifier: Apache-2.0
#include "agent/record/rotation.h"

#include "agent/record/json.h"
#include "agent/record/seal.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { JWK_MAX_BYTES = 1024 };

DK_DEFINE_FREE(json, json_t, json_decref)

// What the new key signs. The texts are hashes in base64url: nothing to escape.
static enum dk_err write_word(const struct dk_rotation_place *place, struct dk_buf *out)
{
    return dk_buf_printf(out,
                         "{\"schema\":\"dokiem.rotation/1\",\"device\":\"%s\",\"from\":\"%s\",\"seq\":%" PRId64
                         ",\"prev\":\"%s\"}",
                         place->device, place->from, place->seq, place->prev);
}

enum dk_err dk_rotation_prove(const struct dk_key *new_key, const struct dk_rotation_place *place, struct dk_buf *out,
                              struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf word = dk_buf_make(DK_ROTATION_PROOF_MAX);
    enum dk_err err = write_word(place, &word);

    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
    return dk_seal(new_key, DK_TYP_ROTATION, word.data, word.len, out, fault);
}

enum dk_err dk_rotation_read(const char *payload, size_t len, const struct dk_rotation_place *place,
                             struct dk_key **out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(JWK_MAX_BYTES), word = dk_buf_make(DK_ROTATION_PROOF_MAX);
    dk_auto_buf struct dk_buf said = dk_buf_make(DK_ROTATION_PROOF_MAX);
    dk_auto(key) struct dk_key *key = NULL;
    json_error_t error;
    enum dk_err err = DK_OK;
    dk_auto(json) json_t *json = dk_json_load(payload, len, &error, &err);
    const json_t *rotation = json_object_get(json, "rotation"), *proof = json_object_get(rotation, "proof");

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, "rotation", NULL, "out of memory");
    if (!json_is_object(json_object_get(rotation, "key")) || !json_is_string(proof))
        return dk_fail(fault, DK_ERR_DATA, "rotation", NULL, "must have key and proof");
    err = dk_json_dump(json_object_get(rotation, "key"), &jwk);
    if (err != DK_OK)
        return dk_fail(fault, err, "rotation.key", NULL, "%s", dk_err_text(err));
    err = dk_key_read_public("rotation.key", dk_buf_text(&jwk), jwk.len, &key, fault);
    if (err != DK_OK)
        return err;
    if (strcmp(dk_key_id(key), place->from) == 0)
        return dk_fail(fault, DK_ERR_DATA, "rotation.key", NULL, "is the key that it is to replace");
    err = dk_open(key, DK_TYP_ROTATION, json_string_value(proof), json_string_length(proof), &said, fault);
    if (err == DK_OK)
        err = write_word(place, &word);
    if (err != DK_OK)
        return dk_fail(fault, err, "rotation.proof", NULL, "%s", dk_err_text(err));
    if (word.len != said.len || memcmp(word.data, said.data, word.len) != 0)
        return dk_fail(fault, DK_ERR_DATA, "rotation.proof", NULL, "is about another chain or place");
    *out = key;
    key = NULL;
    return DK_OK;
}
