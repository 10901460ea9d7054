// SPDX-License-Identifier: Apache-2.0
//
// The table of places: for who reports on a commune, a row a site, operator and technology.
#pragma once

#include <stddef.h>

#include "agent/assess/row.h"
#include "agent/report/csv.h"
#include "config/rules.h"

struct dk_places {
    struct dk_rules rules; // the target of each technology
    struct dk_row *rows;   // owned
    size_t count, capacity;
};

// Takes a row, whose texts must live as long. Errors: MEMORY.
enum dk_err dk_places_add(struct dk_places *places, const struct dk_row *row);

// Writes heading and rows. Repeats of a failed run (inspection.confirms) and figures that mean nothing are no
// samples; a run that failed is no 0 Mb/s, and is counted as an outage. Errors: MEMORY.
enum dk_err dk_places_write(struct dk_places *places, struct dk_csv *csv, struct dk_fault *fault);

void dk_places_free(struct dk_places *places);
