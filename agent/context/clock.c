// SPDX-License-Identifier: Apache-2.0
#include "agent/context/parts.h"

#include <sys/timex.h>

void dk_clock_gather(struct dk_clock *out)
{
    struct timex state = {.modes = 0}; // reads only

    *out = (struct dk_clock){.state = DK_CLOCK_UNKNOWN, .estimated_error_ns = -1, .maximum_error_ns = -1};
    if (adjtimex(&state) < 0)
        return;
    out->state = (state.status & STA_UNSYNC) != 0 ? DK_CLOCK_UNSYNCHRONISED : DK_CLOCK_SYNCHRONISED;
    // Both are in µs, whatever STA_NANO says.
    if (state.esterror >= 0)
        out->estimated_error_ns = (int64_t)state.esterror * DK_NS_PER_US;
    if (state.maxerror >= 0)
        out->maximum_error_ns = (int64_t)state.maxerror * DK_NS_PER_US;
}
