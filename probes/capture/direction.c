// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/direction.h"

#include "agent/base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { HOLES_MAX = 1024, UNACKED_MAX = 16384, ECHOES_MAX = 4096 };

// How long a gap may stay open before what fills it counts as sent again, while no round trip is known.
static const int64_t reordering_ns = 3 * DK_NS_PER_MS;
// What lies before the first sequence number of a flow that the capture did not see begin.
static const uint32_t unseen_before = UINT32_C(1) << 30;

struct dk_hole {
    uint32_t left, right;
    int64_t since_ns;
};

struct dk_unacked {
    uint32_t end;
    bool unclear; // seen again, or out of order: its ACK says nothing about a round trip
    int64_t time_ns;
};

struct dk_echo {
    uint32_t value;
    int64_t time_ns;
};

// One segment on its way through the analysis.
struct segment {
    const struct dk_packet *packet;
    uint32_t start, end; // sequence space, SYN and FIN included
    bool keep_alive, probe, below; // `below`: begins before what was already seen
};

// The order of sequence numbers and timestamps, which wrap (RFC 9293 section 3.4).
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

// Room for one more of `size` bytes each; false when there is no memory.
static bool grow(void **items, size_t *capacity, size_t used, size_t size)
{
    if (used < *capacity)
        return true;

    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *larger = reallocarray(*items, wanted, size);

    if (larger == NULL)
        return false;
    *items = larger;
    *capacity = wanted;
    return true;
}

static enum dk_err add_sample(struct dk_rtt_samples *samples, int64_t ns)
{
    // A clock that was set back while capturing.
    if (ns < 0)
        return DK_OK;
    if (samples->count++ == 0 || ns < samples->min_ns)
        samples->min_ns = ns;
    if (samples->kept == DK_RTT_KEPT_MAX)
        return DK_OK;

    void *items = samples->ns;

    if (!grow(&items, &samples->capacity, samples->kept, sizeof *samples->ns))
        return DK_ERR_MEMORY;
    samples->ns = items;
    samples->ns[samples->kept++] = ns;
    return DK_OK;
}

static enum dk_err add_hole(struct dk_direction *d, uint32_t left, uint32_t right, int64_t time_ns)
{
    if (d->hole_count == HOLES_MAX)
        memmove(d->holes, d->holes + 1, --d->hole_count * sizeof *d->holes);

    void *items = d->holes;

    if (!grow(&items, &d->hole_capacity, d->hole_count, sizeof *d->holes))
        return DK_ERR_MEMORY;
    d->holes = items;
    d->holes[d->hole_count++] = (struct dk_hole){left, right, time_ns};
    return DK_OK;
}

// Takes [start, end) out of the hole at `i`; a part in the middle leaves two.
static enum dk_err fill_hole(struct dk_direction *d, size_t i, uint32_t start, uint32_t end)
{
    struct dk_hole *hole = &d->holes[i];
    struct dk_hole behind = {end, hole->right, hole->since_ns};
    bool some_left = after(start, hole->left) > 0, some_right = after(hole->right, end) > 0;

    if (some_left)
        hole->right = start;
    else if (some_right)
        hole->left = end;
    if (some_left && some_right && d->hole_count < HOLES_MAX) {
        enum dk_err err = add_hole(d, 0, 0, 0);

        if (err != DK_OK)
            return err;
        memmove(d->holes + i + 2, d->holes + i + 1, (d->hole_count - i - 2) * sizeof *d->holes);
        d->holes[i + 1] = behind;
    } else if (!some_left && !some_right) {
        memmove(d->holes + i, d->holes + i + 1, (--d->hole_count - i) * sizeof *d->holes);
    }
    return DK_OK;
}

// Takes [start, end), below `next`, out of the holes. *since_ns is when the oldest hole that it touches opened, -1 when
// a part of it was seen before.
static enum dk_err fill_holes(struct dk_direction *d, uint32_t start, uint32_t end, int64_t *since_ns)
{
    uint32_t covered = start;
    int64_t oldest = -1;

    *since_ns = -1;
    for (size_t i = 0; i < d->hole_count && after(end, d->holes[i].left) > 0;) {
        struct dk_hole hole = d->holes[i];
        size_t count = d->hole_count;

        if (after(hole.right, start) <= 0) {
            i++;
            continue;
        }

        uint32_t from = after(start, hole.left) > 0 ? start : hole.left;
        uint32_t to = after(hole.right, end) > 0 ? end : hole.right;
        enum dk_err err = fill_hole(d, i, from, to);

        if (err != DK_OK)
            return err;
        if (from == covered)
            covered = to;
        if (oldest < 0 || hole.since_ns < oldest)
            oldest = hole.since_ns;
        i += d->hole_count >= count;
    }
    if (covered == end)
        *since_ns = oldest;
    return DK_OK;
}

// A segment that begins below what was seen: it came again when a part of it was captured before, when the other end
// had acknowledged all of it, or when it comes so late that the sender can have learned of the loss; else it was
// overtaken on the way.
static enum dk_err judge_below(struct dk_direction *own, const struct dk_direction *other, const struct segment *s)
{
    int64_t since_ns = -1, round_trip_ns = other->rtt_ack.count > 0 ? other->rtt_ack.min_ns : reordering_ns;
    uint32_t end = after(s->end, own->next) > 0 ? own->next : s->end;
    enum dk_err err = fill_holes(own, s->start, end, &since_ns);

    if (err != DK_OK)
        return err;

    bool acknowledged = other->acked && after(s->end, other->top_ack) <= 0;

    if (since_ns < 0 || acknowledged || s->packet->time_ns - since_ns >= round_trip_ns) {
        own->retransmissions++;
        own->retransmitted_bytes += s->packet->payload_bytes;
    } else {
        own->out_of_order++;
    }
    return DK_OK;
}

// Notes when a segment went by, so that its ACK gives a round trip.
static enum dk_err await_ack(struct dk_direction *own, const struct segment *s)
{
    size_t at = own->unacked_first + own->unacked_count;

    while (at > own->unacked_first && after(own->unacked[at - 1].end, s->end) > 0)
        at--;

    bool known = at > own->unacked_first && own->unacked[at - 1].end == s->end;

    for (size_t i = at; s->below && i > own->unacked_first && after(own->unacked[i - 1].end, s->start) > 0; i--)
        own->unacked[i - 1].unclear = true;
    if (known || own->unacked_count == UNACKED_MAX)
        return DK_OK;
    if (own->unacked_first > 0 && own->unacked_first + own->unacked_count == own->unacked_capacity) {
        memmove(own->unacked, own->unacked + own->unacked_first, own->unacked_count * sizeof *own->unacked);
        at -= own->unacked_first;
        own->unacked_first = 0;
    }

    void *items = own->unacked;
    size_t used = own->unacked_first + own->unacked_count;

    if (!grow(&items, &own->unacked_capacity, used, sizeof *own->unacked))
        return DK_ERR_MEMORY;
    own->unacked = items;
    memmove(own->unacked + at + 1, own->unacked + at, (used - at) * sizeof *own->unacked);
    own->unacked[at] = (struct dk_unacked){s->end, s->below, s->packet->time_ns};
    own->unacked_count++;
    return DK_OK;
}

// Notes the first segment of each TSval.
static enum dk_err await_echo(struct dk_direction *own, const struct dk_packet *packet)
{
    size_t used = own->echo_first + own->echo_count;

    if (!packet->has_timestamps || own->echo_count == ECHOES_MAX ||
        (own->timestamped && after(packet->timestamp, own->last_timestamp) <= 0))
        return DK_OK;
    if (own->echo_first > 0 && used == own->echo_capacity) {
        memmove(own->echoes, own->echoes + own->echo_first, own->echo_count * sizeof *own->echoes);
        own->echo_first = 0;
        used = own->echo_count;
    }

    void *items = own->echoes;

    if (!grow(&items, &own->echo_capacity, used, sizeof *own->echoes))
        return DK_ERR_MEMORY;
    own->echoes = items;
    own->echoes[used] = (struct dk_echo){packet->timestamp, packet->time_ns};
    own->echo_count++;
    own->timestamped = true;
    own->last_timestamp = packet->timestamp;
    return DK_OK;
}

static enum dk_err take_segment(struct dk_direction *own, const struct dk_direction *other, struct segment *s)
{
    const struct dk_packet *packet = s->packet;
    enum dk_err err = DK_OK;

    if (s->keep_alive || (packet->flags & DK_TCP_RST) != 0)
        return DK_OK;
    // An ACK without data tells of a gap too.
    if (own->started && after(s->start, own->next) > 0) {
        err = add_hole(own, own->next, s->start, packet->time_ns);
        own->next = s->start;
    }
    if (s->start == s->end)
        return err;
    s->below = own->started && after(s->start, own->next) < 0;
    if (err == DK_OK && s->below)
        err = judge_below(own, other, s);
    if (err == DK_OK)
        err = await_ack(own, s);
    if (err == DK_OK && !s->below)
        err = await_echo(own, packet);
    // A probe of a closed window is a byte that will be sent again as if new.
    if (!s->probe && (!own->started || after(s->end, own->next) > 0))
        own->next = s->end;
    return err;
}

// An ACK by `own` of what `other` sent.
static enum dk_err take_ack(struct dk_direction *own, struct dk_direction *other, const struct dk_packet *packet)
{
    uint32_t ack = packet->acknowledgement;
    bool advances = !own->acked || after(ack, own->top_ack) > 0, exact = false, unclear = false;
    int64_t sent_ns = 0;
    enum dk_err err = DK_OK;

    if (other->started && after(ack, other->next) > 0 && (own->acks_of_unseen == 0 || ack != own->unseen_ack)) {
        own->acks_of_unseen++;
        own->unseen_ack = ack;
    }
    for (; other->unacked_count > 0 && after(other->unacked[other->unacked_first].end, ack) <= 0;
         other->unacked_first++, other->unacked_count--) {
        const struct dk_unacked *u = &other->unacked[other->unacked_first];

        unclear |= u->unclear;
        exact = u->end == ack;
        sent_ns = u->time_ns;
    }
    if (exact && unclear)
        other->rtt_ack.left_out++;
    else if (exact)
        err = add_sample(&other->rtt_ack, packet->time_ns - sent_ns);
    // An ACK without news may echo what was not data (RFC 7323 section 4.1).
    if (!packet->has_timestamps || !advances)
        return err;

    for (; other->echo_count > 0 && after(other->echoes[other->echo_first].value, packet->timestamp_echo) <= 0;
         other->echo_first++, other->echo_count--) {
        const struct dk_echo *echo = &other->echoes[other->echo_first];

        if (echo->value != packet->timestamp_echo)
            continue;
        if (unclear)
            other->rtt_timestamp.left_out++;
        else if (err == DK_OK)
            err = add_sample(&other->rtt_timestamp, packet->time_ns - echo->time_ns);
    }
    return err;
}

static void count(struct dk_direction *own, const struct dk_packet *packet)
{
    if (own->packets++ == 0) {
        own->first_ns = own->last_ns = packet->time_ns;
        own->first_sequence = packet->sequence;
        own->window_shift = -1;
    }
    if (packet->time_ns > own->last_ns)
        own->last_ns = packet->time_ns;
    own->ip_bytes += packet->ip_bytes;
    own->payload_bytes += packet->payload_bytes;
    own->data_packets += packet->payload_bytes > 0;
    own->ecn_packets[packet->ecn]++;
    if ((packet->flags & DK_TCP_SYN) != 0) {
        own->mss_bytes = packet->mss_bytes;
        own->window_shift = packet->window_shift;
        return;
    }
    own->ece_packets += (packet->flags & DK_TCP_ECE) != 0;
    own->cwr_packets += (packet->flags & DK_TCP_CWR) != 0;
}

enum dk_err dk_direction_add(struct dk_direction *own, struct dk_direction *other, const struct dk_packet *packet)
{
    const uint8_t control = packet->flags & (DK_TCP_SYN | DK_TCP_FIN | DK_TCP_RST);
    struct segment s = {.packet = packet, .start = packet->sequence};

    s.end = s.start + (uint32_t)packet->payload_bytes + ((packet->flags & (DK_TCP_SYN | DK_TCP_FIN)) != 0);
    s.probe = own->started && other->acked && other->last_window == 0 && packet->payload_bytes == 1 &&
              s.start == own->next;
    s.keep_alive = own->started && !s.probe && packet->payload_bytes <= 1 && s.start == own->next - 1 &&
                   control == 0 && (own->hole_count == 0 || own->holes[own->hole_count - 1].right != own->next);

    if (own->acked && packet->payload_bytes == 0 && packet->window != 0 && packet->window == own->last_window &&
        s.start == own->next && packet->acknowledgement == own->last_ack && control == 0 &&
        !other->last_was_keep_alive)
        own->duplicate_acks++;
    own->last_was_keep_alive = s.keep_alive;
    count(own, packet);

    enum dk_err err = DK_OK;

    if (!own->started && (packet->flags & DK_TCP_SYN) == 0)
        err = add_hole(own, s.start - unseen_before, s.start, packet->time_ns);
    if (err == DK_OK)
        err = take_segment(own, other, &s);
    if (!own->started) {
        own->started = true;
        own->next = s.end;
    }
    own->closed |= (packet->flags & (DK_TCP_FIN | DK_TCP_RST)) != 0;
    if ((packet->flags & DK_TCP_ACK) == 0)
        return err;
    if (err == DK_OK)
        err = take_ack(own, other, packet);
    if (!own->acked || after(packet->acknowledgement, own->top_ack) > 0)
        own->top_ack = packet->acknowledgement;
    own->acked = true;
    own->last_ack = packet->acknowledgement;
    own->last_window = packet->window;
    return err;
}

void dk_direction_free(struct dk_direction *direction)
{
    free(direction->rtt_ack.ns);
    free(direction->rtt_timestamp.ns);
    free(direction->holes);
    free(direction->unacked);
    free(direction->echoes);
}
