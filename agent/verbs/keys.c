// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/keys.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/record/seal.h"
#include "agent/record/signer.h"
#include "agent/record/verifier.h"
#include "agent/state.h"

enum { KEY_FILE_MAX_BYTES = 16 << 20 };

static int is_key(const struct dirent *entry)
{
    static const char *const ends[] = {".jwk", ".jwks", ".json", ".pem"};
    const char *dot = strrchr(entry->d_name, '.');

    for (size_t i = 0; dot != NULL && entry->d_name[0] != '.' && i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(dot, ends[i]) == 0)
            return 1;
    return 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum dk_err read_file(const char *path, enum dk_role role, struct dk_keys *ring, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(KEY_FILE_MAX_BYTES);
    dk_auto_keys struct dk_keys own = {0};
    enum dk_err err = dk_file_read(path, &text, fault);

    if (err == DK_OK)
        err = dk_keys_read_public(path, dk_buf_text(&text), text.len, &own, fault);
    for (size_t i = 0; i < own.count; i++)
        if (own.keys[i].role == DK_ROLE_ANY)
            own.keys[i].role = role;
    return err == DK_OK ? dk_ring_merge(path, ring, &own, fault) : err;
}

static enum dk_err read_folder(const char *path, struct dirent **entries, int count, enum dk_role role,
                               struct dk_keys *ring, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;

    for (int i = 0; i < count && err == DK_OK; i++) {
        char name[PATH_MAX];

        if (snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name) >= (int)sizeof name)
            return dk_fail(fault, DK_ERR_IO, path, NULL, "the path is too long");
        err = read_file(name, role, ring, fault);
    }
    return err;
}

enum dk_err dk_ring_read_path(const char *path, enum dk_role role, struct dk_keys *ring, struct dk_fault *fault)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_key, by_bytes);

    if (count < 0)
        return read_file(path, role, ring, fault); // which says what is wrong

    enum dk_err err = count > 0 ? read_folder(path, entries, count, role, ring, fault)
                                : dk_fail(fault, DK_ERR_NO_INPUT, path, "put the public keys there",
                                          "holds no keys (*.jwk, *.jwks, *.json, *.pem)");

    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return err;
}

// Adds what STATE/`name` holds, if it is there.
static enum dk_err add_of_state(const char *state_dir, const char *name, enum dk_role role, struct dk_keys *ring,
                                struct dk_fault *fault)
{
    char path[PATH_MAX + 64];
    struct dk_fault reading = {0};

    snprintf(path, sizeof path, "%s/%s", state_dir, name);

    enum dk_err err = dk_ring_read_path(path, role, ring, &reading);

    return err == DK_OK || err == DK_ERR_NO_INPUT
               ? DK_OK
               : dk_fail(fault, err, reading.where, reading.todo, "%s", reading.what);
}

enum dk_err dk_ring_read_known(const char *state_dir, const struct dk_key *own, struct dk_keys *ring,
                               struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1024);
    enum dk_err err = add_of_state(state_dir, DK_KEYS_FOLDER, DK_ROLE_ANY, ring, fault);

    if (err != DK_OK)
        return err;
    err = dk_key_public_jwk(own, &jwk);
    if (err == DK_OK)
        err = dk_keys_read_public(DK_KEY_FILE, dk_buf_text(&jwk), jwk.len, ring, fault);
    if (err != DK_OK)
        return dk_fail(fault, err, DK_KEY_FILE, NULL, "%s", dk_err_text(err));
    return add_of_state(state_dir, DK_COLLECTOR_KEY_FILE, DK_ROLE_COLLECTOR, ring, fault);
}

enum dk_err dk_ring_read_state(const char *state_dir, struct dk_keys *ring, struct dk_fault *fault)
{
    char path[PATH_MAX + sizeof DK_KEY_FILE + 1];
    // Another process reads the private key, so that nothing of it is left in this one's memory.
    const struct dk_signer_plan plan = {.get = dk_signer_get_file, .argument = path};
    dk_auto(key) struct dk_key *own = NULL;
    struct dk_fault reading = {0};

    snprintf(path, sizeof path, "%s/%s", state_dir, DK_KEY_FILE);

    enum dk_err err = dk_signer_start(&plan, &own, &reading);

    if (err == DK_OK)
        return dk_ring_read_known(state_dir, own, ring, fault);
    if (err == DK_ERR_NO_INPUT) {
        // The public part of a key in a token is in the folder.
        enum dk_err kept = add_of_state(state_dir, DK_KEYS_FOLDER, DK_ROLE_ANY, ring, fault);

        if (kept != DK_OK)
            return kept;
        if (ring->count > 0)
            return add_of_state(state_dir, DK_COLLECTOR_KEY_FILE, DK_ROLE_COLLECTOR, ring, fault);
    }
    return dk_fail(fault, err, reading.where, reading.todo, "%s", reading.what);
}

enum dk_err dk_verb_keys(const char *path, const char *state_dir, struct dk_keys *out, struct dk_fault *fault)
{
    return path != NULL ? dk_ring_read_path(path, DK_ROLE_ANY, out, fault)
                        : dk_ring_read_state(state_dir, out, fault);
}

enum dk_err dk_record_open(const struct dk_keys *keys, const char *jws, size_t len, const struct dk_ring_key **signer,
                           struct dk_buf *payload, struct dk_fault *fault)
{
    char id[DK_SHA256_TEXT_SIZE];
    enum dk_err err = dk_jws_key_id(jws, len, DK_TYP_RECORD, id, fault);

    if (err != DK_OK)
        return err;

    const struct dk_ring_key *key = dk_ring_find(keys, id);

    if (key == NULL)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "signed by another key: kid \"%s\" is not at hand", id);
    *signer = key;
    return dk_open(key->key, DK_TYP_RECORD, jws, len, payload, fault);
}

enum dk_err dk_record_check(const struct dk_keys *keys, const char *jws, size_t len, struct dk_record_head *head,
                            struct dk_buf *payload, struct dk_fault *fault)
{
    const struct dk_ring_key *key = NULL;
    enum dk_proof proof;
    enum dk_err err = dk_record_open(keys, jws, len, &key, payload, fault);

    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(payload), payload->len, head, fault);
    return err == DK_OK ? dk_proof_of_key(key, head, &proof, fault) : err;
}
