// SPDX-License-Identifier: Apache-2.0
//
// The collector's HTTP API (docs/collector.md): routes, limits, answers. One thread.
#pragma once

#include <stdint.h>

#include "agent/base/error.h"
#include "agent/record/key.h"
#include "collector/store.h"

struct dk_http_options {
    const char *listen;     // "ADDR:PORT", "[ADDR]:PORT"; port 0 takes a free one
    const char *read_token; // asked of whoever reads; NULL: only clients on this machine may read
    int64_t rate;           // requests a second and address, and device; 0 for no limit
    void (*say)(const struct dk_fault *fault); // called for what the operator should know; may be NULL
    const char *tls_cert, *tls_key; // PEM; NULL: plain HTTP
    int64_t timeout_ns;                        // within which a request must be complete and its answer taken
};

struct dk_http;

// Listens. `store` and `key` are borrowed until dk_http_free.
// Errors: USAGE (the address), IO (in use …), PERMISSION, MEMORY.
enum dk_err dk_http_open(const struct dk_http_options *options, struct dk_store *store,
                         const struct dk_key *key, struct dk_http **out, struct dk_fault *fault);
void dk_http_free(struct dk_http *http);
DK_DEFINE_FREE(http, struct dk_http, dk_http_free)

// "127.0.0.1:8080": where it listens, with the real port; borrowed.
const char *dk_http_address(const struct dk_http *http);

// Serves what has come in, for at most a second, then returns; sooner when `stop_fd` is readable (-1: there is none).
// Errors: IO.
enum dk_err dk_http_step(struct dk_http *http, int stop_fd, struct dk_fault *fault);

// Serves until `stop_fd` becomes readable. Errors: IO.
enum dk_err dk_http_serve(struct dk_http *http, int stop_fd, struct dk_fault *fault);
