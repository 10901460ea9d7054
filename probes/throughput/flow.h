// SPDX-License-Identifier: Apache-2.0
//
// Whether bytes flowed as they do over a line, or a server held them back: pure.
#pragma once

#include "probes/measurement.h"

#include <stdbool.h>

enum { DK_FLOW_MIN_BYTES = 65536 };

// False when `series` says nothing about a line, with the reason: fewer than DK_FLOW_MIN_BYTES in all; no byte of any
// stream in the last 2 s, or in the last half when that is shorter; no byte of one stream in the last half, when that
// is 2 s or more.
bool dk_flow_is_sound(const struct dk_series *series, char reason[static DK_REASON_SIZE]);
