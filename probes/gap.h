// SPDX-License-Identifier: Apache-2.0
//
// How long to wait from one sending to the next.
#pragma once

#include <stdint.h>

#include "agent/base/terms.h"

// From 32 random bits, an interval of the exponential distribution with that mean (RFC 2330 section 11.1.1): so much is
// between the events of a Poisson process. In ns, from 0 to 23 times the mean; mean_ns 0 … 10^15.
int64_t dk_gap_of(uint32_t random, int64_t mean_ns);

// The interval after which the next is to be sent: `interval_ns` itself, or one drawn at random, of that mean.
int64_t dk_gap_ns(enum dk_sampling sampling, int64_t interval_ns);
