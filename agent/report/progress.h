// SPDX-License-Identifier: Apache-2.0
//
// The live progress of a run, for a person who waits or a program that listens.
#pragma once

#include "agent/report/terminal.h"
#include "probes/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum dk_progress_mode {
    DK_PROGRESS_AUTO, // the bar on a terminal, else nothing
    DK_PROGRESS_BAR,  // the same; named for a person who asks for it
    DK_PROGRESS_JSON, // one JSON object a line, also into a pipe
    DK_PROGRESS_NONE,
};

// Reads "auto", "bar", "json" or "none". False leaves *out untouched.
bool dk_progress_mode_parse(const char *text, enum dk_progress_mode *out);

// The last rates that are drawn as a line of bars.
enum { DK_SPARKS = 24 };

struct dk_progress_view {
    FILE *out; // borrowed
    enum dk_progress_mode mode;
    struct dk_terminal terminal;
    size_t drawn; // columns of the line that stands there now
    const char *probe;              // whose rates these are; NULL: nobody's
    int64_t rates_bps[DK_SPARKS];   // the last is the latest
    size_t rates;
};

// A view on `out` (stderr). Nothing is written yet. The bar needs a terminal: elsewhere the view writes
// nothing.
struct dk_progress_view dk_progress_view_make(FILE *out, const struct dk_terminal *terminal,
                                              enum dk_progress_mode mode);

// Shows how far the probe is: one line, drawn over the last one; or one JSON line. `view` is a struct
// dk_progress_view *, so that this can be the progress hook of a run.
void dk_progress_show(void *view, const struct dk_progress *progress);

// Takes the line away. The view can be used again.
void dk_progress_end(struct dk_progress_view *view);
