// SPDX-License-Identifier: Apache-2.0
//
// The HTTP side of the reference server, on libmicrohttpd, without a thread of its own. Paths as LibreSpeed
// has them.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/record/key.h"
#include "probes/reference/options.h"

struct dk_http;

// Serves the listening socket `fd`, which becomes the server's. `options` and `word_key`, which signs the server's
// words (NULL: it gives none), are borrowed and outlive it. Errors: MEMORY, IO.
enum dk_err dk_http_new(int fd, const struct dk_reference_options *options, const struct dk_key *word_key,
                        struct dk_http **out, struct dk_fault *fault);
// Closes every connection and the socket. NULL is fine.
void dk_http_free(struct dk_http *http);

// The descriptor to poll for POLLIN.
int dk_http_fd(const struct dk_http *http);

// When dk_http_run() must be called even if nothing happens on the descriptor.
struct dk_mono dk_http_deadline(const struct dk_http *http);

// Does what can be done without waiting.
void dk_http_run(struct dk_http *http);
