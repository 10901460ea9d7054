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

// The intake: the store, the collector's key, and what is kept between requests.
struct dk_intake;

// `store` and `collector` are borrowed until dk_intake_free. `device_rate`: requests a second of one device, 0 for no
// limit. Errors: MEMORY.
enum dk_err dk_intake_new(struct dk_store *store, const struct dk_key *collector, int64_t device_rate,
                          struct dk_intake **out);
void dk_intake_free(struct dk_intake *intake);
DK_DEFINE_FREE(intake, struct dk_intake, dk_intake_free)

// One request, and its answer.
struct dk_intake_request {
    const char *body; // borrowed; one JWS a line, at most DK_LINES_MAX
    size_t len;
    unsigned status;       // HTTP status of the whole
    int64_t retry_after_s; // of a 429; else 0
    struct dk_buf answer;  // owned by the caller
};

// Takes the records of `count` requests and keeps them all in one transaction, in order. To each `answer` one line of
// JSON per record is appended, in the same order, up to the record that ends the request (401, 403, 409, 429, 503); a
// malformed one (400) does not end it. What was answered 200 or 201 is durable when this returns. Adds to *counts.
// The status of a request is 201 when something was stored and nothing failed, 200 when all was there already, 413
// when there are too many lines, 503 with a fault when the store fails (nothing of the request is kept then), else
// that of the first record that failed. What fails with one request does not harm the others.
void dk_intake_take(struct dk_intake *intake, struct dk_wall now, struct dk_intake_request *requests, size_t count,
                    struct dk_intake_counts *counts, struct dk_fault *fault);

// The same for one request, and with nothing kept between requests. Returns its status.
unsigned dk_records_take(struct dk_store *store, const struct dk_key *collector, struct dk_wall now,
                         const char *body, size_t len, struct dk_intake_counts *counts, struct dk_buf *answer,
                         struct dk_fault *fault);

// Appends one line {"status": status, "reason": reason} to `answer`.
enum dk_err dk_answer_refusal(unsigned status, const char *reason, struct dk_buf *answer);
