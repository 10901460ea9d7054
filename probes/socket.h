// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

enum { DK_SOCKET_NAME_SIZE = INET6_ADDRSTRLEN + 16 };

// Binds to the interface, or, where that needs a privilege, to an address of it. False with errno.
bool dk_socket_bind_interface(int fd, const char *interface, int family);

// Writes "ADDRESS:PORT", "[ADDRESS]:PORT", or without a port (0) the address alone.
void dk_socket_describe(const struct sockaddr *address, socklen_t len, char out[static DK_SOCKET_NAME_SIZE]);

// The numeric address `text` ("fe80::1%eth0" where it needs a zone) with that port, for connect(2). False when it is
// none.
bool dk_socket_address(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len);
