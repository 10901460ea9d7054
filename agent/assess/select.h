// SPDX-License-Identifier: Apache-2.0
//
// Which samples a finding is about: filters, groups, and the gap between two samples of one device.
#pragma once

#include "agent/assess/sample.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What samples can be chosen and grouped by. Days, months and hours are those of Vietnam (UTC+07:00).
#define DK_DIMENSION_LIST(X)                                                                                 \
    X(SITE, "site")                                                                                          \
    X(COMMUNE, "commune")                                                                                    \
    X(HAMLET, "hamlet")                                                                                      \
    X(OPERATOR, "operator")                                                                                  \
    X(TECHNOLOGY, "technology")                                                                              \
    X(ENVIRONMENT, "environment")                                                                            \
    X(SERVER, "server")                                                                                      \
    X(DEVICE, "device")                                                                                      \
    X(MONTH, "month")                                                                                        \
    X(DAY, "day")                                                                                            \
    X(HOUR, "hour")

enum dk_dimension {
#define X(name, text) DK_DIMENSION_##name,
    DK_DIMENSION_LIST(X)
#undef X
    DK_DIMENSION_COUNT,
};

// "site" …; never NULL. Parse: exact text; false leaves *out untouched.
const char *dk_dimension_text(enum dk_dimension dimension);
bool dk_dimension_parse(const char *text, size_t len, enum dk_dimension *out);

enum { DK_BY_MAX = 4, DK_GROUPS_MAX = 10000, DK_KEY_SIZE = 16 };

struct dk_filter {
    struct dk_wall from, to;              // from <= start < to; INT64_MIN and INT64_MAX for no limit
    const char *text[DK_DIMENSION_COUNT]; // borrowed; NULL for any; "" for those that do not say
    enum dk_dimension by[DK_BY_MAX];
    size_t by_count;
};

// Reads a day ("2026-11-20": its first instant in Vietnam; with `end` its last and one more) or an instant
// ("2026-11-20T08:00:00Z", "2026-11-20T15:00:00.000+07:00"). False, with *out untouched, on anything else.
bool dk_period_parse(const char *text, bool end, struct dk_wall *out);

// The hour of the day in Vietnam, 0 … 23; and the day, month or hour as a text ("2026-11-20", "2026-11", "08").
int dk_local_hour(struct dk_wall when);
void dk_local_text(struct dk_wall when, enum dk_dimension dimension, char out[static DK_KEY_SIZE]);

// Samples that agree in all dimensions asked for.
struct dk_group {
    const char *key[DK_BY_MAX]; // one for each dimension of filter.by; borrowed from the selection or the samples
    char time_key[DK_BY_MAX][DK_KEY_SIZE];
    const uint32_t *members; // sample numbers, device by device in the order of time; borrowed
    size_t count;
};

struct dk_selection {
    const struct dk_samples *samples; // borrowed
    struct dk_filter filter;
    struct dk_group *groups; // owned, in the order of their keys; one group without a dimension, even when it is empty
    size_t count;
    size_t outside;    // samples that the filter leaves out
    uint32_t *members; // owned
    uint32_t *order;   // owned: all samples by device and time
    uint8_t *close;    // owned, for each sample: it began too soon after another of its device
    int64_t gap_ns;    // that `close` was computed for
};

// Chooses and groups. Independent of the order in which the samples were added. Free with dk_selection_free.
// Errors: MEMORY; DATA (more than DK_GROUPS_MAX groups).
enum dk_err dk_select(const struct dk_samples *samples, const struct dk_filter *filter, struct dk_selection *out,
                      struct dk_fault *fault);
void dk_selection_free(struct dk_selection *selection);
#define dk_auto_selection __attribute__((cleanup(dk_selection_free)))

// Computes `close` anew: within each device, in the order of time, a sample that begins less than gap_ns after the end
// of the last one that was not too close. Samples outside the filter take part: the device was busy with them.
void dk_selection_set_gap(struct dk_selection *selection, int64_t gap_ns);
