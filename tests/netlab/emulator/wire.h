// SPDX-License-Identifier: Apache-2.0
//
// The emulated link between two interfaces: frames in, through the model, frames out at their time. IP
// packets go through the model; what is not IP (ARP) passes at once and is not counted.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "tests/netlab/emulator/account.h"
#include "tests/netlab/emulator/link.h"

extern const char *const dk_direction_names[DK_DIRECTIONS]; // "down", "up"

struct dk_wire_settings {
    const char *agent_interface, *server_interface;
    struct dk_link_settings links[DK_DIRECTIONS];
    int64_t grain_ns; // with traffic, packets are handed on at most this often, all that are due together
    FILE *csv;        // borrowed; a row per direction and 10 ms. NULL: none
};

struct dk_wire;

// Opens the interfaces; the emulation starts now. *out is owned by the caller; a recording named in the
// settings must outlive it. Errors: NO_INPUT, PERMISSION, IO, MEMORY.
enum dk_err dk_wire_new(const struct dk_wire_settings *settings, struct dk_wire **out,
                        struct dk_fault *fault);
void dk_wire_free(struct dk_wire *wire);

DK_DEFINE_FREE(wire, struct dk_wire, dk_wire_free)

// When the emulation started: the first row of the file, and moment 0 of a recording.
struct dk_mono dk_wire_start(const struct dk_wire *wire);

// Carries frames until `signals`, a non-blocking descriptor, has something to read (looked at every 10 ms).
// Errors: IO (the file cannot be written).
enum dk_err dk_wire_run(struct dk_wire *wire, int signals, struct dk_fault *fault);

// All that one direction did, complete when dk_wire_run has ended. Borrowed. With the packets still on the
// link: offered = delivered − duplicated + lost + queue_full + emulator + held.
const struct dk_account *dk_wire_total(const struct dk_wire *wire, enum dk_direction direction);
int64_t dk_wire_held(const struct dk_wire *wire, enum dk_direction direction);
