// SPDX-License-Identifier: Apache-2.0
//
// The intake of records: who signed this, does it fit the chain, what is answered (docs/collector.md).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/record/key.h"
#include "agent/record/record.h"
#include "collector/store.h"

enum {
    DK_BODY_MAX_BYTES = 4 << 20, // of one request
    DK_LINES_MAX = 1000,         // records of one request
    DK_ANSWER_MAX_BYTES = 16 << 20,
};

enum dk_place {
    DK_PLACE_NEW,   // nothing contradicts it
    DK_PLACE_THERE, // the very same record is kept already
    DK_PLACE_FORK,  // a record of the chain says otherwise; *kept_seq is its number
};

// Where a record belongs, `sha256` its hash and `around` what is kept near it. A record whose neighbours are
// missing is new: gaps are kept and shown. Pure.
enum dk_place dk_record_place(const struct dk_record_head *head, const char *sha256,
                              const struct dk_neighbours *around, int64_t *kept_seq);

// How many records of a request, or of all, got which answer.
struct dk_intake_counts {
    int64_t stored, there, malformed, unauthenticated, forbidden, forks, unavailable;
};

// Takes the records of one request: one JWS a line, at most DK_LINES_MAX. Appends one line of JSON per record
// to `answer`, in the same order, up to the record that ends the request (401, 403, 409, 503); a malformed
// one (400) does not end it. What was answered 200 or 201 is durable when this returns. Adds to *counts.
// Returns the HTTP status of the whole: 201 when something was stored and nothing failed, 200 when all was
// there already, 413 when there are too many lines, 503 with a fault when the store fails (nothing is kept
// then), else the status of the first record that failed.
unsigned dk_records_take(struct dk_store *store, const struct dk_key *collector, struct dk_wall now,
                         const char *body, size_t len, struct dk_intake_counts *counts, struct dk_buf *answer,
                         struct dk_fault *fault);

// Appends one line {"status": status, "reason": reason} to `answer`.
enum dk_err dk_answer_refusal(unsigned status, const char *reason, struct dk_buf *answer);
