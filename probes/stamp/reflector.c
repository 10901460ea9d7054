// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/reflector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "probes/stamp/peer.h"
#include "probes/stamp/sessions.h"

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
    struct dk_stamp_clocks clocks;
    struct dk_reflector_counts counts;
    struct dk_sendings sendings;
    struct slot slots[SLOTS];
    struct dk_sessions sessions;
};

bool dk_stamp_accept(const void *data, size_t len, const struct dk_stamp_key *key, struct dk_stamp_request *out)
{
    return key != NULL ? dk_stamp_open_request(data, len, key, out) : dk_stamp_get_request(data, len, out);
}

static size_t packet_size(const struct dk_stamp_key *key)
{
    return key != NULL ? DK_STAMP_AUTHENTICATED_SIZE : DK_STAMP_SIZE;
}

bool dk_stamp_reflect(const struct dk_stamp_request *in, const uint8_t *data, size_t len,
                      const struct dk_stamp_key *key, const struct dk_stamp_reflection *reflection, uint8_t *out)
{
    size_t size = packet_size(key);
    struct dk_stamp_answer answer = {
        .sequence = reflection->stateful ? reflection->sequence : in->sequence,
        .timestamp = reflection->sent,
        .error_estimate = reflection->error_estimate,
        .session = in->session,
        .received = reflection->received,
        .sender_sequence = in->sequence,
        .sender_timestamp = in->timestamp,
        .sender_error_estimate = in->error_estimate,
        .sender_ttl = reflection->ttl,
    };

    if (!dk_stamp_reflect_tlvs(data + size, len - size, in->sequence, answer.sequence, &reflection->tlvs, key,
                               out + size))
        return false;
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
        getrandom(&reflector->hash_key, sizeof reflector->hash_key, 0) != (ssize_t)sizeof reflector->hash_key ||
        getrandom(&reflector->sessions.hash_key, sizeof reflector->sessions.hash_key, 0) !=
            (ssize_t)sizeof reflector->sessions.hash_key) {
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
    dk_datagram_prepare(fd, own.ss_family, DK_SENDINGS_ASKED);
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

// Sends the answer, and keeps when it left for whoever asks with the next request. False: the kernel did not take it.
static bool send_answer(struct dk_reflector *reflector, struct dk_datagram *request, uint8_t *out,
                        struct dk_session *session, uint32_t sequence)
{
    struct dk_instant before = dk_instant_now();
    struct dk_mono left = {0};

    if (!dk_datagram_answer(reflector->fd, request, out, request->len, session != NULL))
        return false;
    if (session != NULL && dk_datagram_sent(reflector->fd, &reflector->sendings, before, &left)) {
        int64_t took_ns = dk_mono_diff_ns(left, before.mono);

        session->sent = true;
        session->sent_sequence = sequence;
        session->sent_timestamp = dk_stamp_from_wall((struct dk_wall){before.wall.ns + took_ns});
    }
    return true;
}

static void answer(struct dk_reflector *reflector, struct dk_datagram *request, uint16_t error_estimate)
{
    const struct dk_stamp_key *key = reflector->authenticated ? &reflector->key : NULL;
    size_t size = packet_size(key);
    uint8_t out[DK_DATAGRAM_MAX];
    struct dk_peer peer = {0};
    struct dk_stamp_request in = {0};

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
    if (!dk_stamp_accept(request->data, request->len, key, &in)) {
        reflector->counts.malformed++;
        return;
    }

    struct dk_session *session = dk_session_find(&reflector->sessions, &peer, in.session, request->received_at);
    bool follow = session != NULL && dk_stamp_asks_follow_up(request->data + size, request->len - size);
    struct dk_stamp_reflection reflection = {
        .stateful = session != NULL,
        .sequence = session != NULL ? session->next_sequence++ : 0,
        .received = dk_stamp_from_wall(request->received),
        .error_estimate = error_estimate,
        .ttl = request->ttl,
        .tlvs.clocks = reflector->clocks,
    };

    if (session != NULL)
        reflection.tlvs.follow_up = (struct dk_stamp_follow_up){session->sent, session->sent_sequence,
                                                                session->sent_timestamp};
    reflection.sent = dk_stamp_from_wall(dk_wall_now());
    if (dk_stamp_reflect(&in, request->data, request->len, key, &reflection, out) &&
        send_answer(reflector, request, out, follow ? session : NULL, reflection.sequence))
        reflector->counts.answered++;
    else
        reflector->counts.failed++;
}

void dk_reflector_serve(struct dk_reflector *reflector)
{
    uint16_t error_estimate = dk_stamp_clock_error();
    uint8_t source = (error_estimate & DK_STAMP_SYNCHRONISED) != 0 ? DK_STAMP_SOURCE_NTP : DK_STAMP_SOURCE_FREE_RUNNING;
    struct dk_datagram request;

    reflector->clocks =
        (struct dk_stamp_clocks){source, DK_STAMP_HOW_SOFTWARE, source, DK_STAMP_HOW_SOFTWARE};
    for (int i = 0; i < TURN_DATAGRAMS; i++) {
        int got = dk_datagram_receive(reflector->fd, &request);

        if (got == 0)
            break;
        if (got > 0)
            answer(reflector, &request, error_estimate);
    }
    // What came too late to be of use would keep poll(2) from waiting.
    dk_datagram_forget(reflector->fd);
}

struct dk_reflector_counts dk_reflector_counts(const struct dk_reflector *reflector)
{
    return reflector->counts;
}
