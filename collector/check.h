// SPDX-License-Identifier: Apache-2.0
//
// Whether what is kept is still what was received: the database, and every record with its receipt.
#pragma once

#include <stdint.h>

#include "agent/base/error.h"
#include "agent/record/key.h"
#include "collector/store.h"

// Checks the database, then every record: its hash, its signature by a key of its device, its place in the chain, and,
// with `collector` (else NULL), its receipt. Calls `say` for each that is damaged. *checked counts all records.
// Errors: DATA (something is damaged), as the store.
enum dk_err dk_check(struct dk_store *store, const struct dk_key *collector, void (*say)(const struct dk_fault *fault),
                     int64_t *checked, struct dk_fault *fault);
