// SPDX-License-Identifier: Apache-2.0
//
// JSON as a stream of members, for inputs too many to build a tree of each: 10 kB in some 15 us. Integers and strings
// only, as everywhere in dokiem.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_FLAT_DEPTH_MAX = 16, DK_FLAT_PATH_SIZE = 128 };

enum dk_flat_type {
    DK_FLAT_TEXT,
    DK_FLAT_INTEGER,
    DK_FLAT_BOOLEAN, // `integer` is 0 or 1
    DK_FLAT_NULL,
};

// One member of an object, wherever it stands, that is a string, an integer, a boolean or null. Borrowed for the call.
struct dk_flat_member {
    const char *path; // "download.rate_bps", "validity.flags[].code"; cut when it is longer than any that matters
    size_t path_len;
    size_t item; // the place in the innermost array, from 0
    enum dk_flat_type type;
    const char *text; // valid UTF-8 without U+0000, escapes resolved; not terminated
    size_t len;
    int64_t integer;
};

// An error ends the reading.
typedef enum dk_err dk_flat_callback(void *argument, const struct dk_flat_member *member);

// Reads one JSON object (RFC 8259). `nested` false: members of members are refused, and names may have dots; true:
// names with dots are refused, so that a path means one member. `scratch` is for texts with escapes and is emptied.
// Refused: what is not JSON, numbers that are not int64_t or have a point or exponent, invalid UTF-8, U+0000, more than
// DK_FLAT_DEPTH_MAX levels. That a member stands twice is not seen here.
// Errors: DATA saying where and why; MEMORY; what the callback gives.
enum dk_err dk_flat_read(const char *json, size_t len, bool nested, struct dk_buf *scratch,
                         dk_flat_callback *callback, void *argument, struct dk_fault *fault);

// True when the bytes are a text as a member may have it: UTF-8 without U+0000.
bool dk_flat_is_text(const char *text, size_t len);
