// SPDX-License-Identifier: Apache-2.0
//
// A campaign: how many samples of which kind are to be taken, when, and how far apart. Its plan is an INI file; what
// has been taken is counted from the journal.
//
//   [campaign]                     [stratum indoor]
//   id = hall-4g-2026              technology = 4g
//   title = "…"                    environment = indoor
//   from = 2026-11-01              samples = 500
//   to = 2026-11-30
//   gap = 30s
//   hours = 6-10, 10-14, 14-18, 18-22
//
// Days and hours are those of Vietnam (UTC+7); `to` is the last day. `gap`, `hours`, `technology` and `environment` may
// be left out: 30 s, all day, any, any.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DK_CAMPAIGN_STRATA_MAX = 24,
    DK_CAMPAIGN_BANDS_MAX = 12,
    DK_CAMPAIGN_ID_SIZE = 64,
    DK_CAMPAIGN_TITLE_SIZE = 256,
};

// Consecutive samples of one device are at least this far apart (QCVN 81:2019/BTTTT, 2.1.2).
#define DK_CAMPAIGN_GAP_NS (30 * DK_NS_PER_S)

struct dk_stratum {
    char name[DK_CAMPAIGN_ID_SIZE];
    enum dk_technology technology;   // AUTO: any
    enum dk_environment environment; // UNSTATED: any
    int64_t samples;                 // that it needs, 1 to 1,000,000
};

struct dk_campaign {
    char id[DK_CAMPAIGN_ID_SIZE];
    char title[DK_CAMPAIGN_TITLE_SIZE];
    struct dk_wall from, to; // [from, to)
    int64_t gap_ns;
    size_t bands; // at least 1; they do not overlap
    struct {
        int64_t from_h, to_h; // [from, to) of the day in Vietnam, 0 to 24
    } band[DK_CAMPAIGN_BANDS_MAX];
    size_t strata; // at least 1
    struct dk_stratum stratum[DK_CAMPAIGN_STRATA_MAX];
};

// Reads a plan; `name` is used in faults. *out is set only on success. Errors: CONFIG naming line, key, value and what
// is allowed; MEMORY.
enum dk_err dk_campaign_read_text(struct dk_campaign *out, const char *name, const char *text, size_t len,
                                  struct dk_fault *fault);

// The first stratum that a run of that kind belongs to; with AUTO or UNSTATED it may be any. -1: none.
int dk_campaign_stratum(const struct dk_campaign *campaign, enum dk_technology technology,
                        enum dk_environment environment);

// The band of hours that `when` lies in; -1: none.
int dk_campaign_band(const struct dk_campaign *campaign, struct dk_wall when);

// Samples of `stratum` that are wanted in each of its bands: an equal part, rounded up.
int64_t dk_campaign_per_band(const struct dk_campaign *campaign, size_t stratum);

// What has been taken, by stratum and band; all zero at first.
struct dk_campaign_tally {
    int64_t taken[DK_CAMPAIGN_STRATA_MAX][DK_CAMPAIGN_BANDS_MAX];
    int64_t outside;         // tagged with the campaign, and in no stratum, band or in the period
    int64_t too_close;       // less than the gap after the one before: not counted otherwise
    struct dk_wall last_end; // of the device's last run, also of one outside the campaign; 0: there is none
};

// Counts one run of the device, in the order of time. `ours`: it is tagged with the campaign and counts as a sample.
void dk_campaign_count(const struct dk_campaign *campaign, struct dk_campaign_tally *tally, bool ours,
                       enum dk_technology technology, enum dk_environment environment, struct dk_wall start,
                       struct dk_wall end);

// Samples that a stratum has, those beyond what a band wants not counted; and how many it still needs.
int64_t dk_campaign_taken(const struct dk_campaign *campaign, const struct dk_campaign_tally *tally, size_t stratum);
int64_t dk_campaign_missing(const struct dk_campaign *campaign, const struct dk_campaign_tally *tally, size_t stratum);

// The first moment, from `now` on, in which a sample counts: after the gap, in the period, in a band. False: none is
// left.
bool dk_campaign_next(const struct dk_campaign *campaign, const struct dk_campaign_tally *tally, struct dk_wall now,
                      struct dk_wall *next);
