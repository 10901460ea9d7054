// SPDX-License-Identifier: Apache-2.0
//
// A change of the device's key: a record of kind "rotation", signed by the old key, names the new one, and holds the
// new one's own word that it takes this chain over. The record after it is signed by the new key.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/record/key.h"

#include <stddef.h>
#include <stdint.h>

enum { DK_ROTATION_PROOF_MAX = 2048 };

// Where in the chain the key changes.
struct dk_rotation_place {
    const char *device; // id of the chain
    const char *from;   // id of the key that signs the record
    int64_t seq;        // of the record
    const char *prev;   // of the record; "" for none
};

// Appends the new key's word (a JWS, typ dokiem-rotation) to `out`. Errors: as dk_seal.
enum dk_err dk_rotation_prove(const struct dk_key *new_key, const struct dk_rotation_place *place, struct dk_buf *out,
                              struct dk_fault *fault);

// Reads the new public key from the payload of a rotation record whose signature, place and form were checked, and
// checks the new key's word. *out is owned by the caller. Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_rotation_read(const char *payload, size_t len, const struct dk_rotation_place *place,
                             struct dk_key **out, struct dk_fault *fault);
