// SPDX-License-Identifier: Apache-2.0
//
// JSON from outside and to it, exact also when memory is short.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <jansson.h>
#include <stddef.h>

// Reads one JSON text, each member once; owned by the caller. NULL with *err: DATA (`error` says why) or MEMORY. When
// memory is short jansson may say "syntax error", or nothing and leave out a character: bad luck must not pass for bad
// data, so its allocations are watched.
json_t *dk_json_load(const char *text, size_t len, json_error_t *error, enum dk_err *err);

// Appends `root` to `out` as compact JSON. Errors as dk_buf_append; `out` may then hold a part. Not json_dumps(): when
// memory is short that one may leave out a member's name and say nothing.
enum dk_err dk_json_dump(const json_t *root, struct dk_buf *out);
