// SPDX-License-Identifier: Apache-2.0
//
// The responsiveness of one direction as the record has it: written, and read back.
#pragma once

#include "agent/base/error.h"
#include "probes/measurement.h"

#include <jansson.h>
#include <stdbool.h>

// The object of `from`, without its status and reason: figures where it was measured, counts and samples where anything
// was asked. Owned by the caller; NULL when memory ran out.
json_t *dk_responsiveness_json(const struct dk_responsiveness *from);

// Reads counts, samples and figures of `object` into *out, strictly; figures that are left out are -1, status and
// reason are not read. On success the caller frees out->foreign and out->self.rtt_ns, else there is nothing to free.
// `wrong`: the name of the member that is not of its form. Errors: DATA; MEMORY.
enum dk_err dk_responsiveness_read(const json_t *object, struct dk_responsiveness *out, const char **wrong);
