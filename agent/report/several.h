// SPDX-License-Identifier: Apache-2.0
//
// The page of several records: what they come to for each site, operator and technology, a table of them, and
// as many whole ones as fit. Bounded, however many there are.
#pragma once

#include <stddef.h>

#include "agent/base/clock.h"
#include "agent/report/listed.h"
#include "agent/report/markup.h"

enum {
    DK_SEVERAL_ROWS_MAX =
        400, // of the table of records; the newest, and before them those that do not verify
    DK_SEVERAL_BAD_ROWS_MAX = 100, // of those
    DK_SEVERAL_GROUPS_MAX = 150,
    DK_SEVERAL_PAGE_BYTES = 240000, // beyond this no further whole record is begun
};

// Opens the page and appends both tables. `listed` is sorted in place: by site, operator, technology and
// time.
void dk_several_begin(struct dk_markup *m, struct dk_listed *listed, size_t count, struct dk_wall made);

// Appends one whole record; false, with nothing appended, when the page is as long as it may be.
bool dk_several_add(struct dk_markup *m, const struct dk_report_item *item);

// Closes the page. `left_out`: how many records are in the table only.
void dk_several_end(struct dk_markup *m, size_t left_out);
