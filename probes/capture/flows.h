// SPDX-License-Identifier: Apache-2.0
//
// The packets of a capture, counted and sorted into TCP flows.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "probes/capture/direction.h"
#include "probes/capture/packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One end of a flow.
struct dk_flow_end {
    uint8_t version; // 4 or 6
    uint8_t address[DK_IP_SIZE];
    uint16_t port;
};

struct dk_flow {
    struct dk_flow_end ends[2];  // the first sent the SYN; without one, the first packet that was captured
    struct dk_direction from[2]; // what each end sent
    bool begun;                  // the SYN was captured
    int64_t syn_ns;              // SYN to SYN-ACK; -1 when not seen, or when either was sent twice
    int64_t handshake_ns;        // SYN to the ACK of the SYN-ACK; -1 likewise

    // What follows is the analysis' own.
    int64_t syn_time_ns, syn_ack_time_ns;
    int64_t syns, syn_acks;
    uint32_t syn_ack_end;
    size_t next_in_bucket;
};

// Of all frames: the kinds add up to `frames`. Bytes are of IP packets, headers and all.
struct dk_wire_totals {
    int64_t frames, frame_bytes;
    int64_t kinds[DK_PACKET_KINDS];
    int64_t ip_bytes, tcp_bytes, udp_bytes;
    int64_t server_bytes;    // of ip_bytes, to or from the server's address; 0 without one
    int64_t untracked_packets; // TCP packets of flows beyond the maximum
    int64_t ecn_packets[4];  // by enum dk_ecn, IP packets
    int64_t first_ns, last_ns; // since 1970; 0 without a frame
};

enum { DK_FLOWS_MAX = 4096 };

struct dk_flows {
    struct dk_wire_totals totals;
    struct dk_flow *flows; // owned, in the order of their first packets
    size_t count, capacity, max;
    struct dk_flow_end server; // version 0: none was named
    size_t *buckets;       // owned
};

// `max` flows are kept, 1 … DK_FLOWS_MAX. `server`, which may be NULL, is the address ("192.0.2.1", "2001:db8::1") that
// the test was with. Errors: MEMORY; USAGE when `server` is no address.
enum dk_err dk_flows_init(struct dk_flows *flows, size_t max, const char *server, struct dk_fault *fault);

// Takes in one frame. Errors: MEMORY.
enum dk_err dk_flows_add(struct dk_flows *flows, enum dk_link_layer link, const struct dk_frame *frame);

// The same of a frame that dk_packet_read has read.
enum dk_err dk_flows_take(struct dk_flows *flows, const struct dk_frame *frame, enum dk_packet_kind kind,
                          const struct dk_packet *packet);

// True when the packet is to or from the server that was named.
bool dk_flows_is_servers(const struct dk_flows *flows, const struct dk_packet *packet);

// Round-trip times in figures; -1 each without a sample. Quantiles as in probes/stats.h. Sorts what was kept.
struct dk_rtt_figures {
    int64_t count, left_out, min_ns, median_ns, p95_ns, max_ns;
};
void dk_rtt_figures(struct dk_rtt_samples *samples, struct dk_rtt_figures *out);

// Frees all. Zeroed flows are fine.
void dk_flows_free(struct dk_flows *flows);
