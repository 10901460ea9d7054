// SPDX-License-Identifier: Apache-2.0
//
// Time stamps of the records in the journal, from a time-stamping authority (RFC 3161 section 3.4, over HTTP).
#pragma once

#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "agent/journal/journal.h"
#include "agent/record/time_stamp.h"

#include <stdint.h>

struct dk_time_stamps_options {
    const char *url;          // of the authority
    const char *policy;       // object identifier; "": any
    const struct dk_tsa *tsa; // that stamps must be signed by
    enum dk_each each;
    const char *user_agent;
    int interrupt_fd; // becomes readable when the user wants to stop; -1 for none
};

// Asks for stamps, checks them and keeps them in the journal, *kept of them. RECORD: for each record that waits
// (dk_journal_time_stamps_waiting), the newest first since its stamp covers the others, at most 100 at a time. DAY: for
// the last record, unless a stamp was kept today (UTC+7) already. Hold the delivery lock. A request takes at most 10 s,
// and is made again a few times as a delivery is; what cannot be had now waits, and nothing else waits for it.
// Errors: NOT_NOW (the authority is away or busy), DATA (its reply is not good, and was not kept), CONFIG, IO,
// INTERRUPTED, MEMORY.
enum dk_err dk_time_stamps_fetch(struct dk_journal *journal, const struct dk_time_stamps_options *options,
                                 int64_t *kept, struct dk_fault *fault);
