// SPDX-License-Identifier: Apache-2.0
//
// What link and what machine a measurement was made on: a value, gathered before the probes run.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/terms.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum { DK_CONTEXT_TEXT_SIZE = 128 };

#define DK_MEDIUM_LIST(X)                                                                                    \
    X(UNKNOWN, "unknown")                                                                                    \
    X(ETHERNET, "ethernet")                                                                                  \
    X(WIFI, "wifi")                                                                                          \
    X(CELLULAR, "cellular")                                                                                  \
    X(PPP, "ppp")                                                                                            \
    X(TUNNEL, "tunnel")                                                                                      \
    X(LOOPBACK, "loopback")

enum dk_medium {
#define X(name, text) DK_MEDIUM_##name,
    DK_MEDIUM_LIST(X)
#undef X
};

#define DK_CLOCK_STATE_LIST(X)                                                                               \
    X(UNKNOWN, "unknown")                                                                                    \
    X(SYNCHRONISED, "synchronised")                                                                          \
    X(UNSYNCHRONISED, "unsynchronised")

enum dk_clock_state {
#define X(name, text) DK_CLOCK_##name,
    DK_CLOCK_STATE_LIST(X)
#undef X
};

enum {
    DK_LINK_STATE_SIZE = 16,
    DK_GATEWAY_SIZE = INET6_ADDRSTRLEN + IF_NAMESIZE + 1,
};

struct dk_link {
    char interface[IF_NAMESIZE]; // that the route to the server leaves by; "" when there is no route
    unsigned index;              // the kernel's number of it: another one is another interface; 0 when there is none
    char state[DK_LINK_STATE_SIZE]; // operstate: "up", "unknown" …; "" when not known
    int64_t carrier_changes;        // how often the carrier came or went, ever; -1 when not known
    enum dk_medium medium;
    int64_t mtu_bytes;                      // -1 when not known
    int64_t speed_bps;                      // what the driver says (Ethernet); -1 when not known
    char local_address[INET6_ADDRSTRLEN];   // numeric; "" when not known
    char gateway[DK_GATEWAY_SIZE]; // numeric, of the route to the server, "fe80::1%IF" where it is link-local; "": none
    bool ipv4, ipv6;                        // a global-scope address of the family is on the interface
    enum dk_technology technology;          // declared or, later, observed; UNKNOWN when neither
    enum dk_technology technology_declared; // UNKNOWN when it was not declared
};

struct dk_clock {
    enum dk_clock_state state;  // adjtimex(2)
    int64_t estimated_error_ns; // -1 when not known
    int64_t maximum_error_ns;   // -1 when not known
    bool has_collector_offset;
    int64_t collector_offset_ns;       // the collector's clock minus this one
    int64_t collector_offset_error_ns; // bound of its error when it was taken
    int64_t collector_offset_age_ns;   // since then
};

struct dk_host {
    char os[DK_CONTEXT_TEXT_SIZE];     // PRETTY_NAME of os-release(5)
    char kernel[DK_CONTEXT_TEXT_SIZE]; // uname(2) release
    char arch[DK_CONTEXT_TEXT_SIZE];   // uname(2) machine
    int64_t cpus;
};

struct dk_context {
    struct dk_link link;
    bool has_link_after;
    struct dk_link link_after; // the same, looked up again after the probes
    struct dk_clock clock;
    struct dk_host host;
};

// "ethernet", "synchronised" …; never NULL.
const char *dk_medium_text(enum dk_medium medium);
const char *dk_clock_state_text(enum dk_clock_state state);

// Gathers it. `server_address` is the numeric address that the route is looked up for ("" when the server was
// not reached: then the default route's interface is described); `interface` the one asked for, or "". What
// cannot be found out is marked so; nothing here fails.
void dk_context_gather(const char *server_address, const char *interface, enum dk_technology declared,
                       struct dk_context *out);

// Gathers the link once more, as link_after. The first two parameters are those of dk_context_gather.
void dk_context_gather_after(const char *server_address, const char *interface, struct dk_context *context);
