// SPDX-License-Identifier: Apache-2.0
//
// The chain of records, looked at from outside: what is missing, doubled, forked or out of order among the records
// somebody holds. Pure; the signatures were checked before.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One verified record.
struct dk_chain_link {
    char device_id[DK_SHA256_TEXT_SIZE];
    int64_t seq;
    char prev[DK_SHA256_TEXT_SIZE];   // "" for null
    char sha256[DK_SHA256_TEXT_SIZE]; // base64url SHA-256 of its JWS
    struct dk_wall start;             // by the device's clock
    int64_t dropped_first, dropped_last; // records that it says were dropped; 0: none
    bool needed;                         // a change of key, which devices keep longer than the records around it
    size_t position;                     // in the order the records were given
};

// Name for programs, and words for people: {1} and {2} stand for numbers of records. The kinds from CLOCK on are
// no break of the chain: a clock that was set back makes a date doubtful, not a record, and a gap that a record of the
// device explains is none.
#define DK_CHAIN_PROBLEM_LIST(X)                                                                             \
    X(MISSING, "missing", N_("record {1} is missing"))                                                       \
    X(MISSING_SEVERAL, "missing", N_("records {1} to {2} are missing"))                                      \
    X(ORDER, "order", N_("record {1} was given after record {2}: they are not in order"))                    \
    X(TWICE, "twice", N_("record {1} was given twice"))                                                      \
    X(FORK, "fork", N_("the chain forks: there are different records {1}"))                                  \
    X(PREV, "prev", N_("record {1} does not follow the record {2} given: its prev names another"))           \
    X(CLOCK, "clock", N_("the clock of the device went backwards: record {1} is dated before record {2}"))      \
    X(DROPPED, "dropped", N_("records {1} to {2} were dropped on the device for want of room, as a record of it says"))

enum dk_chain_problem_kind {
#define X(name, code, words) DK_CHAIN_##name,
    DK_CHAIN_PROBLEM_LIST(X)
#undef X
};

struct dk_chain_problem {
    enum dk_chain_problem_kind kind;
    int64_t first, second; // {1} and {2}
};

// The code of a problem ("missing", "fork" …) and its words in English with {1} and {2} in them; never NULL.
const char *dk_chain_code(enum dk_chain_problem_kind kind);
const char *dk_chain_words(enum dk_chain_problem_kind kind);
// Appends `words`, in whatever language, with the numbers put in. Errors as dk_buf_append.
enum dk_err dk_chain_tell(const struct dk_chain_problem *problem, const char *words, struct dk_buf *out);

// The records of one device. `problems` is how many were told, doubts not among them; 0 means whole from `first` to
// `last`. `doubts` counts dates that go backwards, and gaps that are explained.
struct dk_chain_span {
    char device_id[DK_SHA256_TEXT_SIZE];
    int64_t first, last; // seq
    size_t records, problems, doubts;
};

struct dk_chain_listener {
    // What is wrong, borrowed for the call.
    void (*problem)(void *argument, const char *device_id, const struct dk_chain_problem *problem);
    // Called once a device, after its problems.
    void (*span)(void *argument, const struct dk_chain_span *span);
    void *argument;
};

// Looks through `count` links and tells the listener, device by device. The links are sorted in place.
// A chain that begins after record 1 is whole: older records may have been removed once delivered. Of those, what is
// needed or explains a gap may be left: gaps before the first other record are none, and the span begins after them.
void dk_chain_check(struct dk_chain_link *links, size_t count, const struct dk_chain_listener *listener);
