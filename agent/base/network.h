// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

enum { DK_NETWORK_SIZE = INET6_ADDRSTRLEN + 4 };

// Writes the network, /24 or /48, of a numeric address: "203.0.113.7" is in "203.0.113.0/24"; a zone ("%eth0") is left
// out. What goes to others names no more than that, since a full address can point at a person. False, with *out
// untouched, when it is no address.
bool dk_network_of(const char *address, char out[static DK_NETWORK_SIZE]);
