// SPDX-License-Identifier: Apache-2.0
//
// The chain of sealed records on disk: STATE/journal/NNNNNNNNNN.jws, exactly one JWS per file, so that
// sha256sum(1) of a file is the `prev` of the next record and any JOSE tool reads it as it is. The head is
// read from the files; no second file can disagree with it. Beside a record: NNNNNNNNNN.receipt.jws once it was
// delivered, NNNNNNNNNN.refused once a collector called it malformed (its words inside), NNNNNNNNNN.tsr once it has a
// time stamp.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/base/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DK_SEQ_MAX INT64_C(9999999999)

struct dk_journal;

// Opens STATE/journal. `make` creates the folders when they are missing.
// Errors: NO_INPUT (missing and not to be made), PERMISSION, IO, MEMORY.
enum dk_err dk_journal_open(const char *state_dir, bool make, struct dk_journal **out, struct dk_fault *fault);
void dk_journal_free(struct dk_journal *journal);
DK_DEFINE_FREE(journal, struct dk_journal, dk_journal_free)

// Takes the one lock for runs (flock on STATE/lock), held until dk_journal_free, and makes durable what a process that
// died may have left in the folder. Errors: NOT_NOW when another run has it, PERMISSION, IO.
enum dk_err dk_journal_lock(struct dk_journal *journal, struct dk_fault *fault);
// The same for deliveries (STATE/deliver.lock), so that a delivery does not keep a run waiting.
enum dk_err dk_journal_lock_delivery(struct dk_journal *journal, struct dk_fault *fault);

// The last record: *seq (0 when there is none) and `sha256` (base64url SHA-256 of its JWS; "" when there is none).
// Errors: IO, DATA (the last file is not one line), PERMISSION.
enum dk_err dk_journal_head(struct dk_journal *journal, int64_t *seq, char sha256[static DK_SHA256_TEXT_SIZE],
                            struct dk_fault *fault);

// Keeps `jws` (no line end) as record `seq`, which must be head + 1. Durable when it returns DK_OK.
// Errors: as dk_file_write; NOT_NOW when `seq` is there already.
enum dk_err dk_journal_append(struct dk_journal *journal, int64_t seq, const char *jws, size_t len,
                              struct dk_fault *fault);

// Appends the JWS of record `seq`. Errors: NO_INPUT, DATA, IO, MEMORY.
enum dk_err dk_journal_read(struct dk_journal *journal, int64_t seq, struct dk_buf *jws, struct dk_fault *fault);

enum dk_delivery {
    DK_DELIVERY_WAITING,
    DK_DELIVERY_DELIVERED,
    DK_DELIVERY_REFUSED,
};

struct dk_journal_entry {
    int64_t seq;
    enum dk_delivery delivery;
    bool time_stamped;
};

// All records, ascending, by the names of the files alone: 100,000 take some 30 ms and 3 MB. *entries is owned by the
// caller (free). Errors: IO, MEMORY.
enum dk_err dk_journal_list(struct dk_journal *journal, struct dk_journal_entry **entries, size_t *count,
                            struct dk_fault *fault);

struct dk_journal_counts {
    int64_t by[DK_DELIVERY_REFUSED + 1]; // records, by enum dk_delivery
    int64_t last_seq, oldest_waiting_seq, last_refused_seq; // 0 when there is none
    int64_t time_stamped, last_time_stamped_seq;
    int64_t after_time_stamp; // records after the last that is time stamped: no stamp covers them
    int64_t without_time_stamp; // records after the first that is time stamped, without a stamp of their own
};

// The same, only counted: in some 50 kB. Errors: IO, MEMORY.
enum dk_err dk_journal_count(struct dk_journal *journal, struct dk_journal_counts *out, struct dk_fault *fault);

// Of these, the records that wait for a time stamp. DAY: those that no stamp covers. RECORD: those without one of their
// own, since there is a first one; before that the last record alone, whose stamp covers all before it.
int64_t dk_journal_time_stamps_waiting(const struct dk_journal_counts *counts, enum dk_each each);

// Bytes of record `seq` and of what lies beside it. False when it is not there, or cannot be seen.
bool dk_journal_size(const struct dk_journal *journal, int64_t seq, int64_t *bytes);

// Keeps the collector's receipt (a JWS) of record `seq`, durable. One that is there already is left as it is.
enum dk_err dk_journal_keep_receipt(struct dk_journal *journal, int64_t seq, const char *jws, size_t len,
                                    struct dk_fault *fault);
// Appends the receipt of record `seq`. Errors: NO_INPUT when there is none; DATA, IO, MEMORY.
enum dk_err dk_journal_read_receipt(struct dk_journal *journal, int64_t seq, struct dk_buf *jws,
                                    struct dk_fault *fault);

// Keeps the time stamp of record `seq`, durable. One that is there already is left as it is.
enum dk_err dk_journal_keep_time_stamp(struct dk_journal *journal, int64_t seq, const void *der, size_t len,
                                       struct dk_fault *fault);
// When the time stamp of record `seq` was kept, by the time of its file; false when there is none.
bool dk_journal_time_stamped(const struct dk_journal *journal, int64_t seq, struct dk_wall *when);

// Marks record `seq` as refused by the collector, with its words (the first DK_REFUSAL_MAX bytes of them). Durable.
enum { DK_REFUSAL_MAX = 4096 };
enum dk_err dk_journal_refuse(struct dk_journal *journal, int64_t seq, const char *words, struct dk_fault *fault);
// Appends the words of dk_journal_refuse, as they came from outside. Errors: NO_INPUT when there are none; DATA, IO,
// MEMORY.
enum dk_err dk_journal_read_refusal(struct dk_journal *journal, int64_t seq, struct dk_buf *words,
                                    struct dk_fault *fault);

// What the other records of a journal need a record for. The journal does not read what it keeps, so it asks.
struct dk_journal_worth {
    bool needed;      // by all records after it: it never goes
    int64_t explains; // the last record of a gap that it explains: it goes after those before the gap; 0: none
};

// Fills *out, which is all zero, for record `seq`; dk_bounds_worth for a journal of records. Errors: MEMORY.
typedef enum dk_err dk_journal_judge(struct dk_journal *journal, int64_t seq, struct dk_journal_worth *out,
                                     struct dk_fault *fault);

// Removes the oldest delivered records while the journal is over `max_bytes` or they are older than `max_age_ns`
// (by file time). The last record, every undelivered one and what is still of worth stay. Also sweeps up what a power
// cut left behind: temporary files a day old, receipts whose record is gone. Errors: IO, MEMORY.
enum dk_err dk_journal_prune(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                             dk_journal_judge *judge, struct dk_fault *fault);

// Removes what a power cut or a kill left of a write in one folder: temporary files a day old.
void dk_journal_sweep(const char *folder);

// Undelivered records that have no room any more: the `count` of them from `first_seq` to `last_seq`.
struct dk_journal_excess {
    int64_t first_seq, last_seq, count, bytes;
    bool too_old; // false: too many bytes
};

// After dk_journal_prune, the oldest undelivered records that the bounds leave no room for; count is 0 when there is
// none. They are taken in one go, so that it seldom happens: down to nine tenths of `max_bytes`, or once the oldest is
// a day older than `max_age_ns` (0: age does not count, for a clock that cannot be trusted). A long journal is weighed
// at every 64th record only. The last record stays, and so do needed ones: they are not among the `count`, though
// there may be some between first and last. Errors: IO, MEMORY.
enum dk_err dk_journal_excess(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                              dk_journal_judge *judge, struct dk_journal_excess *out, struct dk_fault *fault);

// Removes the undelivered records from `first_seq` to `last_seq`, the last record of the journal and needed ones
// excepted. First let a record that says so be durable in the journal; a removal that was broken off may be made again.
// Hold both locks. Errors: IO, PERMISSION, MEMORY.
enum dk_err dk_journal_drop(struct dk_journal *journal, int64_t first_seq, int64_t last_seq, dk_journal_judge *judge,
                            struct dk_fault *fault);
