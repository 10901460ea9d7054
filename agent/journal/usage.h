// SPDX-License-Identifier: Apache-2.0
//
// How much data runs have used, by link, day and month: STATE/budget/usage, text, a line for each period and link. Days
// and months are those of Viet Nam (UTC+7, without summer time).
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { DK_USAGE_ROWS_MAX = 64, DK_USAGE_LINK_SIZE = 128 };

struct dk_usage_row {
    int64_t period; // a day, 20261120, or a month, 202611
    int64_t bytes;
    char link[DK_USAGE_LINK_SIZE];
};

// In the order of their last change; of very many the oldest are forgotten.
struct dk_usage {
    struct dk_usage_row rows[DK_USAGE_ROWS_MAX];
    size_t count;
};

// The day, as 20261120, and the month, as 202611.
int64_t dk_usage_day(struct dk_wall when);
// See above.
int64_t dk_usage_month(struct dk_wall when);

// Reads what was used; nothing when there is no file yet. Errors: DATA (not of its form), IO, PERMISSION, MEMORY.
enum dk_err dk_usage_read(const char *state_dir, struct dk_usage *out, struct dk_fault *fault);

// The bytes of a period on a link; 0 when there is no row.
int64_t dk_usage_of(const struct dk_usage *usage, int64_t period, const char *link);

// Adds `bytes` (below 0: takes back) to the day and the month of `when`, durable. Hold the run lock. `link` is clean
// text. Errors: as dk_usage_read and dk_file_write.
enum dk_err dk_usage_add(const char *state_dir, const char *link, struct dk_wall when, int64_t bytes,
                         struct dk_fault *fault);
