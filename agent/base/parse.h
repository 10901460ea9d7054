// SPDX-License-Identifier: Apache-2.0
//
// Strict reading of what came from outside. Whole text or nothing: no leading zeros, spaces, signs or exponents that
// the form does not name.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A decimal integer, optional '-', no leading zeros ("010" is refused), within [min, max]. False leaves *out untouched.
bool dk_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out);

// A non-negative decimal number with up to 9 decimals ("1.5"), times `scale`, exactly: false when the product is not
// an integer, is outside [min, max], or the text is anything else.
bool dk_parse_decimal(const char *text, size_t len, int64_t scale, int64_t min, int64_t max, int64_t *out);

// True when the `len` bytes are valid UTF-8 (RFC 3629) without control characters (U+0000–U+001F, U+007F–U+009F) and
// without the bidirectional overrides that let text show as what it is not (U+202A–U+202E, U+2066–U+2069).
bool dk_text_is_clean(const char *text, size_t len);

// Copies `text`, cut to fit `size` bytes, with '?' for every byte that is not part of clean text.
void dk_text_cleaned(const char *text, char *out, size_t size);
