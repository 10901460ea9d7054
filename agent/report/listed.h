// SPDX-License-Identifier: Apache-2.0
//
// What a table says of one record: read without building a tree of it, for reports of very many.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/assess/intern.h"
#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/record/record.h"
#include "agent/report/record_page.h"

struct dk_listed {
    enum dk_checked checked;
    bool readable; // false: only `checked`, `source` and `reason` mean anything
    struct dk_record_head head;
    const char *source, *reason; // borrowed, as in struct dk_report_item
    // "" when not said; borrowed from the texts they were read into; as they came from outside.
    const char *site, *site_name, *link_operator, *technology, *outcome, *validity;
    int64_t download_bps, upload_bps, latency_ns; // -1 for none
    bool qcvn; // the check that decides the outcome is of a national technical regulation
};

// Reads it from a record's payload, strictly as far as the head goes: each member that is used stands once
// and has its form. `checked`, `source` and `reason` stay. Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_listed_read(const char *json, size_t len, struct dk_texts *texts, struct dk_buf *scratch,
                           struct dk_listed *out, struct dk_fault *fault);
