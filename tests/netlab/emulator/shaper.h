// SPDX-License-Identifier: Apache-2.0
//
// The bottleneck: when does a packet that comes now have its last bit through? Packets go one after another.
// All times are ns of one clock and never fall from call to call.
#pragma once

#include <stdint.h>

#include "tests/netlab/emulator/random.h"
#include "tests/netlab/emulator/trace.h"

struct dk_shaper_settings {
    int64_t rate_bps; // the sustained rate; 0: no limit, or that of the trace. At most 10^10

    // While a bucket of this many bytes (at most 10^10) is not empty, packets go at burst_bps (0: at once).
    // What goes so empties it; it fills at rate_bps while the link idles.
    int64_t burst_bytes, burst_bps;

    // The rate moves within ± this share, along straight lines between random points that are 0.5 to 1.5
    // times move_ns (1 ms to 60 s) apart.
    int64_t move_ppm, move_ns;

    // Instead of a rate: bytes pass only at the moments of the recording, 1500 × scale at each. A moment that
    // nothing waits for is lost; a packet may need several, and several may share one. Borrowed.
    const struct dk_trace *trace;
    int64_t trace_scale_ppm; // 1000000 as recorded; 1000 … 1000000000
    int64_t trace_start_ns;  // where in the recording to begin

    uint64_t seed;
};

struct dk_shaper {
    struct dk_shaper_settings settings;
    int64_t start_ns; // of the emulation
    int64_t free_ns;  // when the last packet is through
    int64_t carry;    // the part of a ns that is left over, in 1/rate

    int64_t bucket_bytes;

    struct dk_dice dice;
    int64_t from_ns, from_bps, to_ns, to_bps; // the line the rate is on

    int64_t round;         // of the recording
    size_t next;           // index of the next moment in it
    int64_t moment_ns;     // the moment in use
    int64_t moment_bytes;  // that are left of it
    int64_t moment_carry;  // scaled bytes that are left over, in millionths
    bool moment_untouched; // nothing has passed at it yet
};

// Starts at `start_ns`.
struct dk_shaper dk_shaper_make(const struct dk_shaper_settings *settings, int64_t start_ns);

// When `bytes` that arrive at `now_ns` are through. *moments is how many moments of the recording were used
// for them that nothing before had used; 0 without a recording.
int64_t dk_shaper_serve(struct dk_shaper *shaper, int64_t now_ns, int64_t bytes, int32_t *moments);
