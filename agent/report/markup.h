// SPDX-License-Identifier: Apache-2.0
//
// HTML and SVG written piece by piece. What comes from a record goes in through dk_markup_text() or
// _foreign() alone, and can then be nothing but text.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

// The first error stands; after it nothing is written. Look at `err` once, at the end; free `out` with
// dk_buf_free().
struct dk_markup {
    struct dk_buf out;
    enum dk_err err; // DATA (longer than the maximum) or MEMORY
    int64_t plots;   // so far, for the ids of their titles
};

// An empty page of at most `max` bytes.
struct dk_markup dk_markup_make(size_t max);

// Appends markup as it is: our own, never what a record says.
void dk_markup_add(struct dk_markup *m, const char *markup);
void dk_markup_addf(struct dk_markup *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum { DK_MARKUP_TEXT_MAX = 1200 };

// Appends text: &, <, >, " and ' as entities, each character that is not clean UTF-8 (dk_text_is_clean) and
// each mark that changes the direction of text as '?'; after DK_MARKUP_TEXT_MAX bytes it is cut, which an
// ellipsis shows.
void dk_markup_text(struct dk_markup *m, const char *text);

// The same, in an element of its own (<bdi>) whose direction does not touch what is around it.
void dk_markup_foreign(struct dk_markup *m, const char *text);

// The same as dk_markup_text, formatted: for words of the catalogue and numbers.
void dk_markup_words(struct dk_markup *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum { DK_NUMBER_SIZE = 40 };

// Writes value / scale with `decimals` (0 … 3) decimals and the decimal mark of the language: "34,41".
// `round_up`: away from zero when digits are cut off, else towards it. `scale` is a power of ten, at least
// 10^decimals.
void dk_number_text(int64_t value, int64_t scale, int decimals, bool round_up,
                    char out[static DK_NUMBER_SIZE]);
