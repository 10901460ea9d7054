// SPDX-License-Identifier: Apache-2.0
//
// The public keys of devices, read once and kept: building one costs as much as a signature. A table of fixed size;
// the key that was not asked for longest goes. A key is named by its own hash, so what is kept cannot become untrue.
#pragma once

#include "agent/base/error.h"
#include "agent/record/key.h"
#include "collector/store.h"

struct dk_signers;

// Errors: MEMORY.
enum dk_err dk_signers_new(struct dk_signers **out);
void dk_signers_free(struct dk_signers *signers);
DK_DEFINE_FREE(signers, struct dk_signers, dk_signers_free)

// The key that `jwk` holds, whose id is `id`; borrowed until the next call.
// Errors: DATA (it is no such key), MEMORY.
enum dk_err dk_signers_get(struct dk_signers *signers, const char *id, const char *jwk, const struct dk_key **out,
                           struct dk_fault *fault);
