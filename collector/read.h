// SPDX-License-Identifier: Apache-2.0
//
// What the collector gives out: records, devices, metrics. Each function returns a response that the caller
// owns, or NULL when there is no memory, and sets *status.
#pragma once

#include <microhttpd.h>
#include <stdint.h>

#include "agent/base/clock.h"
#include "collector/records.h"
#include "collector/store.h"

// One line per record of `device`, or of every device by id where `device` is NULL, from number `since` on, at most
// `limit`: the JWS as they came, with `receipts` each followed by its receipt (application/jose). The response reads
// the store while it is sent and notes each step in *progress; both outlive it.
struct MHD_Response *dk_read_records(struct dk_store *store, const char *device, int64_t since, int64_t limit,
                                     bool receipts, struct dk_mono *progress, unsigned *status);

// JSON array: id, state, site, enrolled, last_seq, records, gaps, dropped, forks, cloned, jwk of every device, and
// replaces and revoked where it is so.
struct MHD_Response *dk_read_devices(struct dk_store *store, unsigned *status);

// Counters since the start.
struct dk_counters {
    struct dk_intake_counts records;
    int64_t enrolled, enrolments_refused;
    int64_t requests, limited;
    int64_t bytes_held; // of requests that are still coming in
};

// Prometheus text.
struct MHD_Response *dk_read_metrics(struct dk_store *store, const struct dk_counters *counters,
                                     unsigned *status);

// A response of `len` bytes of `text`, copied.
struct MHD_Response *dk_read_text(const char *type, const char *text, size_t len);
