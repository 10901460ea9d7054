// SPDX-License-Identifier: Apache-2.0
//
// Quantities as people write them: a number and a unit.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <stdint.h>

struct dk_unit {
    const char *name;
    int64_t scale; // base units (ns, bytes, bit/s) in one of it
};

// Each ends with a unit without a name and begins with the one that a figure is best written in.
extern const struct dk_unit dk_units_duration[]; // d h min s ms us ns
extern const struct dk_unit dk_units_bytes[];    // GiB GB MiB MB KiB kB B
extern const struct dk_unit dk_units_rate[];     // Gb/s Mb/s kb/s b/s
extern const struct dk_unit dk_units_share[];    // % ppm

// Reads "10s", "1.5 s" or "40 Mb/s": a plain decimal number, at most one space, a unit of the list. A bare integer
// counts in units of `bare`; 0 refuses it. The value must be a whole number of base units.
// Returns NULL, or, with *out untouched, what is wrong, to be said after the text ("has no unit").
const char *dk_quantity_parse(const char *text, const struct dk_unit *units, int64_t bare, int64_t *out);

// Appends `value` (not negative) in the first unit of the list that it is a whole number of, with `space` between
// ("" or " "). dk_quantity_parse gives the same value again. Errors as dk_buf_append.
enum dk_err dk_quantity_print(int64_t value, const struct dk_unit *units, const char *space, struct dk_buf *out);

enum { DK_QUOTE_SIZE = 96 };

// Writes `text` for a fault: in quotation marks, a long one cut; bytes that are not clean text are not repeated.
void dk_quote(const char *text, char out[static DK_QUOTE_SIZE]);
