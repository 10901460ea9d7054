// SPDX-License-Identifier: Apache-2.0
//
// The journal within its bounds. Delivered records go first. When undelivered ones have to go, a record of the chain
// that says which is durable before the first of them is removed: who holds the rest sees a gap explained, not a hole.
// A change of key never goes: without it nobody can check what the later key signed.
#pragma once

#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"
#include "agent/record/record.h"

#include <stdint.h>

// Reads what record `seq` is needed for: a change of key by all later records, a statement of what was dropped by those
// who see the gap. One that cannot be read from the disk counts as needed, a damaged one as worth nothing.
dk_journal_judge dk_bounds_worth;

// Removes what the last record, number `head_seq` (0: none), says was dropped, in case that was broken off. While a
// delivery goes on it is left for another time. Hold the run lock. Errors: IO, PERMISSION, MEMORY.
enum dk_err dk_bounds_settle(struct dk_journal *journal, int64_t head_seq, struct dk_fault *fault);

// Prunes the journal to `max_bytes` and `max_age_ns`. `like` is what the last record was made of, and `head_sha256` its
// hash: a record of what is dropped follows it, sealed with `key`, and takes the device, the place and the link from
// it. By age undelivered records go only while the clock is synchronised. While a delivery goes on nothing undelivered
// is dropped. Hold the run lock. Errors: as dk_journal_prune, dk_record_build, dk_seal and dk_journal_append.
enum dk_err dk_bounds_apply(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                            const struct dk_key *key, const struct dk_record_facts *like,
                            const char head_sha256[static DK_SHA256_TEXT_SIZE], struct dk_fault *fault);
