// SPDX-License-Identifier: Apache-2.0
//
// The device's key and its chain, for a run or an enrolment: the private key is in a process of its own
// (agent/record/signer.h), or in a token, which only that process has open. That of a token has no walls around files
// and sockets, because its module needs some that nobody names.
#pragma once

#include "agent/base/error.h"
#include "agent/device.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"

#include <stdint.h>

struct dk_device_signer {
    struct dk_key *key; // signs records of the chain; owned
    struct dk_device_id device;
    int64_t seq; // of the last record when the key was read
};

// Starts it, with the key of dk_device_key; a change of key that was broken off is ended first (dk_device_settle).
// What was put by is sealed by that process, before it says that it is there. *out is owned by the caller. Call before
// threads, sockets and the sandbox. Errors: as those two; NOT_NOW (a run is going on), IO, MEMORY.
enum dk_err dk_device_signer_start(const char *state_dir, const char *key_name, struct dk_device_signer *out,
                                   struct dk_fault *fault);

// The same for an enrolment: *out signs one, and is owned by the caller. The chain is not looked at.
// Errors: as dk_device_key; IO, MEMORY.
enum dk_err dk_device_signer_start_enrolling(const char *state_dir, const char *key_name, struct dk_key **out,
                                             struct dk_fault *fault);

// Ends the process. What is all zero is passed over.
void dk_device_signer_end(struct dk_device_signer *signer);

// Sees that nobody else changed the device's key since it was read, or left something to be sealed. Hold the lock for
// runs. Errors: as dk_device_unchanged.
enum dk_err dk_device_signer_check(const struct dk_device_signer *signer, const char *state_dir,
                                   struct dk_journal *journal, struct dk_fault *fault);
