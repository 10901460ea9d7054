// SPDX-License-Identifier: Apache-2.0
//
// The test's own packets, captured while it runs: headers only, through a filter in the kernel, read on the run's loop.
// Of all else on the interface only the lengths are taken.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "probes/loop.h"
#include "probes/measurement.h"

struct dk_live;

// Begins to capture packets to and from `server` (a numeric address) on `interface`, and keeps their headers as
// wire->evidence, up to `evidence_max_bytes`, 0 for none. *out is owned by the caller, and
// NULL when it cannot be: then wire->status and wire->reason say why. Errors: MEMORY, INTERNAL (the loop is full).
enum dk_err dk_live_open(struct dk_loop *loop, const char *interface, const char *server, int64_t evidence_max_bytes,
                         struct dk_live **out, struct dk_wire *wire);

// Reads what is left, stops, and fills *wire. Errors: MEMORY.
enum dk_err dk_live_conclude(struct dk_live *live, struct dk_wire *wire);

// Takes it off the loop and frees it. NULL is fine.
void dk_live_free(struct dk_live *live);

DK_DEFINE_FREE(live, struct dk_live, dk_live_free)
