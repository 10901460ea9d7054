// SPDX-License-Identifier: Apache-2.0
//
// A recorded link: one line, in ms and never falling, for each moment at which 1500 bytes may pass. The last
// line is also the length of the recording, which then starts again.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

enum { DK_OPPORTUNITY_BYTES = 1500 };

struct dk_trace {
    uint32_t *at_ms; // owned; the moments in order
    size_t count;
    int64_t period_ns;
};

// Reads the `len` bytes of a recording. *out is owned by the caller. `where` names it in the fault.
// Errors: DATA (not a number, falling, empty, or no time passes), MEMORY.
enum dk_err dk_trace_parse(const char *text, size_t len, const char *where, struct dk_trace **out,
                           struct dk_fault *fault);

// Reads the recording at `path`, at most 64 MiB. Errors: as dk_trace_parse and dk_file_read.
enum dk_err dk_trace_read(const char *path, struct dk_trace **out, struct dk_fault *fault);

void dk_trace_free(struct dk_trace *trace);

DK_DEFINE_FREE(trace, struct dk_trace, dk_trace_free)

// The mean rate of the recording, bit/s.
int64_t dk_trace_rate_bps(const struct dk_trace *trace);
