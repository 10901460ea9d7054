// SPDX-License-Identifier: Apache-2.0
//
// The frame of every HTML report: one self-contained file that asks nothing of a network and runs no script.
#pragma once

#include "agent/base/clock.h"
#include "agent/report/markup.h"

// The style sheet, page.css.
extern const char dk_page_style[];

// Opens the page as far as <main>. A Content-Security-Policy allows it nothing but its own style sheet.
// `title`, for the window; `foot`, words at the foot of each printed page: only letters, digits and " .:-" of
// it are shown.
void dk_page_begin(struct dk_markup *m, const char *title, const char *foot);
void dk_page_end(struct dk_markup *m);

enum { DK_DATE_SIZE = 48 };

// Writes a date in the form of the language, in the time of Vietnam (UTC+07:00, no summer time): "20/11/2026
// 08:46:46".
void dk_local_date(struct dk_wall when, char out[static DK_DATE_SIZE]);
// The same in UTC.
void dk_utc_date(struct dk_wall when, char out[static DK_DATE_SIZE]);
