// SPDX-License-Identifier: Apache-2.0
#include "collector/limit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 1024, WAYS = 4 };

// The moment at which all that the address asked for would have come in evenly (the "generic cell rate
// algorithm").
struct place {
    struct in6_addr address;
    int64_t even_ns;
};

struct dk_limit {
    int64_t interval_ns; // between requests that come evenly; 0 for no limit
    struct place places[SETS][WAYS];
};

enum dk_err dk_limit_new(int64_t rate, struct dk_limit **out)
{
    struct dk_limit *limit = calloc(1, sizeof *limit);

    if (limit == NULL)
        return DK_ERR_MEMORY;
    limit->interval_ns = rate > 0 ? DK_NS_PER_S / rate : 0;
    *out = limit;
    return DK_OK;
}

void dk_limit_free(struct dk_limit *limit)
{
    free(limit);
}

static struct place *find(struct dk_limit *limit, const struct in6_addr *address)
{
    uint32_t hash = 2166136261U; // FNV-1a

    for (size_t i = 0; i < sizeof address->s6_addr; i++)
        hash = (hash ^ address->s6_addr[i]) * 16777619U;

    struct place *set = limit->places[hash % SETS], *oldest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(&set[i].address, address, sizeof *address) == 0)
            return &set[i];
        if (set[i].even_ns < oldest->even_ns)
            oldest = &set[i];
    }
    *oldest = (struct place){.address = *address};
    return oldest;
}

int64_t dk_limit_take(struct dk_limit *limit, const struct in6_addr *address, struct dk_mono now)
{
    struct in6_addr customer = *address;

    if (limit->interval_ns == 0)
        return 0;
    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(customer.s6_addr + 8, 0, 8);

    struct place *place = find(limit, &customer);
    int64_t even_ns = place->even_ns > now.ns ? place->even_ns : now.ns;
    int64_t early_ns = even_ns + limit->interval_ns - now.ns - DK_LIMIT_BURST_S * DK_NS_PER_S;

    if (early_ns > 0)
        return (early_ns + DK_NS_PER_S - 1) / DK_NS_PER_S;
    place->even_ns = even_ns + limit->interval_ns;
    return 0;
}
