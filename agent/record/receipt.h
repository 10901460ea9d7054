// SPDX-License-Identifier: Apache-2.0
//
// A collector's receipt (docs/collector.md): which record it had, and when it came.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/record/key.h"

#include <stddef.h>
#include <stdint.h>

struct dk_receipt {
    char record_sha256[DK_SHA256_TEXT_SIZE]; // base64url SHA-256 of the record's JWS
    char device[DK_SHA256_TEXT_SIZE];
    int64_t seq;
    struct dk_wall received; // by the collector's clock
    int64_t last_seq;        // the highest number it had of the device then
};

// Verifies a receipt with the collector's key and reads it, strictly. Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_receipt_open(const struct dk_key *collector, const char *jws, size_t len, struct dk_receipt *out,
                            struct dk_fault *fault);
