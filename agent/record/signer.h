// SPDX-License-Identifier: Apache-2.0
//
// A private key in a process of its own, so that the one which reads what others send has it neither in its memory nor
// in its reach. The signer gets the key, shuts itself in, and signs one kind of JWS; it ends when its caller does. What
// it cannot prevent: a caller that was taken over could have it sign what it likes, of that kind, as long as it lives.
#pragma once

#include "agent/base/error.h"
#include "agent/base/sandbox.h"
#include "agent/record/key.h"

#include <stddef.h>
#include <stdint.h>

// Gets the private key, in the new process: from a file, or from a library that it loads. What it leaves in `told` is
// told to the caller. *out is owned by the caller. Errors: its own, which dk_signer_start hands on.
typedef enum dk_err dk_signer_get(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault);

enum { DK_SIGNER_TOLD_MAX = 256 };

struct dk_signer_plan {
    dk_signer_get *get;
    const void *argument;           // borrowed
    const char *typ;                // of the JWS it signs (agent/record/seal.h); NULL: it signs none, and ends at once
    int64_t max;                    // of signatures; 0: as many as are asked for
    const struct dk_sandbox *walls; // of the new process; NULL: no files, no sockets
    void *told;                     // what `get` left, `told_size` bytes, DK_SIGNER_TOLD_MAX at most; NULL for none
    size_t told_size;
};

// Starts it. *out is the public key, and dk_key_sign and dk_seal with it have the signer sign; dk_key_free ends the
// signer. Call before threads, sockets and the sandbox. Errors: those of `get`; IO (no process), MEMORY. Later ones,
// of dk_key_sign: those of the key that `get` got, a token's as well, in their words; IO (the signer is gone, or has
// signed all it would), INTERNAL (it does not sign this).
enum dk_err dk_signer_start(const struct dk_signer_plan *plan, struct dk_key **out, struct dk_fault *fault);

// dk_signer_get for a file that dk_key_read_private reads; `argument` is its path.
dk_signer_get dk_signer_get_file;
