// SPDX-License-Identifier: Apache-2.0
//
// Names to addresses on the loop, by libcurl's resolver: asynchronous, bounded, the same answers as its transfers.
#pragma once

#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "probes/loop.h"

#include <stdint.h>
#include <sys/socket.h>

struct dk_resolution; // one name being resolved

// Called once. `address` is NULL when it failed; then `reason` says why (no control characters).
typedef void dk_resolve_callback(void *argument, const struct sockaddr *address, socklen_t len, const char *reason);

// Starts resolving "HOST:PORT", "HOST" (then `default_port`), "ADDRESS:PORT" or "[ADDRESS]:PORT". The callback comes
// from a later turn of the loop; the resolution then still has to be freed. `timeout_ns` bounds it.
// Errors: DATA (host_port is not of that form), MEMORY, INTERNAL.
enum dk_err dk_resolve(struct dk_loop *loop, const char *host_port, int default_port, enum dk_family family,
                       int64_t timeout_ns, dk_resolve_callback *callback, void *argument,
                       struct dk_resolution **out);

// Ends it; no callback comes after. NULL is fine.
void dk_resolve_free(struct dk_resolution *resolution);
