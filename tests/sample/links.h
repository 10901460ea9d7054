// SPDX-License-Identifier: Apache-2.0
//
// Simulated links: what a download moves over them, in bytes per 50 ms. Seeded by the harness.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LINK_INTERVAL_NS = 50000000, LINK_INTERVALS_MAX = 1200 };

enum link_kind {
    LINK_STEADY,    // constant; as all, it comes in lumps of 12 ms, at most 64 KiB (as real links by tbf: ρ = −0.5)
    LINK_NOISY,     // AR(1) around the rate: `correlation` of neighbours, stationary deviation `deviation`
    LINK_STEPS,     // levels within ±30 % of the rate, each for 0.5 to 3 s
    LINK_WAVE,      // a sine of ±30 %, period 2 to 8 s, any phase
    LINK_BURST,     // twice the rate until a bucket of 10 MB is empty
    LINK_FREE,      // the first 10 MB at 1 Gb/s
    LINK_TRACE,     // a recorded LTE link, from a random place on; rate_bps is its mean there
};

struct link {
    enum link_kind kind;
    double rate_bps; // the truth: what it gives in the long run
    double correlation, deviation;
    const int64_t *trace_bytes; // per 50 ms
    size_t trace_count;
    int64_t trace_scale;
};

// Fills bytes[0 … count−1] with one download that starts slowly for 0.1 to 0.4 s; returns the mean rate of the link
// over the time, without the slow start, in bit/s.
double link_download(const struct link *link, size_t count, int64_t bytes[]);

// Reads a trace of mahimahi's form (a line a packet of 1500 bytes: its time in ms) into bytes per 50 ms. Returns how
// many there are, at most `most`; 0 when it cannot be read.
size_t link_read_trace(const char *path, int64_t bytes[], size_t most);
