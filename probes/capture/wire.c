// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/wire.h"

#include <stdlib.h>
#include <string.h>

static void add_direction(const struct dk_direction *from, struct dk_wire_direction *to)
{
    to->packets += from->packets;
    to->ip_bytes += from->ip_bytes;
    to->payload_bytes += from->payload_bytes;
    to->retransmissions += from->retransmissions;
    to->retransmitted_bytes += from->retransmitted_bytes;
    to->out_of_order += from->out_of_order;
    to->duplicate_acks += from->duplicate_acks;
    to->ce_packets += from->ecn_packets[DK_ECN_CE];
}

// Which end of a flow the server is: 0, 1, or -1 for neither.
static int server_end(const struct dk_flows *flows, const struct dk_flow *flow)
{
    for (int end = 1; end >= 0; end--)
        if (flow->ends[end].version == flows->server.version &&
            memcmp(flow->ends[end].address, flows->server.address, DK_IP_SIZE) == 0)
            return end;
    return -1;
}

static void set_rtt(struct dk_rtt_samples *samples, struct dk_wire_rtt *out)
{
    struct dk_rtt_figures figures;

    dk_rtt_figures(samples, &figures);
    *out = (struct dk_wire_rtt){figures.count, figures.min_ns, figures.median_ns, figures.p95_ns, figures.max_ns};
}

// Adds what was kept of `from` behind what `to` has; there is room.
static void move_samples(const struct dk_rtt_samples *from, struct dk_rtt_samples *to)
{
    if (from->kept > 0)
        memcpy(to->ns + to->kept, from->ns, from->kept * sizeof *to->ns);
    to->kept += from->kept;
    to->count += from->count;
}

enum dk_err dk_wire_sum(struct dk_flows *flows, struct dk_wire *out)
{
    size_t room = flows->count;

    for (size_t i = 0; i < flows->count; i++)
        for (int k = 0; k < 2; k++)
            room += flows->flows[i].from[k].rtt_ack.kept + flows->flows[i].from[k].rtt_timestamp.kept;

    int64_t *memory = malloc((room + 1) * 3 * sizeof *memory);
    struct dk_rtt_samples syn = {.ns = memory};

    if (memory == NULL)
        return DK_ERR_MEMORY;

    struct dk_rtt_samples ack = {.ns = memory + room + 1}, timestamp = {.ns = memory + (room + 1) * 2};

    out->frames = flows->totals.frames;
    out->frame_bytes = flows->totals.frame_bytes;
    out->truncated = flows->totals.kinds[DK_PACKET_TRUNCATED];
    out->malformed = flows->totals.kinds[DK_PACKET_MALFORMED];
    out->flows = out->acks_of_unseen = 0;
    out->up = out->down = (struct dk_wire_direction){0};
    for (size_t i = 0; i < flows->count; i++) {
        const struct dk_flow *flow = &flows->flows[i];
        int server = server_end(flows, flow);

        if (server < 0)
            continue;
        out->flows++;
        out->acks_of_unseen += flow->from[0].acks_of_unseen + flow->from[1].acks_of_unseen;
        add_direction(&flow->from[1 - server], &out->up);
        add_direction(&flow->from[server], &out->down);
        if (flow->syn_ns >= 0) {
            syn.ns[syn.kept++] = flow->syn_ns;
            syn.count++;
        }
        move_samples(&flow->from[1 - server].rtt_ack, &ack);
        move_samples(&flow->from[1 - server].rtt_timestamp, &timestamp);
    }
    set_rtt(&syn, &out->syn);
    set_rtt(&ack, &out->rtt_ack);
    set_rtt(&timestamp, &out->rtt_timestamp);
    free(memory);
    return DK_OK;
}
