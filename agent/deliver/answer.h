// SPDX-License-Identifier: Apache-2.0
//
// What a collector's answer means (docs/collector.md has the table). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/record/key.h"

enum { DK_ANSWER_REASON_SIZE = 256 };

enum dk_meaning {
    DK_MEANING_STORED,    // 200, 201
    DK_MEANING_MALFORMED, // 400
    DK_MEANING_FORBIDDEN, // 401, 403
    DK_MEANING_FORK,      // 409
    DK_MEANING_NOT_NOW,   // 413, 429, 5xx
    DK_MEANING_NONSENSE,  // all else
};

// What a status (of HTTP, or of one record) means for the agent.
enum dk_meaning dk_status_meaning(int64_t status);

// One line of an answer: about one record.
struct dk_answer {
    int64_t status;
    char reason[DK_ANSWER_REASON_SIZE]; // clean text, cut to fit; "" when there is none
    struct dk_buf receipt;              // the caller's; filled with the receipt, if any
};

// Reads one line. Errors, *out then says nothing: DATA (it is not a JSON object with an integer `status`, 100 to 599,
// or a text in it is not clean, or the receipt does not fit), MEMORY.
enum dk_err dk_answer_read(const char *line, size_t len, struct dk_answer *out);

// *received is what it says of its arrival.
// Checks that `receipt` is signed by `collector` and is about the record with this hash, device and number.
// Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_receipt_check(const struct dk_key *collector, const char *receipt, size_t len,
                             const char *sha256, const char *device, int64_t seq, struct dk_wall *received,
                             struct dk_fault *fault);
