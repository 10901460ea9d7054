// SPDX-License-Identifier: Apache-2.0
//
// A UDP datagram with what STAMP needs to know of it: when the kernel had it, its TTL, and which of our
// addresses it came to.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"

enum { DK_DATAGRAM_MAX = 2048 };

struct dk_datagram {
    uint8_t data[DK_DATAGRAM_MAX];
    size_t len;
    bool truncated; // it was longer than DK_DATAGRAM_MAX; `data` holds its beginning
    struct sockaddr_storage peer;
    socklen_t peer_len;
    union { // our address that it came to; family says which, AF_UNSPEC when the kernel did not tell
        struct in_pktinfo v4;
        struct in6_pktinfo v6;
    } local;
    int local_family;
    uint8_t ttl;                // 0 when the kernel did not tell
    struct dk_wall received;    // by the kernel when it says so, else when it was read
    struct dk_mono received_at; // the same moment on the other clock
};

// Asks the kernel for receive timestamps, TTL and destination of the datagrams on `fd`. What an old kernel
// cannot give is left out.
void dk_datagram_prepare(int fd, int family);

// Reads one waiting datagram from the non-blocking `fd`. 1: there is one. 0: none is waiting. -1: errno says
// what the socket reports (for a connected one also what ICMP said, e.g. ECONNREFUSED).
int dk_datagram_receive(int fd, struct dk_datagram *out);

// Sends `len` bytes to the peer of `request`, from the address that it came to. Neither is changed. False
// when the kernel did not take them.
bool dk_datagram_answer(int fd, struct dk_datagram *request, void *data, size_t len);

// The error estimate (probes/stamp/packet.h) of this machine's clock now, from adjtimex(2).
uint16_t dk_datagram_clock_error(void);
