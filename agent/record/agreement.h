// SPDX-License-Identifier: Apache-2.0
//
// Whether a device and a reference server tell the same of a run (docs/methodology.md, "The server's word").
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/record/record.h"
#include "agent/record/ring.h"
#include "agent/record/word.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the device says of one direction.
struct dk_claim_direction {
    bool measured;
    int64_t bytes, duration_ns, rate_whole_bps;
};

struct dk_claim {
    char run[DK_RUN_ID_SIZE];
    struct dk_wall start, end;
    bool clock_synchronised;
    struct dk_claim_direction download, upload;
};

// DK_OK when both agree within the limits. Errors: DATA, naming the direction and both figures.
enum dk_err dk_agree(const struct dk_claim *claim, const struct dk_word *word, struct dk_fault *fault);

// What a record comes to. Names for programs.
#define DK_WITNESS_LIST(X)                                                                                   \
    X(NONE, "none")                                                                                          \
    X(UNCHECKED, "unchecked") /* there is a word, but the key of its server is not at hand */                \
    X(AGREES, "agrees")                                                                                      \
    X(DIFFERS, "differs")                                                                                    \
    X(INVALID, "invalid") /* not signed by the server it names, or no word about this run */

enum dk_witness {
#define X(name, text) DK_WITNESS_##name,
    DK_WITNESS_LIST(X)
#undef X
};
// "none", "unchecked" …; never NULL.
const char *dk_witness_text(enum dk_witness witness);

// Looks for a server's word in a record's payload and compares the two. `servers` are the keys of reference servers.
// *why says what differs, or is wrong. Errors: MEMORY.
enum dk_err dk_witness_find(const char *payload, size_t len, const struct dk_keys *servers, enum dk_witness *out,
                            struct dk_fault *why);
