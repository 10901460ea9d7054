// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/flows.h"

#include "probes/stats.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };
static const size_t nothing = SIZE_MAX;

enum dk_err dk_flows_init(struct dk_flows *flows, size_t max, const char *server, struct dk_fault *fault)
{
    struct dk_flow_end end = {0};

    if (server != NULL && inet_pton(AF_INET, server, end.address) == 1)
        end.version = 4;
    else if (server != NULL && inet_pton(AF_INET6, server, end.address) == 1)
        end.version = 6;
    else if (server != NULL)
        return dk_fail(fault, DK_ERR_USAGE, server, "give an IPv4 or IPv6 address", "not an address");
    *flows = (struct dk_flows){.max = max, .server = end, .buckets = malloc(BUCKETS * sizeof *flows->buckets)};
    if (flows->buckets == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    for (size_t i = 0; i < BUCKETS; i++)
        flows->buckets[i] = nothing;
    return DK_OK;
}

// The same for both directions.
static size_t bucket_of(const struct dk_packet *packet)
{
    uint32_t hash = (uint32_t)packet->source_port ^ packet->destination_port;

    for (size_t i = 0; i < DK_IP_SIZE; i++)
        hash = hash * 31 + (packet->source[i] ^ packet->destination[i]);
    return (hash ^ hash >> 16) % BUCKETS;
}

static bool is_end(const struct dk_flow_end *end, const struct dk_packet *packet, bool source)
{
    return end->version == packet->ip_version &&
           end->port == (source ? packet->source_port : packet->destination_port) &&
           memcmp(end->address, source ? packet->source : packet->destination, DK_IP_SIZE) == 0;
}

static struct dk_flow *find(const struct dk_flows *flows, size_t bucket, const struct dk_packet *packet, int *from)
{
    for (size_t i = flows->buckets[bucket]; i != nothing; i = flows->flows[i].next_in_bucket)
        for (*from = 0; *from < 2; ++*from)
            if (is_end(&flows->flows[i].ends[*from], packet, true) &&
                is_end(&flows->flows[i].ends[1 - *from], packet, false))
                return &flows->flows[i];
    return NULL;
}

// True when a SYN begins a new flow between the ends of an old one.
static bool begins_anew(const struct dk_flow *flow, int from, const struct dk_packet *packet)
{
    const struct dk_direction *own = &flow->from[from];

    return (packet->flags & (DK_TCP_SYN | DK_TCP_ACK)) == DK_TCP_SYN && own->started &&
           (packet->sequence != own->first_sequence || own->closed || flow->from[1 - from].closed);
}

static enum dk_err add_flow(struct dk_flows *flows, size_t bucket, const struct dk_packet *packet, struct dk_flow **out,
                            int *from)
{
    if (flows->count == flows->capacity) {
        size_t capacity = flows->capacity == 0 ? 16 : flows->capacity * 2;
        struct dk_flow *larger = reallocarray(flows->flows, capacity, sizeof *larger);

        if (larger == NULL)
            return DK_ERR_MEMORY;
        flows->flows = larger;
        flows->capacity = capacity;
    }

    // The SYN-ACK comes from the other end.
    bool answer = (packet->flags & (DK_TCP_SYN | DK_TCP_ACK)) == (DK_TCP_SYN | DK_TCP_ACK);
    struct dk_flow *flow = &flows->flows[flows->count];

    *from = answer;
    *flow = (struct dk_flow){.syn_ns = -1, .handshake_ns = -1, .next_in_bucket = flows->buckets[bucket]};
    flow->ends[answer] = (struct dk_flow_end){.version = packet->ip_version, .port = packet->source_port};
    flow->ends[!answer] = (struct dk_flow_end){.version = packet->ip_version, .port = packet->destination_port};
    memcpy(flow->ends[answer].address, packet->source, DK_IP_SIZE);
    memcpy(flow->ends[!answer].address, packet->destination, DK_IP_SIZE);
    flows->buckets[bucket] = flows->count++;
    *out = flow;
    return DK_OK;
}

static void time_handshake(struct dk_flow *flow, int from, const struct dk_packet *packet)
{
    const uint8_t kind = packet->flags & (DK_TCP_SYN | DK_TCP_ACK);

    if (kind == DK_TCP_SYN && from == 0) {
        flow->begun = true;
        flow->syns++;
        flow->syn_time_ns = packet->time_ns;
    } else if (kind == (DK_TCP_SYN | DK_TCP_ACK) && from == 1) {
        flow->syn_acks++;
        flow->syn_ack_time_ns = packet->time_ns;
        flow->syn_ack_end = packet->sequence + 1;
        if (flow->syns == 1 && flow->syn_acks == 1 && packet->time_ns >= flow->syn_time_ns)
            flow->syn_ns = packet->time_ns - flow->syn_time_ns;
    } else if (kind == DK_TCP_ACK && from == 0 && flow->syn_ns >= 0 && flow->handshake_ns < 0 && flow->syn_acks == 1 &&
               flow->from[0].packets == flow->syns && packet->acknowledgement == flow->syn_ack_end &&
               packet->time_ns >= flow->syn_time_ns) {
        flow->handshake_ns = packet->time_ns - flow->syn_time_ns;
    }
    // Whichever was sent twice, nobody can say which one was answered (Karn).
    if (flow->syns > 1 || flow->syn_acks > 1)
        flow->syn_ns = flow->handshake_ns = -1;
}

static enum dk_err add_tcp(struct dk_flows *flows, const struct dk_packet *packet)
{
    size_t bucket = bucket_of(packet);
    int from = 0;
    struct dk_flow *flow = find(flows, bucket, packet, &from);

    if (flow == NULL || begins_anew(flow, from, packet)) {
        if (flows->count == flows->max) {
            flows->totals.untracked_packets++;
            return DK_OK;
        }

        enum dk_err err = add_flow(flows, bucket, packet, &flow, &from);

        if (err != DK_OK)
            return err;
    }
    time_handshake(flow, from, packet);
    return dk_direction_add(&flow->from[from], &flow->from[1 - from], packet);
}

bool dk_flows_is_servers(const struct dk_flows *flows, const struct dk_packet *packet)
{
    const struct dk_flow_end *server = &flows->server;

    return server->version != 0 && server->version == packet->ip_version &&
           (memcmp(server->address, packet->source, DK_IP_SIZE) == 0 ||
            memcmp(server->address, packet->destination, DK_IP_SIZE) == 0);
}

enum dk_err dk_flows_add(struct dk_flows *flows, enum dk_link_layer link, const struct dk_frame *frame)
{
    struct dk_packet packet;
    enum dk_packet_kind kind = dk_packet_read(link, frame, &packet);

    return dk_flows_take(flows, frame, kind, &packet);
}

enum dk_err dk_flows_take(struct dk_flows *flows, const struct dk_frame *frame, enum dk_packet_kind kind,
                          const struct dk_packet *packet)
{
    struct dk_wire_totals *totals = &flows->totals;

    if (totals->frames++ == 0)
        totals->first_ns = totals->last_ns = frame->time_ns;
    if (frame->time_ns > totals->last_ns)
        totals->last_ns = frame->time_ns;
    totals->frame_bytes += frame->wire_bytes;
    totals->kinds[kind]++;
    if (packet->ip_version == 0 || kind == DK_PACKET_MALFORMED)
        return DK_OK;
    totals->ip_bytes += packet->ip_bytes;
    totals->ecn_packets[packet->ecn]++;
    if (dk_flows_is_servers(flows, packet))
        totals->server_bytes += packet->ip_bytes;
    if (kind == DK_PACKET_UDP)
        totals->udp_bytes += packet->ip_bytes;
    if (kind != DK_PACKET_TCP)
        return DK_OK;
    totals->tcp_bytes += packet->ip_bytes;
    return add_tcp(flows, packet);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

void dk_rtt_figures(struct dk_rtt_samples *samples, struct dk_rtt_figures *out)
{
    *out = (struct dk_rtt_figures){samples->count, samples->left_out, -1, -1, -1, -1};
    if (samples->kept == 0)
        return;
    qsort(samples->ns, samples->kept, sizeof *samples->ns, ascending);
    out->min_ns = samples->ns[0];
    out->median_ns = dk_stats_median_ns(samples->ns, samples->kept);
    out->p95_ns = dk_stats_quantile_ns(samples->ns, samples->kept, 950);
    out->max_ns = samples->ns[samples->kept - 1];
}

void dk_flows_free(struct dk_flows *flows)
{
    for (size_t i = 0; i < flows->count; i++) {
        dk_direction_free(&flows->flows[i].from[0]);
        dk_direction_free(&flows->flows[i].from[1]);
    }
    free(flows->flows);
    free(flows->buckets);
    *flows = (struct dk_flows){0};
}
