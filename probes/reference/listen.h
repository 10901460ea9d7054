// SPDX-License-Identifier: Apache-2.0
//
// ADDR:PORT as text, and the sockets opened there.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "agent/base/error.h"

enum { DK_LISTEN_TEXT_SIZE = INET6_ADDRSTRLEN + 16 };

// Reads "203.0.113.7:8080" or "[2001:db8::7]:8080", numeric, port 0 … 65535. False leaves *out untouched.
bool dk_listen_parse(const char *text, struct sockaddr_storage *out, socklen_t *out_len);

// Opens a non-blocking socket bound to `text`: SOCK_STREAM, listening, or SOCK_DGRAM. An IPv6 wildcard takes
// IPv4 as well. *fd is the caller's; `chosen` gets the address in the same form, with the port that was
// chosen. Errors: USAGE (not an address), PERMISSION, IO.
enum dk_err dk_listen_open(const char *text, int type, int *fd, char chosen[static DK_LISTEN_TEXT_SIZE],
                           struct dk_fault *fault);
