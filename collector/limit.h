// SPDX-License-Identifier: Apache-2.0
//
// How many requests an address may make: `rate` a second on average, BURST seconds' worth at once. A table of
// fixed size; when it is full the address that has been quiet longest is forgotten.
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"

enum { DK_LIMIT_BURST_S = 10 };

struct dk_limit;

// `rate`: requests a second, 1 to 1000000; 0 means no limit. Errors: MEMORY.
enum dk_err dk_limit_new(int64_t rate, struct dk_limit **out);
void dk_limit_free(struct dk_limit *limit);

// Counts a request of `address` (IPv4 as ::ffff:a.b.c.d; of IPv6 only the first 64 bits count, what one
// customer has). 0 when it may go on, else the seconds after which it may, and the request is not counted.
int64_t dk_limit_take(struct dk_limit *limit, const struct in6_addr *address, struct dk_mono now);
