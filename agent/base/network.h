// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_NETWORK_SIZE = INET6_ADDRSTRLEN + 4 };

// Writes the network, /24 or /48, of a numeric address: "203.0.113.7" is in "203.0.113.0/24"; a zone ("%eth0") is left
// out. What goes to others names no more than that, since a full address can point at a person. False, with *out
// untouched, when it is no address.
bool dk_network_of(const char *address, char out[static DK_NETWORK_SIZE]);

// Reads "ADDRESS", "ADDRESS:PORT" or "[ADDRESS]:PORT", `len` bytes, numeric; an IPv6 address with a port is in [ ].
// False, with nothing written, when it is none of these.
bool dk_address_port(const char *text, size_t len, int64_t default_port, char address[static INET6_ADDRSTRLEN],
                     int64_t *port);

// Writes what of a numeric address on the way may be kept: the address itself, or, where it may point at a person, its
// network as dk_network_of() gives it. So it is for addresses of private networks (RFC 1918, RFC 6598, RFC 4193) and of
// one link (RFC 3927, RFC 4291), and for those in the network of `local_address` ("" when not known), the device's own.
// False, with *out untouched, when it is no address.
bool dk_address_shown(const char *address, const char *local_address, char out[static DK_NETWORK_SIZE]);
