// SPDX-License-Identifier: Apache-2.0
//
// What each kind of verb shuts itself in to (agent/base/sandbox.h), before it reads anything from outside.
#pragma once

#include "config/settings.h"

#include <stddef.h>

// For `run`: sockets that connect to the TCP ports of the servers, of the collector, of the time-stamping authority and
// of the resolver, what the system reads, and of the state folder the journal, the kept profiles, the budget, the
// packets' headers, the clock's offset, what could not be sealed and the public keys; not the device's key. No
// capability stays but CAP_NET_RAW when packets are to be captured (until the capture is open), and for root in a state
// folder that is somebody else's CAP_DAC_OVERRIDE.
void dk_confine_measuring(const struct dk_settings *settings);

// For `deliver`: the same, but without capture; and what waits there to be signed by the next run is not written.
void dk_confine_delivering(const struct dk_settings *settings);

// For `enrol`: the same sockets; of the state folder the collector's key and the public keys are read, and files are
// made.
void dk_confine_enrolling(const struct dk_settings *settings);

// For verbs that read files and print: the `count` files or folders of `files` are read, `more` (a NULL at the end; may
// be NULL), and of the state folder (may be NULL) what is not secret; in the folder of the file `output` (NULL for
// none) one is made. There is no network.
void dk_confine_reading(char *const *files, size_t count, const char *const *more, const char *state_dir,
                        const char *output);
