// SPDX-License-Identifier: Apache-2.0
//
// The route to the server: which hop limits to send with, and what follows from the answers. Each distance is asked
// DK_HOP_PROBES times, first all of them once. Pure.
#pragma once

#include "probes/measurement.h"
#include "probes/path/way.h"

#include <stdbool.h>

struct dk_trace {
    struct {
        int hop_limit, attempt;
        struct dk_mono sent_at;
        bool answered;
    } packets[DK_WAY_PACKETS_MAX];
    unsigned sent;
    int attempt, hop_limit; // of the packet sent last
    int farthest;           // distance that has answered
    int end;                // distance of the server, or of where the way ends; 0: not known yet
    struct dk_route route;
};

// The hop limit of the packet that is to be sent next; 0 when all are sent.
int dk_trace_next(const struct dk_trace *trace);

// It was sent, at that moment, as packet number trace->sent.
void dk_trace_note(struct dk_trace *trace, int hop_limit, struct dk_mono at);

// What came back.
void dk_trace_take(struct dk_trace *trace, const struct dk_way_event *event);

// True when nothing more can come that counts.
bool dk_trace_is_complete(const struct dk_trace *trace);

// The route as it is known now, into trace->route: all but its status and reason.
void dk_trace_conclude(struct dk_trace *trace);
