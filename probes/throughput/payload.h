// SPDX-License-Identifier: Apache-2.0
//
// What an upload sends: random bytes in memory, and a file of them for sendfile(2) where the kernel has one.
#pragma once

#include "agent/base/error.h"

#include <stddef.h>

enum {
    DK_PAYLOAD_BYTES = 1 << 20,
    DK_PAYLOAD_STEP_BYTES = 4099, // prime: streams and rounds of the payload do not line up
};

struct dk_payload {
    int file;    // −1 where the kernel has none
    char *bytes; // DK_PAYLOAD_BYTES, the same; NULL: none
};

// Incompressible, so that nothing on the way can make the line look faster than it is. Owned by the caller, also after
// an error. Errors: IO, MEMORY.
enum dk_err dk_payload_make(struct dk_payload *payload);
void dk_payload_free(struct dk_payload *payload);

// Copies `size` bytes from place *at on, round and round, and moves it on.
void dk_payload_copy(const struct dk_payload *payload, size_t *at, char *out, size_t size);
