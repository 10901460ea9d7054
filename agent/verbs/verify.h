// SPDX-License-Identifier: Apache-2.0
//
// What the verb verify says of what was found, for people and for programs.
#pragma once

#include "agent/base/error.h"
#include "agent/record/time_stamp.h"
#include "agent/record/verifier.h"

#include <stdbool.h>
#include <stddef.h>

// What time stamps say of one item of the verifier: the earliest that covers it.
struct dk_stamped {
    const struct dk_time_stamp *by; // NULL: none
    int64_t seq;                    // of the record that it is the stamp of: this one, or a later one of the chain
    bool early;                     // before the record's own end: the device's clock was ahead
    bool before_revocation;         // of the record's key: nobody made it with a stolen one
};

struct dk_bad_time_stamp {
    char *file, *reason; // clean; owned
};

// The time stamps that were given; start with all zero but `tsa`.
struct dk_time_stamps {
    const struct dk_tsa *tsa; // borrowed; NULL: they are counted and not checked
    // Owned:
    struct dk_time_stamp *stamps; // good ones
    size_t count;
    struct dk_bad_time_stamp *bad;
    size_t bad_count;
    size_t unchecked, alone;    // alone: without their record
    struct dk_stamped *stamped; // one for each item of the verifier, after dk_time_stamps_join
};

// Whether that is the name of a time stamp: NAME.tsr.
bool dk_is_time_stamp(const char *name);
// Takes `path` when it is one, or else those that it holds as a folder; *found says how many these are.
// Errors: NO_INPUT, PERMISSION, IO, MEMORY. What is wrong with a stamp is told in `bad`.
enum dk_err dk_time_stamps_take(struct dk_time_stamps *time_stamps, const char *path, size_t *found,
                                struct dk_fault *fault);
// All was taken, and the verifier has finished: says of each record which stamp covers it. Errors: MEMORY.
enum dk_err dk_time_stamps_join(struct dk_time_stamps *time_stamps, const struct dk_verifier *verifier,
                                struct dk_fault *fault);
void dk_time_stamps_free(struct dk_time_stamps *time_stamps); // what it owns, not itself

struct dk_verify_result {
    bool good; // everything was as it must be
    const struct dk_time_stamps *time_stamps; // borrowed
    bool evidence_checked;
    size_t evidence_good, evidence_missing, evidence_bad; // of good records that have evidence
};

// Checks, for every good record that has evidence, that the file of its id in `folder` has the hash that was signed,
// and counts in *out. With `text` a line for each that is not there or another. Errors: MEMORY, INTERNAL.
enum dk_err dk_verify_evidence(const struct dk_verifier *verifier, const char *folder, bool text,
                               struct dk_verify_result *out, struct dk_fault *fault);

// Prints a line for each record, the broken places, and a summary for each device. Errors: MEMORY.
enum dk_err dk_verify_print_text(const struct dk_verifier *verifier, struct dk_verify_result *out,
                                 struct dk_fault *fault);
// The same as one JSON object (docs/evidence.md). Errors: MEMORY, IO.
enum dk_err dk_verify_print_json(const struct dk_verifier *verifier, struct dk_verify_result *out,
                                 struct dk_fault *fault);
