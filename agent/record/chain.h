// SPDX-License-Identifier: Apache-2.0
//
// The chain of records, looked at from outside: what is missing, doubled, forked or out of order among the records
// somebody holds. Pure; the signatures were checked before.
#pragma once

#include "agent/base/error.h"
#include "agent/base/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One verified record.
struct dk_chain_link {
    char device_id[DK_SHA256_TEXT_SIZE];
    int64_t seq;
    char prev[DK_SHA256_TEXT_SIZE];   // "" for null
    char sha256[DK_SHA256_TEXT_SIZE]; // base64url SHA-256 of its JWS
    size_t position;                  // in the order the records were given
};

// The records of one device. `problems` is how many were told; 0 means whole from `first` to `last`.
struct dk_chain_span {
    char device_id[DK_SHA256_TEXT_SIZE];
    int64_t first, last; // seq
    size_t records, problems;
};

struct dk_chain_listener {
    // What is wrong, in words without control characters, borrowed for the call.
    void (*problem)(void *argument, const char *device_id, const char *words);
    // Called once a device, after its problems.
    void (*span)(void *argument, const struct dk_chain_span *span);
    void *argument;
};

// Looks through `count` links and tells the listener, device by device. The links are sorted in place.
// A chain that begins after record 1 is whole: older records may have been removed once delivered.
void dk_chain_check(struct dk_chain_link *links, size_t count, const struct dk_chain_listener *listener);
