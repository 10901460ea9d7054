// SPDX-License-Identifier: Apache-2.0
//
// Rules are data: a profile is a versioned set of them, each with its legal basis.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/base/terms.h"
#include "config/value.h"

#include <stddef.h>
#include <stdint.h>

enum { DK_RULES_MAX = 64, DK_BASIS_SIZE = 512, DK_RULE_ID_SIZE = 64 };

// The figure a rule is about, and its unit.
#define DK_INDICATOR_LIST(X)                                                                                 \
    X(DOWNLOAD_RATE, "download.rate_bps")                                                                    \
    X(DOWNLOAD_RATE_WHOLE, "download.rate_whole_bps")                                                        \
    X(UPLOAD_RATE, "upload.rate_bps")                                                                        \
    X(UPLOAD_RATE_WHOLE, "upload.rate_whole_bps")                                                            \
    X(LATENCY_IDLE_MEDIAN, "latency.idle.rtt_median_ns")

enum dk_indicator {
#define X(name, text) DK_INDICATOR_##name,
    DK_INDICATOR_LIST(X)
#undef X
};

enum dk_op {
    DK_OP_AT_LEAST, // ">="
    DK_OP_AT_MOST,  // "<="
};

struct dk_rule {
    char id[DK_RULE_ID_SIZE];
    enum dk_rule_family family;
    char basis[DK_BASIS_SIZE]; // the legal act and clause it quotes
    enum dk_indicator indicator;
    enum dk_technology technology; // 4G, 5G or FIXED
    enum dk_op op;
    int64_t threshold;   // bit/s or ns, by the indicator
    int64_t min_samples; // that a finding about a place needs (dokiem assess); one run is one sample
};

struct dk_rules {
    char id[DK_RULE_ID_SIZE];
    char version[DK_RULE_ID_SIZE];
    char sha256[DK_SHA256_HEX_SIZE]; // of the profile's bytes
    char title[DK_BASIS_SIZE];
    size_t count;
    struct dk_rule rules[DK_RULES_MAX];
};

// "download.rate_bps" …; never NULL.
const char *dk_indicator_text(enum dk_indicator indicator);
// The units that the indicator's threshold is written in (value.h); never NULL.
const struct dk_unit *dk_indicator_units(enum dk_indicator indicator);
// ">=" or "<=".
const char *dk_op_text(enum dk_op op);

// Reads a profile from memory (INI, see config/profiles/vn-2025.ini). `name` is used in faults. *out is set only on
// success. Errors: CONFIG naming section, key, value and what is allowed; MEMORY.
enum dk_err dk_rules_read_text(struct dk_rules *out, const char *name, const char *text, size_t len,
                               struct dk_fault *fault);

// Finds and reads a profile: a path when `profile` contains '/', else PROFILE.ini in /etc/dokiem/profiles, then in
// /usr/share/dokiem/profiles, then among those built in. A file that is there but wrong is an error, not passed over.
// *out is set only on success. Errors: CONFIG, MEMORY.
enum dk_err dk_rules_load(struct dk_rules *out, const char *profile, struct dk_fault *fault);
// The same, and appends the profile's bytes to `text`.
enum dk_err dk_rules_load_text(struct dk_rules *out, const char *profile, struct dk_buf *text,
                               struct dk_fault *fault);

enum { DK_PROFILE_MAX_BYTES = 1 << 20 };
