// SPDX-License-Identifier: Apache-2.0
//
// What `dokiem assess` found: for a person as a table, for a program as JSON.
#pragma once

#include "agent/assess/finding.h"
#include "agent/assess/select.h"
#include "agent/base/error.h"
#include "agent/report/markup.h"
#include "agent/report/terminal.h"
#include "config/rules.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// What became of everything that was handed in.
#define DK_FATE_LIST(X)                                                                                      \
    X(RECORDS, "records")             /* samples of sealed records whose signature holds */                  \
    X(ROWS, "rows")                   /* samples of an export: not signed, taken as they are */              \
    X(SKIPPED, "skipped")             /* runs that were skipped: no samples */                               \
    X(OTHER, "other")                 /* records that are about no run */                                    \
    X(DUPLICATES, "duplicates")       /* there already, with the same content: not counted again */          \
    X(CONFLICTS, "conflicts")         /* the id of another one, with other content: neither counts */        \
    X(NOT_VERIFIED, "not_verified")   /* the signature does not hold, or by another key */                   \
    X(UNKNOWN_SCHEMA, "unknown_schema")                                                                      \
    X(MALFORMED, "malformed")

enum dk_fate {
#define X(name, text) DK_FATE_##name,
    DK_FATE_LIST(X)
#undef X
    DK_FATE_COUNT,
};

enum { DK_INPUT_NOTES_MAX = 20, DK_INPUT_NOTE_SIZE = 512 };

struct dk_input {
    size_t count[DK_FATE_COUNT];
    // The first of what was not taken, by its place and why; clean text.
    size_t note_count;
    struct {
        enum dk_fate fate;
        char text[DK_INPUT_NOTE_SIZE];
    } notes[DK_INPUT_NOTES_MAX];
};

// All of it is borrowed.
struct dk_assessment {
    const struct dk_input *input;
    const struct dk_samples *samples;
    const struct dk_selection *selection;
    const struct dk_rules *rules;
    const struct dk_findings *findings;
};

// "records" …; never NULL.
const char *dk_fate_text(enum dk_fate fate);

// In the user's language; never NULL, not to be freed. The outcome in capitals ("FAIL"); a dimension ("operator"); why
// a sample does not count ("too soon after another").
const char *dk_finding_outcome_words(enum dk_finding_outcome outcome);
const char *dk_dimension_words(enum dk_dimension dimension);
const char *dk_exclusion_words(enum dk_exclusion exclusion);
// "mean" …; and what became of inputs, a printf format of one %zu.
const char *dk_statistic_words(enum dk_statistic statistic);
const char *dk_fate_words(enum dk_fate fate);

enum { DK_FIGURE_SIZE = 48 };

// Writes an amount (>= 0) of what the finding compares, or with `of_figure` of its indicator's own unit, for people and
// without the unit: two decimals in the user's language, rounded away from the passing side. "-" for a negative one.
void dk_finding_amount(const struct dk_finding *finding, bool of_figure, int64_t amount,
                       char out[static DK_FIGURE_SIZE]);
// "Mb/s", "ms" or "%": the unit of that.
const char *dk_finding_unit(const struct dk_finding *finding, bool of_figure);

// Writes all of it to `out`, a table for each group. Write errors are left in ferror(out).
void dk_report_assessment(FILE *out, const struct dk_terminal *terminal, const struct dk_assessment *assessment);

// The same as a page to read and to print (page.h), bounded however many groups there are. `made`: when.
void dk_assessment_page(struct dk_markup *m, const struct dk_assessment *assessment, struct dk_wall made);

// The same as JSON (docs/assess.md); the caller's. NULL when memory is out.
json_t *dk_assessment_json(const struct dk_assessment *assessment);
