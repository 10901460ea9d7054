// SPDX-License-Identifier: Apache-2.0
#include "probes/path/trace.h"

#include <stdio.h>
#include <string.h>

// So many silent distances in a row are asked again, in case one behind them answers.
enum { SILENT_MAX = 4 };

static int limit_of(const struct dk_trace *trace, int attempt)
{
    if (trace->end > 0)
        return trace->end;
    if (attempt == 0 || trace->farthest + SILENT_MAX > DK_HOPS_MAX)
        return DK_HOPS_MAX;
    return trace->farthest + SILENT_MAX;
}

int dk_trace_next(const struct dk_trace *trace)
{
    if (trace->hop_limit < limit_of(trace, trace->attempt))
        return trace->hop_limit + 1;
    return trace->attempt + 1 < DK_HOP_PROBES ? 1 : 0;
}

void dk_trace_note(struct dk_trace *trace, int hop_limit, struct dk_mono at)
{
    if (hop_limit <= trace->hop_limit)
        trace->attempt++;
    trace->hop_limit = hop_limit;
    trace->packets[trace->sent].hop_limit = hop_limit;
    trace->packets[trace->sent].attempt = trace->attempt;
    trace->packets[trace->sent].sent_at = at;
    trace->sent++;
    if (trace->attempt == 0)
        for (int i = 0; i < DK_HOP_PROBES; i++)
            trace->route.hops[hop_limit - 1].rtt_ns[i] = -1;
}

void dk_trace_take(struct dk_trace *trace, const struct dk_way_event *event)
{
    // A small packet that does not fit says nothing of the distance.
    if (event->number >= trace->sent || trace->packets[event->number].answered || event->kind == DK_WAY_TOO_BIG)
        return;
    trace->packets[event->number].answered = true;

    int distance = trace->packets[event->number].hop_limit;
    struct dk_hop *hop = &trace->route.hops[distance - 1];
    int64_t rtt_ns = dk_mono_diff_ns(event->at, trace->packets[event->number].sent_at);

    hop->rtt_ns[trace->packets[event->number].attempt] = rtt_ns > 0 ? rtt_ns : 1;
    if (hop->address[0] == '\0')
        snprintf(hop->address, sizeof hop->address, "%s", event->address);
    else if (strcmp(hop->address, event->address) != 0)
        hop->several = true;
    if (distance > trace->farthest)
        trace->farthest = distance;
    if (event->kind != DK_WAY_TIME && (trace->end == 0 || distance < trace->end)) {
        trace->end = distance;
        trace->route.reached = event->kind == DK_WAY_ANSWER;
        trace->route.unreachable = event->kind == DK_WAY_UNREACHABLE;
    }
}

bool dk_trace_is_complete(const struct dk_trace *trace)
{
    if (dk_trace_next(trace) != 0)
        return false;
    for (unsigned i = 0; i < trace->sent; i++)
        if (!trace->packets[i].answered && (trace->end == 0 || trace->packets[i].hop_limit <= trace->end))
            return false;
    return true;
}

void dk_trace_conclude(struct dk_trace *trace)
{
    trace->route.count = (size_t)(trace->end > 0 ? trace->end : trace->farthest);
}
