// SPDX-License-Identifier: Apache-2.0
//
// Delivery as the verbs `deliver` and `run` start it.
#pragma once

#include "agent/base/error.h"
#include "agent/deliver/deliver.h"
#include "config/settings.h"

// Sends what waits in the journal of settings->state_dir to settings->collector_url, until `interrupt_fd` (-1 for none)
// becomes readable. *out says how far it came, also on an error.
// Errors: as dk_deliver; CONFIG (no collector is set), PERMISSION (not enrolled), NOT_NOW (another delivery runs).
enum dk_err dk_delivery(const struct dk_settings *settings, int interrupt_fd, struct dk_deliver_result *out,
                        struct dk_fault *fault);
