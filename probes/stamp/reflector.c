// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/reflector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "probes/stamp/peer.h"

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
    uint64_t hash_key;
    bool authenticated;
    struct dk_stamp_key key;
    struct dk_reflector_counts counts;
    struct slot slots[SLOTS];
};

bool dk_stamp_reflect(const void *request, size_t len, const struct dk_stamp_key *key, uint64_t received, uint64_t sent,
                      uint16_t error_estimate, uint8_t ttl, uint8_t *out)
{
    struct dk_stamp_request in;

    if (key != NULL ? !dk_stamp_open_request(request, len, key, &in) : !dk_stamp_get_request(request, len, &in))
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

    size_t size = key != NULL ? DK_STAMP_AUTHENTICATED_SIZE : DK_STAMP_SIZE;

    memset(out + size, 0, len - size);
    if (key != NULL)
        return dk_stamp_seal_answer(&answer, key, out);
    dk_stamp_put_answer(&answer, out);
    return true;
}

bool dk_stamp_may_answer(uint16_t source_port, uint16_t own_port)
{
    return source_port >= FIRST_FREE_PORT && source_port != own_port;
}

enum dk_err dk_reflector_new(int fd, int64_t packets_per_second, const struct dk_stamp_key *key,
                             struct dk_reflector **out,
                             struct dk_fault *fault)
{
    struct sockaddr_storage own = {0};
    socklen_t own_len = sizeof own;
    struct dk_peer self = {0};
    struct dk_reflector *reflector = calloc(1, sizeof *reflector);

    if (reflector == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "STAMP reflector", NULL, "out of memory");
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) != 0 ||
        !dk_peer_read((struct sockaddr *)&own, own_len, &self) ||
        getrandom(&reflector->hash_key, sizeof reflector->hash_key, 0) != (ssize_t)sizeof reflector->hash_key) {
        free(reflector);
        return dk_fail(fault, DK_ERR_IO, "STAMP reflector", NULL,
                       "it has no usable socket or no randomness: %s", strerror(errno));
    }
    reflector->fd = fd;
    reflector->own_port = self.port;
    reflector->packets_per_second = packets_per_second;
    reflector->authenticated = key != NULL;
    if (key != NULL)
        reflector->key = *key;
    dk_datagram_prepare(fd, own.ss_family, false);
    *out = reflector;
    return DK_OK;
}

void dk_reflector_free(struct dk_reflector *reflector)
{
    free(reflector);
}

static bool within_rate(struct dk_reflector *reflector, const struct dk_peer *peer, struct dk_mono now)
{
    struct slot *slot = &reflector->slots[dk_peer_hash(peer, reflector->hash_key) % SLOTS];
    int64_t second = now.ns / DK_NS_PER_S;

    if (slot->second != second)
        *slot = (struct slot){second, 0};
    return slot->count++ < reflector->packets_per_second;
}

static void answer(struct dk_reflector *reflector, struct dk_datagram *request, uint16_t error_estimate)
{
    uint8_t out[DK_DATAGRAM_MAX];
    struct dk_peer peer = {0};

    if (request->truncated || request->len < DK_STAMP_SIZE ||
        !dk_peer_read((struct sockaddr *)&request->peer, request->peer_len, &peer) ||
        !dk_stamp_may_answer(peer.port, reflector->own_port)) {
        reflector->counts.malformed++;
        return;
    }
    if (!within_rate(reflector, &peer, request->received_at)) {
        reflector->counts.limited++;
        return;
    }
    if (!dk_stamp_reflect(request->data, request->len, reflector->authenticated ? &reflector->key : NULL,
                          dk_stamp_from_wall(request->received), dk_stamp_from_wall(dk_wall_now()), error_estimate,
                          request->ttl, out)) {
        reflector->counts.malformed++;
        return;
    }
    if (!dk_datagram_answer(reflector->fd, request, out, request->len)) {
        reflector->counts.failed++;
        return;
    }
    reflector->counts.answered++;
}

void dk_reflector_serve(struct dk_reflector *reflector)
{
    uint16_t error_estimate = dk_stamp_clock_error();
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
