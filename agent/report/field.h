// SPDX-License-Identifier: Apache-2.0
//
// Members of a record's JSON by their path ("site.name"), whatever the record is: one that is missing or of
// another type is as good as none.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// The member itself, borrowed; NULL when there is none.
const json_t *dk_field(const json_t *record, const char *path);

// A text, borrowed, as it came from outside; "" when there is none.
const char *dk_field_text(const json_t *record, const char *path);

// A whole number; `none` when there is none.
int64_t dk_field_integer(const json_t *record, const char *path, int64_t none);

// True only for a true.
bool dk_field_true(const json_t *record, const char *path);

// True when the text there is `text`.
bool dk_field_is(const json_t *record, const char *path, const char *text);
