// SPDX-License-Identifier: Apache-2.0
#include "probes/reference/clients.h"

#include <stdlib.h>
#include <sys/random.h>

enum { BUCKETS = 1024, WAYS = 8 };

static const int64_t hour_ns = 3600 * DK_NS_PER_S;

struct dk_clients {
    uint64_t key;
    struct dk_client entries[BUCKETS][WAYS];
};

enum dk_err dk_clients_new(struct dk_clients **out, struct dk_fault *fault)
{
    struct dk_clients *clients = calloc(1, sizeof *clients);

    if (clients == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    if (getrandom(&clients->key, sizeof clients->key, 0) != (ssize_t)sizeof clients->key) {
        free(clients);
        return dk_fail(fault, DK_ERR_IO, NULL, NULL, "the kernel gives no random bytes");
    }
    *out = clients;
    return DK_OK;
}

void dk_clients_free(struct dk_clients *clients)
{
    free(clients);
}

struct dk_client *dk_clients_find(struct dk_clients *clients, const struct dk_peer *peer, struct dk_mono now)
{
    struct dk_client *bucket = clients->entries[dk_peer_hash(peer, clients->key) % BUCKETS];
    struct dk_client *found = NULL, *spare = NULL;

    for (int way = 0; way < WAYS && found == NULL; way++) {
        struct dk_client *entry = &bucket[way];

        if (entry->used && dk_mono_diff_ns(now, entry->hour_start) >= hour_ns) {
            entry->bytes = 0;
            entry->hour_start = now;
            entry->used = entry->connections > 0 || entry->prefix == peer->prefix;
        }
        if (entry->used && entry->prefix == peer->prefix)
            found = entry;
        else if (!entry->used && (spare == NULL || spare->used))
            spare = entry;
        else if (entry->used && entry->connections == 0 &&
                 (spare == NULL || (spare->used && entry->bytes < spare->bytes)))
            spare = entry;
    }
    if (found == NULL && spare != NULL) {
        *spare = (struct dk_client){.prefix = peer->prefix, .hour_start = now, .used = true};
        found = spare;
    }
    return found;
}
