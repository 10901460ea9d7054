// SPDX-License-Identifier: Apache-2.0
//
// A datagram with what a measurement needs to know of it: when the kernel had it, its TTL, and which of our addresses
// it came to. Kernel timestamps are CLOCK_REALTIME; they are carried over to CLOCK_MONOTONIC here, so that nobody
// subtracts across a clock that somebody sets.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"

enum { DK_DATAGRAM_MAX = 2048 };

// One moment on both clocks.
struct dk_instant {
    struct dk_mono mono;
    struct dk_wall wall;
};

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
    bool kernel;                // `received` is the kernel's timestamp
    struct dk_wall received;    // by the kernel when it says so, else when it was read
    struct dk_mono received_at; // the same moment on the other clock
    struct dk_instant read;     // when it was read
};

// What the kernel says of the datagrams that a socket sends. Zeroed before the first.
struct dk_sendings {
    uint32_t next_id; // the least number (SOF_TIMESTAMPING_OPT_ID) that the next datagram can have
};

// Whose times of sending the kernel is to tell: nobody's, those of the answers that ask for it, everybody's.
enum dk_sendings_told { DK_SENDINGS_NONE, DK_SENDINGS_ASKED, DK_SENDINGS_ALL };

// Asks the kernel for receive timestamps, TTL and destination of the datagrams on `fd`, and for the times of those
// that are sent. What an old kernel cannot give is left out.
void dk_datagram_prepare(int fd, int family, enum dk_sendings_told told);

// Makes `fd`, a socket of a probe just opened, ready: bound to `interface` ("" for any), connected to `peer`, so that
// the kernel passes on what comes from there only, and what ICMP says of it, and prepared with the times of sendings.
// With -1 errno says why there is no socket. False with "WHAT: WHY" in `reason`; `fd` stays the caller's.
bool dk_datagram_open(int fd, const char *interface, const struct sockaddr *peer, socklen_t len, char *reason,
                      size_t size);

// Now, on both clocks, read within about 1 µs of each other unless the machine allows no better.
struct dk_instant dk_instant_now(void);

// True when nobody set the wall clock between the two, by more than 20 µs.
bool dk_instants_agree(struct dk_instant a, struct dk_instant b);

// Reads one waiting datagram from the non-blocking `fd`. 1: there is one. 0: none is waiting. -1: errno says
// what the socket reports (for a connected one also what ICMP said, e.g. ECONNREFUSED).
int dk_datagram_receive(int fd, struct dk_datagram *out);

// Right after a datagram was sent: the moment in which the kernel put it into the interface's queue. `before` is when
// sending began. False, with *out untouched, when the kernel does not say, or says what cannot be. Empties the
// socket's error queue.
bool dk_datagram_sent(int fd, struct dk_sendings *sendings, struct dk_instant before, struct dk_mono *out);

// Empties the socket's error queue of what came too late; a poll for it would never wait else.
void dk_datagram_forget(int fd);

// Sends `len` bytes to the peer of `request`, from the address that it came to. Neither is changed. With `tell`, and
// DK_SENDINGS_ASKED, the kernel is asked when it left. False when the kernel did not take them.
bool dk_datagram_answer(int fd, struct dk_datagram *request, void *data, size_t len, bool tell);
