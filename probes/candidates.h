// SPDX-License-Identifier: Apache-2.0
//
// How far away the servers are: TCP connections to all of them at once, before one is chosen.
#pragma once

#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "probes/loop.h"
#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DK_CANDIDATE_CONNECTS = 3, // each server is connected to, one after the other; their median counts
    DK_CANDIDATES_MAX_MS = 3000, // for all, names included: long enough for a SYN that has to be sent twice
    DK_CANDIDATE_BYTES = 1024, // on the wire, at most: a name looked up and one connection
};

// Fills status, reason, connect_ns and connects of `count` candidates that have a URL. One that has no connection when
// the time is over, or refuses the first, is FAILED. Runs the loop until all have answered, the time is over, or
// *interrupted. `interface` ("" for any) and `family` are as in the plan. Errors: MEMORY, IO, INTERNAL.
enum dk_err dk_candidates_ask(struct dk_loop *loop, enum dk_family family, const char *interface,
                              const bool *interrupted, struct dk_candidate *candidates, size_t count,
                              struct dk_fault *fault);
