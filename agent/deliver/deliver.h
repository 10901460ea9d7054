// SPDX-License-Identifier: Apache-2.0
//
// Delivery of waiting records to a collector, in order, idempotent (docs/collector.md has the table of
// answers).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"
#include "agent/record/ring.h"

struct dk_deliver_options {
    const char *url;     // of the collector, no trailing slash
    const char *ca_file; // "" for the system's
    const char *user_agent;
    const struct dk_key *collector_key; // that receipts must be signed by
    const struct dk_keys *device_keys;  // one of which must have signed a record; NULL: they are sent unseen
    int64_t timeout_ns;                 // of one request
    int64_t batch;                      // records per request
    int interrupt_fd;                   // becomes readable when the user wants to stop; -1 for none
};

struct dk_deliver_result {
    int64_t delivered;      // records with a receipt kept now
    int64_t refused;        // called malformed by the collector, set aside
    int64_t damaged;        // do not verify any more on this device: set aside, not sent
    int64_t waiting;        // still to be delivered
    bool has_offset;         // a record was stored now, so its arrival time tells the collector's clock
    int64_t offset_ns;       // the collector's clock minus ours
    int64_t offset_error_ns; // bound of its error: half the time of the request, and the 1 ms of a receipt
    int64_t retry_after_ns; // what the collector asked for; 0 when it did not
};

// Sends what waits. Answers 429, 503, other 5xx and none are tried again a few times with growing, jittered
// pauses (Retry-After is heeded up to a minute), then given up for now. A record that is damaged is set aside like a
// refused one, and the next one is sent; one that another key made ends the delivery (DATA). *out is filled in every
// case. Errors:
// NOT_NOW (collector away or busy: all is kept), PERMISSION (401, 403: says how to enrol), DATA (409: the
// chain forks; or an answer that makes no sense), IO (journal), INTERRUPTED, MEMORY.
enum dk_err dk_deliver(struct dk_journal *journal, const struct dk_deliver_options *options,
                       struct dk_deliver_result *out, struct dk_fault *fault);

// Enrols `device`, whose chain is `device_id`, at the collector: sends its public key, the one-time token and the
// site, signed. On success
// the collector's public key (JWK text) is appended to `collector_jwk` and *approved says whether it may
// deliver already. Errors: PERMISSION (token refused), NOT_NOW, DATA, MEMORY.
enum dk_err dk_enrol(const struct dk_deliver_options *options, const struct dk_key *device, const char *device_id,
                     const char *token, const char *site_code, const char *site_name, struct dk_buf *collector_jwk,
                     bool *approved, struct dk_fault *fault);
