// SPDX-License-Identifier: Apache-2.0
//
// The data budget of a link: asked before a run, with the most that it can use, which is then counted at once, so that
// a power cut cannot make it forgotten; after the run what it did not use is given back.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/context/context.h"
#include "config/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dk_budget {
    bool counted;           // there is a limit to count for
    const char *state_dir;  // borrowed from the settings
    char link[DK_NAME_SIZE];
    struct dk_wall when;
    int64_t reserved_bytes;
};

// Asks for `bound_bytes` on the link of `context`. When the budget does not allow it *admitted is false and `reason`
// ("budget: …") says why; with `ignore` it always does. Hold the run lock. Errors: as dk_usage_add.
enum dk_err dk_budget_admit(const struct dk_settings *settings, const struct dk_context *context, int64_t bound_bytes,
                            bool ignore, struct dk_budget *out, bool *admitted, char *reason, size_t reason_size,
                            struct dk_fault *fault);

// Counts what was used instead of what was asked for. Errors: as dk_usage_add.
enum dk_err dk_budget_settle(const struct dk_budget *budget, int64_t used_bytes, struct dk_fault *fault);
