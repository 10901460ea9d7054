// SPDX-License-Identifier: Apache-2.0
//
// JSON from outside, for the parts of this folder.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>

// Reads one JSON text, each member once; owned by the caller. NULL with *err: DATA (`error` says why) or MEMORY. When
// memory is short jansson may say "syntax error", or nothing and leave out a character; errno mostly knows better, and
// bad luck must not pass for bad data.
static inline json_t *dk_json_load(const char *text, size_t len, json_error_t *error, enum dk_err *err)
{
    errno = 0;

    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, error);

    *err = errno == ENOMEM ? DK_ERR_MEMORY : root == NULL ? DK_ERR_DATA : DK_OK;
    if (*err == DK_OK)
        return root;
    json_decref(root);
    return NULL;
}

// Appends `root` to `out` as compact JSON. Errors as dk_buf_append; `out` may then hold a part. Not json_dumps(): when
// memory is short that one may leave out a member's name and say nothing.
enum dk_err dk_json_dump(const json_t *root, struct dk_buf *out);
