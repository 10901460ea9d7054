// SPDX-License-Identifier: Apache-2.0
//
// What is shown of one record on a page, from its JSON as it is: what is missing or of an unexpected form is
// left out, what is not known to this version is shown in its own words. Everything in it is text from
// outside.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/sha256.h"
#include "agent/report/markup.h"

enum dk_checked {
    DK_CHECKED_GOOD,
    DK_CHECKED_NOT, // no key was at hand
    DK_CHECKED_BAD,
};

enum dk_place {
    DK_PLACE_UNKNOWN, // the record before it is not at hand
    DK_PLACE_FIRST,
    DK_PLACE_FOLLOWS,
    DK_PLACE_BROKEN, // the record before it is another
};

// One record as it was found. All of it is borrowed.
struct dk_report_item {
    const json_t *record; // NULL when it cannot be read as a record; then only the rest is shown
    enum dk_checked checked;
    enum dk_place place;
    const char *reason;                  // why it is BAD or cannot be read; "" else
    const char *source;                  // the file it is from
    const char *key_id;                  // that it claims to be signed by; "" when it does not say
    char sha256_hex[DK_SHA256_HEX_SIZE]; // of the JWS, as sha256sum(1) of its file
};

// The sections of one record: verdict, figures, where, when, plots, doubts, how to check. `level` is that of
// its headings (2, or 3 within a page of several).
void dk_report_record(struct dk_markup *m, const struct dk_report_item *item, int level);

// One word or two for what became of the run: of its verdict, or of the run itself.
const char *dk_report_outcome(const json_t *record);
