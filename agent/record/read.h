// SPDX-License-Identifier: Apache-2.0
//
// The record read back: the figures that can be computed again, and what they are computed from.
#pragma once

#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "agent/judge/verdict.h"
#include "config/site.h"
#include "probes/measurement.h"

#include <stddef.h>
#include <stdint.h>

#define DK_NOT_RECORDED INT64_MIN

struct dk_record_figures {
    // Status, reason, rates, bytes, times and series of the throughputs; status, reason, counts and round-trip times of
    // the latencies, and their series; all of responsiveness. Steadiness, conditions and tcp are not read.
    struct dk_measurement measurement;
    int64_t loaded_minus_idle_download_ns, loaded_minus_idle_upload_ns; // DK_NOT_RECORDED: left out
    enum dk_technology technology; // that it was judged as
    struct dk_site site;
    struct dk_validity validity;
    bool has_verdict;
    struct dk_verdict verdict; // of the rules of its checks only id and threshold; no reasons
};

// Reads them from a record's payload, strictly: a member that is not of its form, or out of range, is an error.
// A figure that is left out is -1. On success free *out with dk_measurement_free(&out->measurement).
// Errors: DATA naming the member; MEMORY.
enum dk_err dk_record_read_figures(const char *json, size_t len, struct dk_record_figures *out,
                                   struct dk_fault *fault);
