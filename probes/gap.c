// SPDX-License-Identifier: Apache-2.0
#include "probes/gap.h"

#include <math.h>
#include <sys/random.h>

int64_t dk_gap_of(uint32_t random, int64_t mean_ns)
{
    // In the middle of its step, so that it is neither 0, whose logarithm is none, nor 1.
    double share = ((double)random + 0.5) / 4294967296.0;

    return (int64_t)(-log(share) * (double)mean_ns);
}

int64_t dk_gap_ns(enum dk_sampling sampling, int64_t interval_ns)
{
    uint32_t random = 0;

    // Without randomness the interval is the mean.
    if (sampling != DK_SAMPLING_POISSON || getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return interval_ns;
    return dk_gap_of(random, interval_ns);
}
