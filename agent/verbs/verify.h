// SPDX-License-Identifier: Apache-2.0
//
// What the verb verify says of what was found, for people and for programs.
#pragma once

#include "agent/base/error.h"
#include "agent/record/verifier.h"

#include <stdbool.h>
#include <stddef.h>

struct dk_verify_result {
    bool good; // everything was as it must be
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
