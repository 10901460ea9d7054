// SPDX-License-Identifier: Apache-2.0
//
// Findings: what a group of samples says about a rule, and how sure it is. Pure. In words: docs/methodology.md, "From
// samples to a finding".
#pragma once

#include "agent/assess/estimate.h"
#include "agent/assess/sample.h"
#include "agent/assess/select.h"
#include "agent/base/error.h"
#include "config/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Vietnamese: không áp dụng, đạt, không đạt, chưa kết luận, thiếu mẫu.
#define DK_FINDING_OUTCOME_LIST(X)                                                                           \
    X(NOT_APPLICABLE, "not_applicable") /* no sample that the rule is about, or it refers to a rate not set */ \
    X(PASS, "pass")                                                                                          \
    X(FAIL, "fail")                                                                                          \
    X(INCONCLUSIVE, "inconclusive") /* enough samples for the rule, and the limits lie on both sides */      \
    X(TOO_FEW, "too_few")           /* fewer than the rule asks for, in all or in a stratum */

enum dk_finding_outcome {
#define X(name, text) DK_FINDING_##name,
    DK_FINDING_OUTCOME_LIST(X)
#undef X
};

// "pass" …; never NULL.
const char *dk_finding_outcome_text(enum dk_finding_outcome outcome);

// Why a sample does not count. The first reason that fits is the one it is counted under.
#define DK_EXCLUSION_LIST(X)                                                                                 \
    X(CONFLICT, "conflict")           /* another one has the same id and other content */                    \
    X(CONFIRMATION, "confirmation")   /* the repeat of a run that failed: not drawn at random */             \
    X(TOO_CLOSE, "too_close")         /* it began less than the rule's gap after another of its device */    \
    X(INVALID, "invalid")             /* its figures mean nothing */                                         \
    X(FLAGGED, "flagged")             /* a flag bears on the figure; by_flag says which */                   \
    X(NOT_MEASURED, "not_measured")   /* the figure was not asked for, or could not be taken */

enum dk_exclusion {
#define X(name, text) DK_EXCLUSION_##name,
    DK_EXCLUSION_LIST(X)
#undef X
    DK_EXCLUSION_COUNT,
};

// "conflict" …; never NULL.
const char *dk_exclusion_text(enum dk_exclusion exclusion);

enum {
    DK_FINDING_FLAG_OTHER = DK_FLAG_CAPTURE_DISAGREES + 1, // one that this program does not know
    DK_FINDING_FLAGS,
    DK_STRATA = 3,
    DK_FINDING_BINS = 40,
};

// Why nothing is said.
enum dk_finding_reason {
    DK_FINDING_REASON_NONE,
    DK_FINDING_REASON_NO_SAMPLES, // none that the rule is about
    DK_FINDING_REASON_NO_RATE,    // these samples' site does not say the rate that the rule refers to (rule->site_rate)
};

// One rule and one group; where the threshold depends on the site, one for each threshold. Every sample of the group
// that the rule is about is in exactly one of them: considered = samples + failures + all of excluded. (Of a rule on
// failures, samples are the attempts that succeeded.)
struct dk_finding {
    const struct dk_group *group; // borrowed from the selection
    const struct dk_rule *rule;   // borrowed from the rules
    bool has_threshold;
    int64_t threshold; // bit/s, ns or ppm (FAILURES), by the rule's indicator

    size_t considered;
    size_t samples;  // N: they have a figure and count
    size_t failures; // attempts that failed: they have no figure, and are never 0 in a mean
    size_t excluded[DK_EXCLUSION_COUNT];
    size_t by_flag[DK_FINDING_FLAGS]; // of excluded[FLAGGED], by enum dk_flag_code
    size_t devices;
    struct dk_wall first, last;       // start of the first and the last of samples and failures
    size_t hours[24];                 // samples and failures by the hour of the day in Vietnam
    size_t hours_covered;             // hours with at least one
    size_t strata[DK_STRATA];         // samples (of a rule on failures: attempts) indoor, outdoor, moving

    struct dk_estimate estimate; // of the figures; count 0 for a rule on failures
    // How the figures are spread: bins[i] of them lie from i * bin_width on and below the next; the last one has those
    // above it, too. The threshold lies within. bin_width is 1, 2 or 5 times a power of ten; 0 without figures.
    int64_t bin_width;
    uint32_t bins[DK_FINDING_BINS];
    size_t good;                 // samples that meet op and threshold; of a rule on failures, attempts that failed
    size_t of;                   // samples, or of a rule on failures attempts
    int64_t share_ppm;           // good / of, rounded away from the passing side; -1 when `of` is 0
    struct dk_interval share;    // ppm, exact limits

    enum dk_finding_outcome outcome;
    enum dk_finding_outcome by_interval; // PASS, FAIL or INCONCLUSIVE: whatever the number of samples
    enum dk_finding_outcome by_point;    // PASS or FAIL: the plain figure, as the regulations use it from their number
                                         // of samples on; NOT_APPLICABLE when there is none
    enum dk_finding_reason reason;
    // How many samples more: for the rule's number, in each stratum, and for the limits to leave the threshold if the
    // figures stay as they are; -1: not foreseeable (more than DK_NEEDED_MAX).
    int64_t needed, needed_strata[DK_STRATA], needed_to_decide;
};

enum { DK_NEEDED_MAX = 1000000 };

// The figure that the rule compares, and its limits: the mean, the median, or the share in ppm. -1 when there is none.
int64_t dk_finding_value(const struct dk_finding *finding);
struct dk_interval dk_finding_limits(const struct dk_finding *finding);
// What that figure is compared with: the threshold, or of a share rule->share_ppm.
int64_t dk_finding_bound(const struct dk_finding *finding);

struct dk_findings {
    struct dk_finding *items; // owned: group by group, rule by rule, by threshold
    size_t count;
};

// Makes them. The selection's gap is set to each rule's own. Free with dk_findings_free, before the selection.
// Errors: MEMORY; DATA (too many).
enum dk_err dk_findings_make(struct dk_selection *selection, const struct dk_rules *rules, struct dk_findings *out,
                             struct dk_fault *fault);
void dk_findings_free(struct dk_findings *findings);
#define dk_auto_findings __attribute__((cleanup(dk_findings_free)))
