// SPDX-License-Identifier: Apache-2.0
//
// When a direction may end before its time (docs/methodology.md, "When a test ends"): a pure function of what was
// seen so far.
#pragma once

#include "agent/base/terms.h"
#include "probes/measurement.h"
#include "probes/probe.h"

#include <stdbool.h>
#include <stdint.h>

struct dk_stop_rule {
    enum dk_stop stop;      // PRECISE or VERDICT, which without a threshold is PRECISE; others end nothing early
    int64_t duration_ns;    // of the whole test, > 0
    int64_t precision_ppm;  // PRECISE: the most that half of the 95 % interval may be of the rate
    const struct dk_thresholds *thresholds;
};

// True when `rule` lets the test end after the intervals of `series`: *out is then PRECISE or VERDICT. One stream is
// enough (dk_sampler_total). PRECISE: from 2.2 s after the start-up on, when in the last half second the line was
// steady and the interval narrow enough. VERDICT: when for each threshold what is still to come cannot change which
// side of it the line is on.
bool dk_stop_now(const struct dk_series *series, const struct dk_stop_rule *rule, enum dk_stop *out);
