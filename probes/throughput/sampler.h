// SPDX-License-Identifier: Apache-2.0
//
// Turns what each stream had moved at the moments it was looked at into bytes per interval on one common grid: a
// pure computation, so that a late look costs accuracy of one interval and nothing else.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "probes/measurement.h"

#include <stddef.h>
#include <stdint.h>

// What a stream had moved at a look, since the common start.
struct dk_moved {
    int64_t bytes;        // in order
    int64_t excess_bytes; // that came beside them: out of order, or a second time; what is handed up leaves it
    int64_t held_bytes;   // of the excess, as far as is known at this look, what came out of order
};

struct dk_sampler {
    int64_t interval_ns;
    size_t streams;               // the caller may let more take part, up to the number of init
    int64_t joined_ns[DK_STREAMS_MAX]; // set by the caller: when each began, from the start on
    size_t count_max;             // intervals there is room for
    struct dk_mono start;         // of interval 0
    struct dk_mono last;          // the latest look
    int64_t last_bytes[DK_STREAMS_MAX]; // cumulative, in order, at the latest look
    int64_t last_excess_bytes[DK_STREAMS_MAX], last_held_bytes[DK_STREAMS_MAX];
    size_t count;                 // intervals that are complete
    int64_t *at_grid;             // [stream][k]: cumulative bytes in order at the end of interval k; owned
    int64_t *excess_at_grid;      // likewise
};

// Room for `duration_ns` (rounded up to whole intervals) of `streams` streams. Errors: MEMORY.
enum dk_err dk_sampler_init(struct dk_sampler *sampler, size_t streams, int64_t interval_ns, int64_t duration_ns);
void dk_sampler_free(struct dk_sampler *sampler);

// The common start: all streams have moved 0 bytes.
void dk_sampler_start(struct dk_sampler *sampler, struct dk_mono start);

// At `now` stream s had moved moved[s] in all. Between two looks a stream is taken to move evenly. A count of bytes
// that goes back (it cannot) is taken as unchanged.
void dk_sampler_look(struct dk_sampler *sampler, struct dk_mono now, const struct dk_moved moved[]);

// In both series a byte counts when it came, in order or not: the bytes in order and the excess, less what of the
// excess never leaves it, because it came twice. That is the least that the excess is at any later time, or at the end
// what it is without what is held.

// The complete intervals of all streams together as a series of one, owned by the caller. Errors: MEMORY.
enum dk_err dk_sampler_total(const struct dk_sampler *sampler, struct dk_series *out);

// The complete intervals as a series, owned by the caller (free series->bytes). Errors: MEMORY.
enum dk_err dk_sampler_series(const struct dk_sampler *sampler, struct dk_series *out);
