// SPDX-License-Identifier: Apache-2.0
//
// The frame of every HTML report: one self-contained file that asks nothing of a network and runs no script.
#pragma once

#include "agent/report/markup.h"

// The style sheet, page.css.
extern const char dk_page_style[];

// Opens the page as far as <main>. A Content-Security-Policy allows it nothing but its own style sheet.
// `title`, for the window; `foot`, words at the foot of each printed page: only letters, digits and " .:-" of
// it are shown.
void dk_page_begin(struct dk_markup *m, const char *title, const char *foot);
void dk_page_end(struct dk_markup *m);
