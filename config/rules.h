// SPDX-License-Identifier: Apache-2.0
//
// Rules are data: a profile is a versioned set of them, each with its legal basis.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/base/terms.h"
#include "config/site.h"
#include "config/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_RULES_MAX = 64, DK_BASIS_SIZE = 512, DK_RULE_ID_SIZE = 64, DK_RULE_NOTE_SIZE = 512 };

// The figure of one run that a rule is about, as a path in the record. Its end says what it is counted in: _bps a rate,
// _ns a time, "status" whether it succeeded (thresholds are shares in ppm).
#define DK_INDICATOR_LIST(X)                                                                                 \
    X(DOWNLOAD_RATE, "download.rate_bps")                                                                    \
    X(DOWNLOAD_RATE_WHOLE, "download.rate_whole_bps")                                                        \
    X(UPLOAD_RATE, "upload.rate_bps")                                                                        \
    X(UPLOAD_RATE_WHOLE, "upload.rate_whole_bps")                                                            \
    X(LATENCY_IDLE_MEDIAN, "latency.idle.rtt_median_ns")                                                     \
    X(ACCESS_TIME, "server.access_ns")                                                                      \
    X(ACCESS, "server.status")     /* did the server answer? */                                              \
    X(DOWNLOAD, "download.status") /* of the runs whose server answered: did the transfer come to its end? */ \
    X(UPLOAD, "upload.status")

enum dk_indicator {
#define X(name, text) DK_INDICATOR_##name,
    DK_INDICATOR_LIST(X)
#undef X
};

// What is made of the figures of all samples, and compared with the threshold.
#define DK_STATISTIC_LIST(X)                                                                                 \
    X(MEAN, "mean")         /* arithmetic mean of the samples' figures; a rate: (1/N) sum of rate_i */       \
    X(MEDIAN, "median")     /* median of the samples' figures */                                             \
    X(SHARE, "share")       /* share of samples that meet `op` and `threshold`: at least `share_ppm` */      \
    X(FAILURES, "failures") /* share of the attempts that failed: at most `threshold` (ppm) */

enum dk_statistic {
#define X(name, text) DK_STATISTIC_##name,
    DK_STATISTIC_LIST(X)
#undef X
};

enum dk_op {
    DK_OP_AT_LEAST, // ">="
    DK_OP_AT_MOST,  // "<="
};

struct dk_rule {
    char id[DK_RULE_ID_SIZE];
    enum dk_rule_family family;
    char basis[DK_BASIS_SIZE];    // the legal act and clause it quotes
    bool unconfirmed;             // something of the rule was not seen in the act: say so wherever it is shown
    char note[DK_RULE_NOTE_SIZE]; // what, when unconfirmed; else a remark or ""
    // The samples that it is about.
    enum dk_technology technology;   // 4G, 5G or FIXED
    enum dk_environment environment; // UNSTATED: any
    enum dk_subscriber subscriber;   // UNSTATED: any
    // What it asks of them.
    enum dk_indicator indicator;
    enum dk_statistic statistic; // FAILURES exactly when the indicator is a status
    enum dk_op op;               // of FAILURES always AT_MOST
    int64_t threshold;           // bit/s, ns or ppm, by the indicator; 0 when it is an expression (dk_rule_resolve)
    int64_t factor_ppm;          // of an expression, factor * site_rate; 0: it is none
    enum dk_site_rate site_rate;
    int64_t share_ppm; // of SHARE, else 0
    // What a finding about a place or an operator needs (dokiem assess); one run is one sample.
    int64_t min_samples;
    int64_t min_samples_stratum; // in each of indoor, outdoor and moving; 0: no matter where
    int64_t min_gap_ns;          // between samples of one device: one that began sooner does not count; 0: none
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
// The units that the indicator's threshold is written in (value.h): dk_units_rate, _duration or _share; never NULL.
const struct dk_unit *dk_indicator_units(enum dk_indicator indicator);
// "mean" …; never NULL.
const char *dk_statistic_text(enum dk_statistic statistic);
// ">=" or "<=".
const char *dk_op_text(enum dk_op op);
// "subscribed_download" …; never NULL.
const char *dk_site_rate_text(enum dk_site_rate rate);

// True when the rule is about samples of this technology at this place. A rule for one environment or subscriber is
// not about a place where that is unstated.
bool dk_rule_is_about(const struct dk_rule *rule, enum dk_technology technology, const struct dk_site *site);

// True when one run can be judged by it: by the mean or median of a rate or a round-trip time, which of one sample is
// the sample. Shares, failures and access times say something of a set of samples only.
bool dk_rule_is_for_one_run(const struct dk_rule *rule);

// Sets *threshold (bit/s, ns or ppm) to what the rule asks for at this place. A product is rounded up to whole bit/s.
// False, with *threshold untouched, when the place lacks the rate that the rule refers to
// (dk_site_rate_text(rule->site_rate)): then the rule cannot be applied.
bool dk_rule_resolve(const struct dk_rule *rule, const struct dk_site *site, int64_t *threshold);

// Appends the threshold as the profile has it: "40 Mb/s", "5 %", "0.8 * site.subscribed_download". Errors as
// dk_buf_append.
enum dk_err dk_rule_print_threshold(const struct dk_rule *rule, struct dk_buf *out);

// Reads a profile from memory (INI, see config/profiles/vn-2025.ini). `name` is used in faults. *out is set only on
// success. Errors: CONFIG naming section, key, value and what is allowed; MEMORY.
enum dk_err dk_rules_read_text(struct dk_rules *out, const char *name, const char *text, size_t len,
                               struct dk_fault *fault);

// Finds and reads a profile: a path when `profile` contains '/', else PROFILE.ini in /etc/dokiem/profiles, then in
// /usr/share/dokiem/profiles, then among those built in. A file that is there but wrong is an error, not passed over.
// *out is set only on success. Errors: CONFIG, MEMORY.
enum dk_err dk_rules_load(struct dk_rules *out, const char *profile, struct dk_fault *fault);
// The same, and appends the profile's bytes to `text` (NULL: not), and writes the path of its file, "" when it is built
// in, to `path` (PATH_MAX bytes; NULL: not), also on an error.
enum dk_err dk_rules_load_text(struct dk_rules *out, const char *profile, struct dk_buf *text, char *path,
                               struct dk_fault *fault);

// True when the bytes are those of a profile that is built in.
bool dk_rules_are_built_in(const char *text, size_t len);

enum { DK_PROFILE_MAX_BYTES = 1 << 20 };
