// SPDX-License-Identifier: Apache-2.0
//
// Time stamps as the verbs `deliver` and `run` fetch them.
#pragma once

#include "agent/base/error.h"
#include "agent/record/time_stamp.h"
#include "config/settings.h"

#include <stdint.h>

// The certificates of [time_stamp] ca_file. Errors: CONFIG (it is not set, or not built), as dk_tsa_read.
enum dk_err dk_stamping_trust(const struct dk_settings *settings, struct dk_tsa **out, struct dk_fault *fault);

// Fetches the time stamps that the journal of settings->state_dir waits for from [time_stamp] url, which is set, until
// `interrupt_fd` (-1 for none) becomes readable. *kept says how many, also on an error.
// Errors: as dk_time_stamps_fetch; CONFIG (no ca_file), NOT_NOW (a delivery runs), NO_INPUT, PERMISSION.
enum dk_err dk_stamping(const struct dk_settings *settings, int interrupt_fd, int64_t *kept, struct dk_fault *fault);
