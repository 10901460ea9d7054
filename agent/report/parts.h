// SPDX-License-Identifier: Apache-2.0
//
// Parts of the page of one record, for record_page.c.
#pragma once

#include <jansson.h>

#include "agent/report/markup.h"
#include "agent/report/record_page.h"

// The verdict: one box for each check, or one that says why nothing was judged; and what one sample is worth.
// `believed` false: the record does not verify, and what it says is shown as a claim.
void dk_part_verdict(struct dk_markup *m, const json_t *record, bool believed);

// A reason in the record's own words (English), as a paragraph; nothing when it is "".
void dk_part_reason(struct dk_markup *m, const char *reason);

// What is known of the way to the server: to the gateway and beyond, path MTU, route, resolvers. Nothing when the
// record has nothing of it.
void dk_part_way(struct dk_markup *m, const json_t *record, int level);

// How the record can be checked by whoever holds only the paper, and how the check went when the page was
// made.
void dk_part_proof(struct dk_markup *m, const struct dk_report_item *item, int level);

// A heading; `level` 1 … 6.
void dk_part_heading(struct dk_markup *m, int level, const char *words);
