// SPDX-License-Identifier: Apache-2.0
//
// One request to a collector and its answer: bounded in time and bytes, redirects not followed,
// interruptible.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/deliver/deliver.h"

struct dk_response {
    long status;            // of HTTP
    bool html;              // a page for people: not a collector's answer
    int64_t retry_after_ns; // 0 when not said
    struct dk_buf body;     // made by the caller with its maximum
    bool pointless;         // after NOT_NOW: trying again at once cannot help (certificate, URL)
    const char *trouble;    // after NOT_NOW or DATA: libcurl's words for it; "" when it has none
};

// Before the first exchange, and after the last. Errors: MEMORY.
enum dk_err dk_exchange_start(struct dk_fault *fault);
void dk_exchange_end(void);

// POSTs `len` bytes of the media type `type` to options->url + path. *response is filled when an answer came
// whole, whatever its status. Errors: NOT_NOW (no answer), DATA (not HTTP, too long), INTERRUPTED, MEMORY.
enum dk_err dk_exchange(const struct dk_deliver_options *options, const char *path, const char *type, const char *body,
                        size_t len, struct dk_response *response, struct dk_fault *fault);

// How often one delivery may still be tried again.
struct dk_patience {
    int tries_left; // start with DK_TRIES
};
enum { DK_TRIES = 3 };

// Waits before the next try: what the collector asked for, else growing with jitter. False, without waiting,
// when there is no further try or the collector asked for more than a minute. *err is INTERRUPTED when that
// cut it short.
bool dk_wait_to_retry(const struct dk_deliver_options *options, struct dk_patience *patience,
                      int64_t retry_after_ns, enum dk_err *err);
