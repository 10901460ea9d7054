// SPDX-License-Identifier: Apache-2.0
//
// What the judge found: a value. Also the validity flags, which are reasons to doubt a figure.
#pragma once

#include "agent/base/terms.h"
#include "config/rules.h"
#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_FLAGS_MAX = 16, DK_FLAG_DETAIL_SIZE = 200 };

#define DK_FLAG_LIST(X)                                                                                      \
    X(CLOCK_UNSYNCHRONISED, "clock_unsynchronised")                                                          \
    X(TUNNEL, "tunnel")                                                                                      \
    X(LOOPBACK, "loopback")                                                                                  \
    X(UNSTEADY, "unsteady")                                                                                  \
    X(HOST_LIMITED, "host_limited")                                                                          \
    X(SERVER_LIMITED, "server_limited")                                                                      \
    X(CROSS_TRAFFIC, "cross_traffic")                                                                        \
    X(LINK_CHANGED, "link_changed")                                                                          \
    X(TECHNOLOGY_CHANGED, "technology_changed")                                                              \
    X(BURST, "burst")                                                                                        \
    X(BRIEF, "brief")                                                                                        \
    X(CAPTURE_DROPPED, "capture_dropped")                                                                    \
    X(CAPTURE_DISAGREES, "capture_disagrees")

enum dk_flag_code {
#define X(name, text) DK_FLAG_##name,
    DK_FLAG_LIST(X)
#undef X
};

// The figure a flag bears on.
#define DK_FLAG_FIGURE_LIST(X)                                                                               \
    X(ALL, "all")                                                                                            \
    X(DOWNLOAD, "download")                                                                                  \
    X(UPLOAD, "upload")

enum dk_flag_figure {
#define X(name, text) DK_FLAG_FIGURE_##name,
    DK_FLAG_FIGURE_LIST(X)
#undef X
};

struct dk_flag {
    enum dk_flag_code code;
    enum dk_flag_figure figure;
    char detail[DK_FLAG_DETAIL_SIZE];
};

#define DK_VALIDITY_LIST(X)                                                                                  \
    X(VALID, "valid")                                                                                        \
    X(SUSPECT, "suspect")                                                                                    \
    X(INVALID, "invalid")

enum dk_validity_state {
#define X(name, text) DK_VALIDITY_##name,
    DK_VALIDITY_LIST(X)
#undef X
};

struct dk_validity {
    enum dk_validity_state state;
    size_t count;
    struct dk_flag flags[DK_FLAGS_MAX];
};

struct dk_check {
    struct dk_rule rule;      // its threshold is what it asks for at this place
    bool has_threshold;       // false: the rule refers to a rate of the site that is not set
    bool has_value;           // false: the figure was not measured; value, low and high mean nothing
    int64_t value, low, high; // bit/s or ns, by the rule's indicator; [low, high] is the 95 % interval
    enum dk_outcome outcome;
    char reason[DK_REASON_SIZE];
};

struct dk_verdict {
    char profile_id[DK_RULE_ID_SIZE];
    char profile_version[DK_RULE_ID_SIZE];
    char profile_sha256[DK_SHA256_HEX_SIZE];
    enum dk_technology technology;
    enum dk_outcome outcome; // of all checks: FAIL if one fails, else INCONCLUSIVE if one is, else PASS if one passes
    char reason[DK_REASON_SIZE]; // when there is nothing to check or no outcome follows
    size_t count;
    struct dk_check checks[DK_RULES_MAX];
};

// "valid" …, "clock_unsynchronised" …, "download" …; never NULL.
const char *dk_validity_text(enum dk_validity_state state);
const char *dk_flag_text(enum dk_flag_code code);
const char *dk_flag_figure_text(enum dk_flag_figure figure);

// True when the figure and the threshold are times in ns, false when they are rates in bit/s.
bool dk_check_in_ns(const struct dk_check *check);

enum { DK_AMOUNT_SIZE = 40 };

// Writes a rate (>= 0) for people: "39.99 Mb/s". Two decimals, rounded down.
void dk_rate_amount(int64_t rate_bps, char out[static DK_AMOUNT_SIZE]);

// Writes an amount of the check's unit (>= 0) for people: "39.99 Mb/s", "50.01 ms". Two decimals, rounded away from
// the passing side, so that 39.999 never reads as the 40.00 it missed.
void dk_check_amount(const struct dk_check *check, int64_t amount, char out[static DK_AMOUNT_SIZE]);
