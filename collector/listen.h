// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>

#include "agent/base/error.h"

enum { DK_LISTEN_TEXT_SIZE = INET6_ADDRSTRLEN + 16 };

// Opens a listening TCP socket (close-on-exec, non-blocking) on "ADDR:PORT" or "[ADDR6]:PORT", numeric; port
// 0 takes a free one. *fd is owned by the caller; `shown` is the same with the real port. Errors: USAGE (the
// text), PERMISSION, IO (in use, no such address).
enum dk_err dk_listen(const char *text, int *fd, char shown[static DK_LISTEN_TEXT_SIZE],
                      struct dk_fault *fault);
