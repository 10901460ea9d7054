// SPDX-License-Identifier: Apache-2.0
//
// Packets that are not to be fragmented, with a chosen length and hop limit, and what comes back for them: an answer
// of the server, or what ICMP says of them, by the kernel's error queue (ip(7), IP_RECVERR). Over ICMP echo (a ping
// socket; a run has given raw ones up by then) or UDP to ports where nobody is expected to listen.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    DK_WAY_PACKETS_MAX = 256,                 // of one socket, numbered from 0
    DK_WAY_BYTES_MAX = DK_PATH_MTU_MAX_BYTES, // of an IP packet
    DK_WAY_BYTES_MIN = 64,
    DK_WAY_PORT = 33434, // UDP: of packet 0, the next ones go to the next ports (traceroute's)
};

struct dk_way {
    int fd; // -1 while closed
    bool udp, ipv6;
    uint64_t token; // in every packet: what only our own carry
    unsigned sent;  // numbers from 0 to this one are out
    int hop_limit;  // set on the socket; 0: the system's
    struct sockaddr_storage server;
    socklen_t server_len;
};

// Opens it to the numeric address `server`, bound to `interface` ("" for any). `out` says what is wrong when it is not
// open: NOT_MEASURED without the right to send ICMP. It is closed by dk_way_close(), also then.
bool dk_way_open(struct dk_way *way, const char *server, bool udp, const char *interface, enum dk_status *status,
                 char reason[static DK_REASON_SIZE]);
void dk_way_close(struct dk_way *way); // one that is closed is fine

// Sends packet `number`: `bytes` long with its IP header, with a hop limit, 0 for the system's. Returns 0 or errno;
// EMSGSIZE: the kernel knows that it is too long for the way.
int dk_way_send(struct dk_way *way, unsigned number, size_t bytes, int hop_limit);

// What the kernel takes for the path MTU now, bytes; -1 when it does not say.
int64_t dk_way_kernel_mtu(const struct dk_way *way);

#define DK_WAY_EVENT_LIST(X)                                                                                 \
    X(ANSWER)      /* the server's: an echo reply, or that the UDP port is closed */                         \
    X(TIME)        /* the hop limit was used up */                                                           \
    X(TOO_BIG)     /* the packet does not fit through */                                                     \
    X(UNREACHABLE) /* there is no way on from there */

enum dk_way_event_kind {
#define X(name) DK_WAY_##name,
    DK_WAY_EVENT_LIST(X)
#undef X
};

struct dk_way_event {
    enum dk_way_event_kind kind;
    unsigned number;               // of the packet that it is about
    char address[DK_ADDRESS_SIZE]; // who says so
    int64_t mtu;                   // TOO_BIG: what would fit, as it is said; anything may stand there
    struct dk_mono at;
};

// The next event that is about a packet of this socket; what is not is passed over. False when none is waiting.
bool dk_way_receive(struct dk_way *way, struct dk_way_event *out);
