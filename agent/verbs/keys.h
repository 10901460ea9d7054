// SPDX-License-Identifier: Apache-2.0
//
// Rings of public keys: from files that a person names, and from the state folder.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/record/record.h"
#include "agent/record/ring.h"

// Adds the keys of `path`: a file (JWK, JWK set, PEM), or a folder, of which every *.jwk, *.jwks, *.json and *.pem is
// read. `role` is given to those that name none; DK_ROLE_ANY gives none.
// Errors: NO_INPUT, PERMISSION, DATA, IO, MEMORY.
enum dk_err dk_ring_read_path(const char *path, enum dk_role role, struct dk_keys *ring, struct dk_fault *fault);

// Adds the public keys of the device itself and those that it had before, and the keys of the collectors that it was
// enrolled at. A token is not asked. Errors: NO_INPUT (no key), PERMISSION, DATA, IO, MEMORY.
enum dk_err dk_ring_read_state(const char *state_dir, struct dk_keys *ring, struct dk_fault *fault);

// The same, of a device whose own key is `own`: no private key is read. Errors: PERMISSION, DATA, IO, MEMORY.
enum dk_err dk_ring_read_known(const char *state_dir, const struct dk_key *own, struct dk_keys *ring,
                               struct dk_fault *fault);

// The keys of --key PATH, else (`path` is NULL) those of the state folder. Errors: as above.
enum dk_err dk_verb_keys(const char *path, const char *state_dir, struct dk_keys *out, struct dk_fault *fault);

// Checks the signature of one sealed record against `keys`, appends the payload (as below) and sets *signer, borrowed
// from the keys. What the payload says is not looked at: ask dk_proof_of_key. Errors: DATA, MEMORY.
enum dk_err dk_record_open(const struct dk_keys *keys, const char *jws, size_t len, const struct dk_ring_key **signer,
                           struct dk_buf *payload, struct dk_fault *fault);

// Checks one sealed record against `keys`: its signature, its head, and that the key that signed may sign it. A change
// of key is not followed: the new key must be among them. Appends the payload (buffer of DK_JWS_MAX_BYTES) once the
// signature holds. Errors: DATA, MEMORY.
enum dk_err dk_record_check(const struct dk_keys *keys, const char *jws, size_t len, struct dk_record_head *head,
                            struct dk_buf *payload, struct dk_fault *fault);
