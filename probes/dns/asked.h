// SPDX-License-Identifier: Apache-2.0
//
// Which names are asked for, and whom.
#pragma once

#include "probes/measurement.h"
#include "probes/probe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DK_DNS_LISTED_MAX = 3, // of the system, as resolv.conf(5) has them, and as many of the settings
    DK_DNS_SERVERS_MAX = 2 * DK_DNS_LISTED_MAX,
    DK_DNS_NAMES_MAX = 4,
};

struct dk_dns_server {
    char address[DK_ADDRESS_SIZE];
    int64_t port;
    bool configured; // by the settings
};

// No server and no name is in it twice. Without a name there are no servers either.
struct dk_dns_asked {
    struct dk_dns_server servers[DK_DNS_SERVERS_MAX];
    size_t server_count;
    char names[DK_DNS_NAMES_MAX][DK_DNS_TEXT_SIZE];
    size_t name_count;
};

// The name of the plan's server, where it has one, and those of the plan; its resolvers and, with `system`, those that
// c-ares finds in the system.
void dk_dns_asked_gather(const struct dk_plan *plan, bool system, struct dk_dns_asked *out);

// The host name of "http[s]://HOST[:PORT][/…]". False when it is an address or "localhost", or is not of that form.
bool dk_dns_host(const char *url, char out[static DK_DNS_TEXT_SIZE]);
