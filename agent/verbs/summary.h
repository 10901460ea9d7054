// SPDX-License-Identifier: Apache-2.0
//
// What list, show and status say of a kept record. Read from the journal without checking signatures: that is what
// verify is for.
#pragma once

#include "agent/base/error.h"
#include "agent/journal/journal.h"
#include "agent/record/record.h"

#include <jansson.h>
#include <stdint.h>

struct dk_summary {
    struct dk_record_head head;
    char outcome[16];                    // of the verdict; "" when nothing was judged
    char reason[DK_REASON_SIZE];         // of a skipped or failed run; "" otherwise
    int64_t download_bps, upload_bps;    // steady rates; -1 when not measured
};

// Errors: NO_INPUT, DATA, IO, MEMORY.
enum dk_err dk_summary_read(struct dk_journal *journal, int64_t seq, struct dk_summary *out, struct dk_fault *fault);

// The seq of the record that `which` names: a seq number, "last", or an id (the newest record of that id; what cannot
// be read is passed over). Errors: NO_INPUT when there is none; as dk_journal_list and dk_journal_head.
enum dk_err dk_summary_find(struct dk_journal *journal, const char *which, int64_t *seq, struct dk_fault *fault);

enum { DK_REFUSAL_TEXT_SIZE = 512 };
// Why record `seq` was set aside, clean and cut to fit: the collector's words, or the agent's own of a damaged record.
// "" when that is not known.
void dk_refusal_read(struct dk_journal *journal, int64_t seq, char out[static DK_REFUSAL_TEXT_SIZE]);

// "waiting", "delivered", "refused".
const char *dk_delivery_text(enum dk_delivery delivery);

// seq, id, start, kind, outcome, reason and rates, as far as there are any. NULL when memory is out; the caller's.
json_t *dk_summary_json(const struct dk_summary *summary);

// Prints `json` on one line and frees it; NULL is INTERNAL.
enum dk_err dk_json_print(json_t *json, struct dk_fault *fault);

DK_DEFINE_FREE(json, json_t, json_decref)
