// SPDX-License-Identifier: Apache-2.0
//
// What the verb verify says of what was found, for people and for programs.
#pragma once

#include "agent/base/error.h"
#include "agent/record/verifier.h"

#include <stdbool.h>
#include <stddef.h>

// True when everything was as it must be.
struct dk_verify_result {
    bool good;
};

// Prints a line for each record, the broken places, and a summary for each device. Errors: MEMORY.
enum dk_err dk_verify_print_text(const struct dk_verifier *verifier, struct dk_verify_result *out,
                                 struct dk_fault *fault);
// The same as one JSON object (docs/evidence.md). Errors: MEMORY, IO.
enum dk_err dk_verify_print_json(const struct dk_verifier *verifier, struct dk_verify_result *out,
                                 struct dk_fault *fault);
