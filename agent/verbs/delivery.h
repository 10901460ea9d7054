// SPDX-License-Identifier: Apache-2.0
//
// Delivery as the verbs `deliver` and `run` start it.
#pragma once

#include "agent/base/error.h"
#include "agent/deliver/deliver.h"
#include "agent/record/ring.h"
#include "config/settings.h"

// The public keys by which is seen which records are still as the device signed them: those of before, and the present
// one, which is `own`, or when that is NULL the one of STATE/device.pem; of a key in a token the public part is among
// those of before. Without a key the ring stays empty.
// Errors: as dk_ring_read_state.
enum dk_err dk_delivery_keys(const char *state_dir, const struct dk_key *own, struct dk_keys *out,
                             struct dk_fault *fault);

// Sends what waits in the journal of settings->state_dir to settings->collector_url, until `interrupt_fd` (-1 for none)
// becomes readable. *out says how far it came, also on an error.
// Errors: as dk_deliver; CONFIG (no collector is set), PERMISSION (not enrolled), NOT_NOW (another delivery runs).
enum dk_err dk_delivery(const struct dk_settings *settings, const struct dk_keys *device_keys, int interrupt_fd,
                        struct dk_deliver_result *out, struct dk_fault *fault);
