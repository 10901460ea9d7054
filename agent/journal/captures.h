// SPDX-License-Identifier: Apache-2.0
//
// The evidence beside the journal: the packet headers of a run as STATE/evidence/ID.pcap.
#pragma once

#include "agent/base/error.h"

#include <stddef.h>
#include <stdint.h>

#define DK_CAPTURES_FOLDER "evidence"

// Keeps `data` as `name` in the folder of evidence, durable when it returns DK_OK. Then the oldest files go until all
// together are at most `max_bytes`; the new one stays. Names sort by age. Errors: IO, PERMISSION, NOT_NOW (the name
// exists).
enum dk_err dk_capture_keep(const char *state_dir, const char *name, const void *data, size_t len, int64_t max_bytes,
                            struct dk_fault *fault);
