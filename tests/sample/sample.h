// SPDX-License-Identifier: Apache-2.0
//
// A whole run as values, for tests of the record and the reports: gathered, measured and judged, without a network.
#pragma once

#include "agent/judge/judge.h"
#include "agent/record/record.h"

struct dk_sample {
    struct dk_rules rules; // download at least 40 (4g, target), 100 (5g, qcvn), 200 Mb/s (fixed, target)
    struct dk_context context;
    struct dk_site site;
    struct dk_measurement measurement;
    struct dk_validity validity;
    struct dk_verdict verdict;
    struct dk_record_facts facts; // points at the others
};

// A run on `technology` with a steady download of `download_bps` (interval ± 2 %, whole rate 5 % lower), an upload of
// a third, and latencies by STAMP. Record 7 of its chain. End it with dk_measurement_free(&out->measurement).
void dk_sample_make(struct dk_sample *out, enum dk_technology technology, int64_t download_bps);

// Judges anew, after a test changed what was measured.
void dk_sample_judge(struct dk_sample *sample);
