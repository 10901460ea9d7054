// SPDX-License-Identifier: Apache-2.0
//
// The pipeline: the only place that knows the order of the stages. state, measure, judge, record, seal, journal.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/context/context.h"
#include "agent/judge/verdict.h"
#include "agent/measure.h"
#include "agent/record/record.h"
#include "config/rules.h"
#include "config/settings.h"
#include "probes/measurement.h"

// One run, as it was kept. Owned by the caller: dk_run_result_free.
struct dk_run_result {
    enum dk_kind kind;
    char reason[DK_REASON_SIZE]; // of a failed run
    char id[DK_UUID_SIZE];
    int64_t seq;
    struct dk_wall start, end;
    int64_t duration_ns;
    const struct dk_server_settings *server; // that was used; of the settings, borrowed
    struct dk_measurement measurement;
    struct dk_context context;
    struct dk_validity validity;
    struct dk_verdict verdict;
    struct dk_buf payload; // the record's exact bytes
    struct dk_fault evidence_fault; // why the evidence was not kept; all the rest was
};

// The record that a run repeats, and its server. Texts are borrowed.
struct dk_repeated {
    const char *id, *server_url;
};

// Measures as `settings` say, judges by `rules`, and keeps the profile (its bytes are `profile`) and the sealed record.
// `repeated` is NULL, or what the run repeats: it prefers another server then, and the record names what it confirms.
// A run that could not measure what it was asked for is a record too: *out is filled and the error says so.
// Errors with a record kept (out->seq > 0): UNREACHABLE, INTERRUPTED; NOT_NOW (skipped: the data budget).
// Without: NOT_NOW (another run is going on),
// NO_INPUT (no key), PERMISSION, IO, DATA (a damaged journal), USAGE (no server), MEMORY, INTERNAL.
enum dk_err dk_run(const struct dk_settings *settings, const struct dk_rules *rules, const struct dk_buf *profile,
                   const struct dk_repeated *repeated, const struct dk_run_hooks *hooks, struct dk_run_result *out,
                   struct dk_fault *fault);

void dk_run_result_free(struct dk_run_result *result);
