// SPDX-License-Identifier: Apache-2.0
//
// What each client (an IPv4 address or an IPv6 /64) has used: a table of fixed size.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "probes/stamp/peer.h"

struct dk_clients;

struct dk_client {
    uint64_t prefix;
    int64_t connections; // open now; an entry with connections is never given to another client
    int64_t bytes;       // since hour_start
    struct dk_mono hour_start;
    bool used;
};

// Errors: MEMORY, IO (no randomness).
enum dk_err dk_clients_new(struct dk_clients **out, struct dk_fault *fault);
void dk_clients_free(struct dk_clients *clients); // NULL is fine

// The entry of the client, made when there is none; its hour begins anew when it is over. When the table is
// full around it, the entry without connections that used least is forgotten. NULL when all of those have
// connections. Borrowed; valid until the next call of this function, or for as long as it has connections.
struct dk_client *dk_clients_find(struct dk_clients *clients, const struct dk_peer *peer, struct dk_mono now);
