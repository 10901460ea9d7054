// SPDX-License-Identifier: Apache-2.0
//
// What stands for "one client" in a limit: an IPv4 address, or an IPv6 /64, since that is what one host is
// given.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct dk_peer {
    uint64_t prefix; // the same for all addresses of one client
    uint16_t port;   // host order
};

// Reads an internet socket address of `len` bytes; an IPv4 address mapped into IPv6 counts as IPv4. False,
// with *out untouched, for any other.
bool dk_peer_read(const struct sockaddr *address, socklen_t len, struct dk_peer *out);

// A hash of the prefix, 64 bits, that nobody can foresee who does not know the random `key`.
uint64_t dk_peer_hash(const struct dk_peer *peer, uint64_t key);
