// SPDX-License-Identifier: Apache-2.0
//
// Two clocks that cannot be mixed: durations come from CLOCK_MONOTONIC, dates from CLOCK_REALTIME.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DK_NS_PER_S  INT64_C(1000000000)
#define DK_NS_PER_MS INT64_C(1000000)
#define DK_NS_PER_US INT64_C(1000)

// Vietnam's time ahead of UTC: UTC+07:00 all year, without summer time.
#define DK_VIETNAM_NS (7 * 3600 * DK_NS_PER_S)

struct dk_mono {
    int64_t ns; // since an arbitrary start; only differences mean anything
};

struct dk_wall {
    int64_t ns; // since 1970-01-01T00:00:00Z, leap seconds not counted
};

// The time now. Cannot fail.
struct dk_mono dk_mono_now(void);
struct dk_wall dk_wall_now(void);

// later − earlier, in ns (negative when the order is the other way round).
int64_t dk_mono_diff_ns(struct dk_mono later, struct dk_mono earlier);

// `from` moved by `delta_ns`.
struct dk_mono dk_mono_add_ns(struct dk_mono from, int64_t delta_ns);

enum { DK_RFC3339_SIZE = 32 };

// Writes `when` as RFC 3339 UTC with milliseconds, "2026-11-20T04:05:06.789Z" (truncated, not rounded).
// Years 1970 to 9999.
void dk_wall_rfc3339(struct dk_wall when, char out[static DK_RFC3339_SIZE]);

// Reads exactly the form that dk_wall_rfc3339 writes. False, with *out untouched, on anything else.
bool dk_wall_parse(const char *text, struct dk_wall *out);
