// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/reflector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SLOTS = 4096, TURN_DATAGRAMS = 64, FIRST_FREE_PORT = 1024 };

// Addresses share slots by a keyed hash, so memory is fixed and nobody can aim at another's slot. Sharing a
// slot only lowers a limit.
struct slot {
    int64_t second;
    int64_t count;
};

struct dk_reflector {
    int fd;
    uint16_t own_port;
    int64_t packets_per_second;
    uint64_t key;
    struct dk_reflector_counts counts;
    struct slot slots[SLOTS];
};

bool dk_stamp_reflect(const void *request, size_t len, uint64_t received, uint64_t sent,
                      uint16_t error_estimate, uint8_t ttl, uint8_t *out)
{
    struct dk_stamp_request in;

    if (!dk_stamp_get_request(request, len, &in))
        return false;

    struct dk_stamp_answer answer = {
        .sequence = in.sequence,
        .timestamp = sent,
        .error_estimate = error_estimate,
        .session = in.session,
        .received = received,
        .sender_sequence = in.sequence,
        .sender_timestamp = in.timestamp,
        .sender_error_estimate = in.error_estimate,
        .sender_ttl = ttl,
    };

    dk_stamp_put_answer(&answer, out);
    memset(out + DK_STAMP_SIZE, 0, len - DK_STAMP_SIZE);
    return true;
}

bool dk_stamp_may_answer(uint16_t source_port, uint16_t own_port)
{
    return source_port >= FIRST_FREE_PORT && source_port != own_port;
}

// Port in host order, 0 for what is not an internet address; the first eight bytes of the address in *prefix.
static uint16_t port_and_prefix(const struct sockaddr_storage *address, uint64_t *prefix)
{
    *prefix = 0;
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, address, sizeof v4);
        memcpy(prefix, &v4.sin_addr, sizeof v4.sin_addr);
        return ntohs(v4.sin_port);
    }
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, address, sizeof v6);
        // IPv4 peers of an IPv6 socket all share the first eight bytes: theirs are the last four.
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            memcpy(prefix, &v6.sin6_addr.s6_addr[12], 4);
        else
            memcpy(prefix, &v6.sin6_addr, sizeof *prefix);
        return ntohs(v6.sin6_port);
    }
    return 0;
}

enum dk_err dk_reflector_new(int fd, int64_t packets_per_second, struct dk_reflector **out,
                             struct dk_fault *fault)
{
    struct sockaddr_storage own = {0};
    socklen_t own_len = sizeof own;
    uint64_t prefix = 0;
    struct dk_reflector *reflector = calloc(1, sizeof *reflector);

    if (reflector == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "STAMP reflector", NULL, "out of memory");
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) != 0 ||
        getrandom(&reflector->key, sizeof reflector->key, 0) != (ssize_t)sizeof reflector->key) {
        free(reflector);
        return dk_fail(fault, DK_ERR_IO, "STAMP reflector", NULL, "%s", strerror(errno));
    }
    reflector->fd = fd;
    reflector->own_port = port_and_prefix(&own, &prefix);
    reflector->packets_per_second = packets_per_second;
    dk_datagram_prepare(fd, own.ss_family);
    *out = reflector;
    return DK_OK;
}

void dk_reflector_free(struct dk_reflector *reflector)
{
    free(reflector);
}

static bool within_rate(struct dk_reflector *reflector, uint64_t prefix, struct dk_mono now)
{
    uint64_t hash = (prefix ^ reflector->key) * UINT64_C(0x9e3779b97f4a7c15);

    hash = (hash ^ hash >> 32) * (reflector->key | 1);

    struct slot *slot = &reflector->slots[hash >> 52];
    int64_t second = now.ns / DK_NS_PER_S;

    if (slot->second != second)
        *slot = (struct slot){second, 0};
    return slot->count++ < reflector->packets_per_second;
}

static void answer(struct dk_reflector *reflector, struct dk_datagram *request, uint16_t error_estimate)
{
    uint8_t out[DK_DATAGRAM_MAX];
    uint64_t prefix = 0;
    uint16_t port = port_and_prefix(&request->peer, &prefix);

    if (request->truncated || request->len < DK_STAMP_SIZE ||
        !dk_stamp_may_answer(port, reflector->own_port)) {
        reflector->counts.malformed++;
        return;
    }
    if (!within_rate(reflector, prefix, request->received_at)) {
        reflector->counts.limited++;
        return;
    }
    if (!dk_stamp_reflect(request->data, request->len, dk_stamp_from_wall(request->received),
                          dk_stamp_from_wall(dk_wall_now()), error_estimate, request->ttl, out) ||
        !dk_datagram_answer(reflector->fd, request, out, request->len)) {
        reflector->counts.failed++;
        return;
    }
    reflector->counts.answered++;
}

void dk_reflector_serve(struct dk_reflector *reflector)
{
    uint16_t error_estimate = dk_datagram_clock_error();
    struct dk_datagram request;

    for (int i = 0; i < TURN_DATAGRAMS; i++) {
        int got = dk_datagram_receive(reflector->fd, &request);

        if (got == 0)
            return;
        if (got > 0)
            answer(reflector, &request, error_estimate);
    }
}

struct dk_reflector_counts dk_reflector_counts(const struct dk_reflector *reflector)
{
    return reflector->counts;
}
