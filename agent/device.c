// SPDX-License-Identifier: Apache-2.0
#include "agent/device.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/record/record.h"
#include "agent/record/ring.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "agent/record/token.h"
#include "agent/state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { JWK_FILE_MAX_BYTES = 4096, NAME_SIZE = DK_SHA256_TEXT_SIZE + 8 };

static enum dk_err path_of(const char *state_dir, const char *name, char out[static PATH_MAX], struct dk_fault *fault)
{
    return snprintf(out, PATH_MAX, "%s/%s", state_dir, name) < PATH_MAX
               ? DK_OK
               : dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");
}

enum dk_err dk_device_key(const char *state_dir, const char *key_name, struct dk_key **out, struct dk_fault *fault)
{
    char path[PATH_MAX];
    enum dk_err err = path_of(state_dir, DK_KEY_FILE, path, fault);

    if (err != DK_OK)
        return err;
    return key_name[0] != '\0' ? dk_token_open(key_name, out, fault) : dk_key_read_private(path, out, fault);
}

static void key_file_name(const char *id, char out[static NAME_SIZE])
{
    // A name must not look like an option, or be hidden.
    snprintf(out, NAME_SIZE, "k%s.jwk", id);
}

enum dk_err dk_device_chain(const char *state_dir, const struct dk_key *key, struct dk_device_id *out,
                            struct dk_fault *fault)
{
    char name[NAME_SIZE], path[PATH_MAX];
    dk_auto_buf struct dk_buf text = dk_buf_make(JWK_FILE_MAX_BYTES);
    dk_auto_keys struct dk_keys keys = {0};
    struct dk_fault own = {0};

    key_file_name(dk_key_id(key), name);
    if (snprintf(path, sizeof path, "%s/%s/%s", state_dir, DK_KEYS_FOLDER, name) >= PATH_MAX)
        return dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");
    snprintf(out->id, sizeof out->id, "%s", dk_key_id(key));

    enum dk_err err = dk_file_read(path, &text, &own);

    if (err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err != DK_OK)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    err = dk_keys_read_public(path, dk_buf_text(&text), text.len, &keys, fault);
    if (err != DK_OK)
        return err;

    const struct dk_ring_key *known = dk_ring_find(&keys, dk_key_id(key));

    if (known == NULL)
        return dk_fail(fault, DK_ERR_DATA, path, NULL, "is not the key that its name says");
    memcpy(out->id, known->device, sizeof out->id);
    return DK_OK;
}

// Writes what STATE/keys is to know of a key. It says nothing that is not so, even if the change is never made.
static enum dk_err keep_public(const char *state_dir, const struct dk_key *key, const struct dk_device_id *device,
                               struct dk_fault *fault)
{
    char name[NAME_SIZE], folder[PATH_MAX];
    dk_auto_buf struct dk_buf jwk = dk_buf_make(JWK_FILE_MAX_BYTES);
    enum dk_err err = path_of(state_dir, DK_KEYS_FOLDER, folder, fault);

    key_file_name(dk_key_id(key), name);
    if (err == DK_OK)
        err = dk_directory_make(folder, fault);
    if (err == DK_OK)
        err = dk_key_public_jwk(key, &jwk);
    if (err != DK_OK)
        return dk_fail(fault, err, folder, NULL, "%s", dk_err_text(err));
    jwk.len--; // the closing brace
    err = dk_buf_printf(&jwk, ",\"dokiem_role\":\"device\",\"dokiem_device\":\"%s\"}\n", device->id);
    if (err != DK_OK)
        return dk_fail(fault, err, folder, NULL, "%s", dk_err_text(err));
    return dk_file_write(folder, name, jwk.data, jwk.len, DK_WRITE_REPLACE, fault);
}

static enum dk_err remove_file(const char *directory, const char *name, struct dk_fault *fault)
{
    struct dk_fault own = {0};
    enum dk_err err = dk_file_remove(directory, name, &own);

    // Gone already, but perhaps not for the disk.
    if (err == DK_ERR_NO_INPUT)
        return dk_file_sync(directory, fault);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

// STATE/device.new.pem becomes STATE/device.pem.
static enum dk_err put_in_place(const char *state_dir, const struct dk_key *key, struct dk_fault *fault)
{
    enum dk_err err = dk_key_replace_private(key, state_dir, DK_KEY_FILE, fault);

    return err == DK_OK ? remove_file(state_dir, DK_NEW_KEY_FILE, fault) : err;
}

// The chain is signed by a token now: STATE/device.pem, when it holds the key `old_id`, goes.
static enum dk_err remove_replaced(const char *state_dir, const char *old_id, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *old = NULL;
    char path[PATH_MAX];
    enum dk_err err = path_of(state_dir, DK_KEY_FILE, path, fault);

    if (err != DK_OK || dk_key_read_private(path, &old, NULL) != DK_OK || strcmp(dk_key_id(old), old_id) != 0)
        return err;
    return remove_file(state_dir, DK_KEY_FILE, fault);
}

// The key that the last record hands the chain over to; *out stays NULL when it is no rotation. `from` is the key that
// it claims to be signed by, or "" when there is no record, or a damaged one.
static enum dk_err successor(struct dk_journal *journal, char from[static DK_SHA256_TEXT_SIZE], struct dk_key **out,
                             struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_JWS_MAX_BYTES);
    char sha256[DK_SHA256_TEXT_SIZE];
    struct dk_record_head head;
    struct dk_fault own = {0};
    int64_t seq = 0;
    enum dk_err err = dk_journal_head(journal, &seq, sha256, fault);

    if (err != DK_OK || seq == 0)
        return err;
    err = dk_journal_read(journal, seq, &jws, &own);
    if (err == DK_OK)
        err = dk_jws_key_id(jws.data, jws.len, DK_TYP_RECORD, from, &own);
    if (err == DK_OK)
        err = dk_jws_payload(jws.data, jws.len, &payload, &own);
    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &head, &own);
    if (err == DK_OK && head.kind == DK_KIND_ROTATION)
        err = dk_rotation_read(dk_buf_text(&payload), payload.len,
                               &(struct dk_rotation_place){head.device_id, from, head.seq, head.prev}, out, &own);
    if (err == DK_ERR_DATA)
        from[0] = '\0';
    return err == DK_OK || err == DK_ERR_DATA ? DK_OK : dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

// Whether the key at hand is the one that may sign the next record.
static enum dk_err check_turn(const char *state_dir, const char *from, const struct dk_key *next,
                              const struct dk_key *key, struct dk_fault *fault)
{
    if (next != NULL && strcmp(dk_key_id(next), dk_key_id(key)) != 0)
        return dk_fail(fault, DK_ERR_CONFIG, state_dir, "set [device] key to the new key, or bring it back",
                       "the last record hands this chain over to the key %s, but the key at hand is %s",
                       dk_key_id(next), dk_key_id(key));
    if (next == NULL && from[0] != '\0' && strcmp(from, dk_key_id(key)) != 0)
        return dk_fail(fault, DK_ERR_CONFIG, state_dir,
                       "bring that key back, as a file or by [device] key; dokiem keygen --rotate changes keys, and "
                       "without the old one a chain begins anew in another folder (--state)",
                       "the last record is signed by the key %s, but the key at hand is %s", from, dk_key_id(key));
    return DK_OK;
}

// True when record `seq` of the journal says just this.
static bool is_kept(struct dk_journal *journal, int64_t seq, const struct dk_buf *payload)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), kept = dk_buf_make(DK_JWS_MAX_BYTES);

    return dk_journal_read(journal, seq, &jws, NULL) == DK_OK &&
           dk_jws_payload(jws.data, jws.len, &kept, NULL) == DK_OK && kept.len == payload->len &&
           memcmp(dk_buf_text(&kept), dk_buf_text(payload), kept.len) == 0;
}

// Seals the record that dk_device_put_by left. What is not the next record of this chain is not sealed.
static enum dk_err seal_put_by(const char *state_dir, struct dk_journal *journal, const struct dk_key *key,
                               const struct dk_device_id *device, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES), jws = dk_buf_make(DK_JWS_MAX_BYTES);
    char folder[PATH_MAX], path[PATH_MAX], sha256[DK_SHA256_TEXT_SIZE];
    struct dk_fault own = {0};
    struct dk_record_head head;
    int64_t seq = 0;
    enum dk_err err = path_of(state_dir, DK_UNSEALED_FOLDER, folder, fault);

    if (err == DK_OK)
        err = path_of(folder, DK_UNSEALED_FILE, path, fault);
    if (err != DK_OK)
        return err;
    err = dk_file_read(path, &payload, &own);
    if (err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err == DK_OK)
        err = dk_journal_head(journal, &seq, sha256, &own);
    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &head, &own);
    if (err != DK_OK)
        return dk_fail(fault, err, path, own.todo, "%s", own.what);
    if (seq > 0 && head.seq == seq && is_kept(journal, seq, &payload))
        return remove_file(folder, DK_UNSEALED_FILE, fault);
    if (head.seq != seq + 1 || strcmp(head.prev, sha256) != 0 || strcmp(head.device_id, device->id) != 0 ||
        (head.kind != DK_KIND_MEASUREMENT && head.kind != DK_KIND_FAILED && head.kind != DK_KIND_SKIPPED))
        return dk_fail(fault, DK_ERR_DATA, path, "move it away; it is not going to be sealed",
                       "is not the next record of this chain");
    err = dk_seal(key, DK_TYP_RECORD, payload.data, payload.len, &jws, fault);
    if (err == DK_OK)
        err = dk_journal_append(journal, head.seq, jws.data, jws.len, fault);
    return err == DK_OK ? remove_file(folder, DK_UNSEALED_FILE, fault) : err;
}

enum dk_err dk_device_put_by(const char *state_dir, const struct dk_buf *payload, struct dk_fault *fault)
{
    char folder[PATH_MAX];
    enum dk_err err = path_of(state_dir, DK_UNSEALED_FOLDER, folder, fault);

    if (err == DK_OK)
        err = dk_directory_make(folder, fault);
    return err == DK_OK ? dk_file_write(folder, DK_UNSEALED_FILE, payload->data, payload->len, DK_WRITE_NEW, fault)
                        : err;
}

enum dk_err dk_device_settle(const char *state_dir, struct dk_journal *journal, struct dk_key **key,
                             struct dk_device_id *out, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *next = NULL, *made = NULL;
    char path[PATH_MAX], from[DK_SHA256_TEXT_SIZE] = "";
    enum dk_err err = path_of(state_dir, DK_NEW_KEY_FILE, path, fault);

    if (err == DK_OK)
        err = successor(journal, from, &next, fault);
    if (err == DK_OK && next != NULL && strcmp(dk_key_id(next), dk_key_id(*key)) != 0 &&
        dk_key_read_private(path, &made, NULL) == DK_OK && strcmp(dk_key_id(made), dk_key_id(next)) == 0) {
        err = put_in_place(state_dir, made, fault);
        // While the settings name a token, the key of the file is not the one at hand.
        if (err == DK_OK && !dk_key_is_elsewhere(*key)) {
            dk_key_free(*key);
            *key = made;
            made = NULL;
        }
    }
    if (err == DK_OK)
        err = check_turn(state_dir, from, next, *key, fault);
    if (err == DK_OK && next != NULL && dk_key_is_elsewhere(*key))
        err = remove_replaced(state_dir, from, fault);
    if (err == DK_OK)
        err = dk_device_chain(state_dir, *key, out, fault);
    return err == DK_OK ? seal_put_by(state_dir, journal, *key, out, fault) : err;
}

enum dk_err dk_device_adopt(const char *state_dir, struct dk_journal *journal, struct dk_key **key,
                            struct dk_device_id *out, struct dk_fault *fault)
{
    enum dk_err err = dk_device_settle(state_dir, journal, key, out, fault);

    return err == DK_OK ? keep_public(state_dir, *key, out, fault) : err;
}

enum dk_err dk_device_unchanged(const char *state_dir, struct dk_journal *journal, const char *key_id, int64_t seq,
                                struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *next = NULL;
    char path[PATH_MAX], from[DK_SHA256_TEXT_SIZE] = "", sha256[DK_SHA256_TEXT_SIZE];
    int64_t head = 0;
    enum dk_err err = path_of(state_dir, DK_UNSEALED_FOLDER "/" DK_UNSEALED_FILE, path, fault);

    if (err == DK_OK && access(path, F_OK) == 0)
        return dk_fail(fault, DK_ERR_NOT_NOW, "run", "run it again", "another run could not seal what it measured");
    if (err == DK_OK)
        err = dk_journal_head(journal, &head, sha256, fault);
    if (err != DK_OK || head == seq)
        return err;
    err = successor(journal, from, &next, fault);
    if (err != DK_OK || strcmp(next != NULL ? dk_key_id(next) : from, key_id) == 0 || from[0] == '\0')
        return err;
    return dk_fail(fault, DK_ERR_NOT_NOW, "run", "run it again", "this device's key was changed meanwhile");
}

// The new key: the one named, or one that was made for a change broken off before, or a fresh one.
static enum dk_err get_new_key(const char *state_dir, const char *new_key_name, const struct dk_key *old_key,
                               struct dk_key **out, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    char path[PATH_MAX];
    struct dk_fault own = {0};
    enum dk_err err = path_of(state_dir, DK_NEW_KEY_FILE, path, fault);

    if (err != DK_OK)
        return err;
    if (new_key_name[0] != '\0')
        return dk_token_open(new_key_name, out, fault);
    err = dk_key_read_private(path, &key, &own);
    if (err == DK_OK && strcmp(dk_key_id(key), dk_key_id(old_key)) == 0) {
        // It is in place already; only its first name was left.
        err = remove_file(state_dir, DK_NEW_KEY_FILE, fault);
        dk_key_free(key);
        key = NULL;
    } else if (err != DK_OK && err != DK_ERR_NO_INPUT) {
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    } else {
        err = DK_OK;
    }
    if (err == DK_OK && key == NULL) {
        err = dk_key_generate(&key, fault);
        if (err == DK_OK)
            err = dk_key_write_private(key, state_dir, DK_NEW_KEY_FILE, fault);
    }
    if (err == DK_OK) {
        *out = key;
        key = NULL;
    }
    return err;
}

static enum dk_err keep_rotation(struct dk_journal *journal, const struct dk_key *old_key,
                                 const struct dk_key *new_key, const struct dk_device_id *device,
                                 const struct dk_context *context, int64_t *seq, struct dk_fault *fault)
{
    struct dk_record_facts facts = {
        .kind = DK_KIND_ROTATION, .version = DK_VERSION, .start = dk_wall_now(), .context = context};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(JWK_FILE_MAX_BYTES), proof = dk_buf_make(DK_ROTATION_PROOF_MAX);
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES), jws = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_rotation_place place = {device->id, dk_key_id(old_key), 0, facts.prev};
    int64_t head = 0;
    enum dk_err err = dk_journal_head(journal, &head, facts.prev, fault);

    facts.end = facts.start;
    facts.seq = head + 1;
    place.seq = facts.seq;
    memcpy(facts.device_id, device->id, sizeof facts.device_id);
    if (err == DK_OK)
        err = dk_uuid7(facts.start, facts.id);
    if (err == DK_OK)
        err = dk_key_public_jwk(new_key, &jwk);
    if (err == DK_OK)
        err = dk_rotation_prove(new_key, &place, &proof, fault);
    facts.new_jwk = dk_buf_text(&jwk);
    facts.new_proof = dk_buf_text(&proof);
    if (err == DK_OK)
        err = dk_record_build(&facts, &payload, fault);
    if (err == DK_OK)
        err = dk_seal(old_key, DK_TYP_RECORD, payload.data, payload.len, &jws, fault);
    if (err == DK_OK)
        err = dk_journal_append(journal, facts.seq, jws.data, jws.len, fault);
    *seq = facts.seq;
    return err == DK_OK ? DK_OK : dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
}

enum dk_err dk_device_rotate(const char *state_dir, const char *new_key_name, struct dk_journal *journal,
                             const struct dk_key *old_key, const struct dk_device_id *device,
                             const struct dk_context *context, char new_id[static DK_SHA256_TEXT_SIZE], int64_t *seq,
                             struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *new_key = NULL;
    // Nobody may lose the old public key: the records that it signed need it.
    enum dk_err err = keep_public(state_dir, old_key, device, fault);

    if (err == DK_OK)
        err = get_new_key(state_dir, new_key_name, old_key, &new_key, fault);
    if (err == DK_OK && strcmp(dk_key_id(new_key), dk_key_id(old_key)) == 0)
        err = dk_fail(fault, DK_ERR_USAGE, "--new-key", NULL, "is the key that signs already");
    if (err == DK_OK)
        err = keep_public(state_dir, new_key, device, fault);
    if (err == DK_OK)
        err = keep_rotation(journal, old_key, new_key, device, context, seq, fault);
    if (err == DK_OK)
        err = dk_key_is_elsewhere(new_key) ? remove_replaced(state_dir, dk_key_id(old_key), fault)
                                           : put_in_place(state_dir, new_key, fault);
    if (err == DK_OK)
        snprintf(new_id, DK_SHA256_TEXT_SIZE, "%s", dk_key_id(new_key));
    return err;
}
