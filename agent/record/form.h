// SPDX-License-Identifier: Apache-2.0
//
// The form of a record: docs/record.schema.json, which is built into the program, applied to a payload.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <stddef.h>

struct dk_form; // the schema, read once

// Errors: MEMORY; INTERNAL when the schema says something that this reader does not know, so that nothing of it is
// passed over in silence.
enum dk_err dk_form_open(struct dk_form **out, struct dk_fault *fault);

// DK_OK when `json` has exactly the form: members, types, ranges, and every text clean (dk_text_is_clean).
// Errors: DATA naming the member and what is wrong with it; MEMORY.
enum dk_err dk_form_check(struct dk_form *form, const char *json, size_t len, struct dk_fault *fault);

void dk_form_free(struct dk_form *form);
DK_DEFINE_FREE(form, struct dk_form, dk_form_free)
