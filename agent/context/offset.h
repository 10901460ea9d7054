// SPDX-License-Identifier: Apache-2.0
//
// How far the device's clock is from the collector's, as the last delivery saw it: STATE/collector/offset.
#pragma once

#include "agent/base/error.h"
#include "agent/context/context.h"

#include <stdint.h>

// Keeps that the collector's clock is now `offset_ns` ahead of this one (behind when negative), give or take
// `error_ns`.
// Errors: as dk_file_write.
enum dk_err dk_offset_keep(const char *state_dir, int64_t offset_ns, int64_t error_ns, struct dk_fault *fault);

// Fills collector_offset_… of *out when there is a file from this boot; else leaves *out as it is: what the clock did
// while the machine was off nobody knows. Steps of the clock since then are counted in.
void dk_offset_read(const char *state_dir, struct dk_clock *out);
