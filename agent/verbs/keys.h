// SPDX-License-Identifier: Apache-2.0
//
// The keys that records are checked with, and the check of one record.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/record/key.h"
#include "agent/record/record.h"

#include <stddef.h>

// The keys of --key FILE, else (`file` is NULL) the state's own. *out is set only on success.
// Errors: as dk_keys_read_public and dk_key_read_private.
enum dk_err dk_verb_keys(const char *file, const char *state_dir, struct dk_keys *out, struct dk_fault *fault);

// Checks one sealed record against `keys`: its signature, its head, and that the key that signed is that of the device
// it names. Appends the payload (buffer of DK_JWS_MAX_BYTES) once the signature holds. Errors: DATA, MEMORY.
enum dk_err dk_record_check(const struct dk_keys *keys, const char *jws, size_t len, struct dk_record_head *head,
                            struct dk_buf *payload, struct dk_fault *fault);
