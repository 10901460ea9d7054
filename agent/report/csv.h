// SPDX-License-Identifier: Apache-2.0
//
// CSV (RFC 4180) that spreadsheets open as it is meant: UTF-8 with the mark that they look for, ';' and a
// decimal comma where the language has one, and no text that could be taken for a formula.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct dk_csv {
    FILE *out; // borrowed; write errors are left in ferror()
    char separator;
    bool begun; // the line
};

// Begins a file in the language of the texts: writes the mark U+FEFF.
struct dk_csv dk_csv_begin(FILE *out);

// One field: a text, cleaned (what is not clean is '?'). One that begins with = + - @ or ' gets a ' before
// it: then a spreadsheet computes nothing, and whoever reads it back can take it away.
void dk_csv_text(struct dk_csv *csv, const char *text);
// Our own words or numbers, as they are, quoted when they hold a separator.
void dk_csv_word(struct dk_csv *csv, const char *word);
// An amount as value / scale with `decimals` decimals; empty when it is negative.
void dk_csv_amount(struct dk_csv *csv, int64_t value, int64_t scale, int decimals);
// A whole number; empty when it is negative.
void dk_csv_integer(struct dk_csv *csv, int64_t value);

// Ends the line (CR LF).
void dk_csv_end_line(struct dk_csv *csv);
