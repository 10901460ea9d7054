// SPDX-License-Identifier: Apache-2.0
//
// The highest download rate that this device can measure, found by the download probe itself.
#pragma once

#include "agent/base/error.h"
#include "config/settings.h"
#include "probes/measurement.h"

// Runs the download probe for 1.5 s, with the streams of `settings`, against a process of its own that gives out zeros
// over loopback as fast as it can. *out is the result as any download's; free it with dk_measurement_free. Giving out
// costs processor time too, and a network driver costs some that loopback does not: the first makes the figure too low,
// the second too high.
// Errors: IO (no process or port), MEMORY, INTERNAL.
enum dk_err dk_calibrate(const struct dk_settings *settings, struct dk_measurement *out, struct dk_fault *fault);
