// SPDX-License-Identifier: Apache-2.0
//
// Reports as HTML: one self-contained page.
#pragma once

#include "agent/base/clock.h"
#include "agent/report/record_page.h"

// The page of one record. `made` is when.
void dk_report_one(struct dk_markup *m, const struct dk_report_item *item, struct dk_wall made);
