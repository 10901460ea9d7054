// SPDX-License-Identifier: Apache-2.0
//
// Who this device is: the key that signs, and the chain that it signs for. The chain is named by the device's first key
// and outlives it: a change of key (docs/evidence.md) is a record of the chain. All of it can be broken off at any
// point; what was begun is ended by whoever opens the device next.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/context/context.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"

#include <stdint.h>

struct dk_device_id {
    char id[DK_SHA256_TEXT_SIZE]; // of the chain
};

// Opens the device's private key: STATE/device.pem, or the one in a token that `key_name` names, a PKCS#11 URI, when it
// is not "". Errors: as dk_key_read_private, or dk_token_open.
enum dk_err dk_device_key(const char *state_dir, const char *key_name, struct dk_key **out, struct dk_fault *fault);

// The chain that `key` signs for. Errors: DATA (STATE/keys is damaged), IO, MEMORY.
enum dk_err dk_device_chain(const char *state_dir, const struct dk_key *key, struct dk_device_id *out,
                            struct dk_fault *fault);

// Ends a change of key that was broken off, sees that *key, as it then is, is the one that may sign the next record,
// and seals the record that was put by. Hold the lock for runs. Errors: CONFIG (another key signs this chain), DATA
// (what was put by is not its next record), of the files, and of dk_seal.
enum dk_err dk_device_settle(const char *state_dir, struct dk_journal *journal, struct dk_key **key,
                             struct dk_device_id *out, struct dk_fault *fault);

// Begins, or goes on with, a chain that a key in a token signs: dk_device_settle, and the public key is kept in
// STATE/keys, so that what only reads records needs no token. Hold the lock for runs. Errors: as dk_device_settle.
enum dk_err dk_device_adopt(const char *state_dir, struct dk_journal *journal, struct dk_key **key,
                            struct dk_device_id *out, struct dk_fault *fault);

// Keeps the payload of the next record, which could not be sealed because the token, or the process that has the key,
// is gone, for dk_device_settle. Durable when it returns DK_OK. Hold the lock for runs.
// Errors: as dk_file_write with DK_WRITE_NEW.
enum dk_err dk_device_put_by(const char *state_dir, const struct dk_buf *payload, struct dk_fault *fault);

// Sees that `key_id`, which was settled when the last record was number `seq`, is still the key that may sign the next
// one, and that nothing was put by since: either needs no more than the moment between two runs. Hold the lock for
// runs. Errors: NOT_NOW (it is not so), and of the files.
enum dk_err dk_device_unchanged(const char *state_dir, struct dk_journal *journal, const char *key_id, int64_t seq,
                                struct dk_fault *fault);

// Changes the key: the record that says so is kept in the journal, and the next one will be signed by the new key.
// The new key is made as STATE/device.pem, or is the one in a token that `new_key_name` names when that is not ""
// (then the setting [device] key must name it from now on, and a STATE/device.pem that it takes over from goes).
// *old_key is the one that signs until now. *new_id gets the new key's thumbprint, *seq the record's number. Hold the
// lock for runs. When it fails nothing has changed, or dk_device_settle ends it. Errors: of the files, the journal, the
// keys.
enum dk_err dk_device_rotate(const char *state_dir, const char *new_key_name, struct dk_journal *journal,
                             const struct dk_key *old_key, const struct dk_device_id *device,
                             const struct dk_context *context, char new_id[static DK_SHA256_TEXT_SIZE], int64_t *seq,
                             struct dk_fault *fault);
