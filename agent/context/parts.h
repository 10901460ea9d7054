// SPDX-License-Identifier: Apache-2.0
//
// The parts of the context, and the parsers they read the system with. What /etc and /sys say is bounded and
// checked like any other input.
#pragma once

#include "agent/context/context.h"

#include <stddef.h>

enum { DK_DEVTYPE_SIZE = 32 };

// What tells one medium from another.
struct dk_medium_signs {
    int hardware_type;             // ARPHRD_… of linux/if_arp.h; -1 when not known
    char devtype[DK_DEVTYPE_SIZE]; // DEVTYPE of /sys/class/net/IF/uevent; "" when there is none
    bool wireless;                 // /sys/class/net/IF/wireless or phy80211 is there
    bool tun;                      // /sys/class/net/IF/tun_flags is there
};

// The medium that the signs stand for. Pure.
enum dk_medium dk_medium_of(const struct dk_medium_signs *signs);

// The value of `key` in a uevent text (KEY=value lines). Values are letters, digits, '_' and '-'; false, with
// `out` untouched, when there is none, or it is something else or does not fit.
bool dk_uevent_get(const char *text, size_t len, const char *key, char *out, size_t size);

// The value of `key` in os-release(5) text: shell assignments, quoted or not, of which the last counts.
// False, with `out` untouched, when there is none, it is badly quoted, empty, not clean UTF-8, or does not
// fit.
bool dk_os_release_get(const char *text, size_t len, const char *key, char *out, size_t size);

// The gateway that an answer of the kernel to RTM_GETROUTE names, as in struct dk_link; "" when there is none, or it is
// no such answer. rtnetlink(7). Pure but for the name of an interface.
void dk_route_gateway_get(const void *answer, size_t len, char out[static DK_GATEWAY_SIZE]);

// The gateway on the way to a numeric address, by `interface` ("" for any); "" when there is none. Asks the kernel, and
// sends nothing.
void dk_route_gateway(const char *address, const char *interface, char out[static DK_GATEWAY_SIZE]);

// The three parts of dk_context_gather, with its parameters. Each fills all of *out but the technology.
void dk_link_gather(const char *server_address, const char *interface, struct dk_link *out);
void dk_clock_gather(struct dk_clock *out);
void dk_host_gather(struct dk_host *out);
