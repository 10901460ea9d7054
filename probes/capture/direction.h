// SPDX-License-Identifier: Apache-2.0
//
// One direction of a TCP flow as a capture shows it: what came again, what came out of order, and how long the other
// end took to acknowledge. docs/methodology.md ("The wire") has the rules for people.
#pragma once

#include "agent/base/error.h"
#include "probes/capture/packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Round-trip times. Growing, at most DK_RTT_KEPT_MAX of them; later ones are counted and not kept.
enum { DK_RTT_KEPT_MAX = 1 << 20 };
struct dk_rtt_samples {
    int64_t *ns; // owned
    size_t kept, capacity;
    int64_t count;    // all
    int64_t min_ns;   // of all, when there are any
    int64_t left_out; // an ACK that would have given one covers segments seen again or out of order (Karn)
};

struct dk_hole; // a range of sequence numbers that was passed over
struct dk_unacked; // a segment's end, waiting for its ACK
struct dk_echo; // a TSval, waiting to be echoed

struct dk_direction {
    int64_t packets, ip_bytes, payload_bytes;
    int64_t data_packets;    // with payload
    int64_t retransmissions; // of data, SYN or FIN
    int64_t retransmitted_bytes; // payload of those
    int64_t out_of_order;
    int64_t duplicate_acks;
    int64_t acks_of_unseen; // ACKs beyond all that was captured of the other direction: the capture has gaps
    int64_t ecn_packets[4]; // by enum dk_ecn
    int64_t ece_packets, cwr_packets; // TCP flags, SYN left out
    int64_t first_ns, last_ns;        // of its packets, since 1970; 0 without any
    uint16_t mss_bytes;               // of the SYN; 0 without one
    int8_t window_shift;              // of the SYN; -1 without one
    struct dk_rtt_samples rtt_ack;       // of its segments, from the capture to the other end and back
    struct dk_rtt_samples rtt_timestamp; // the same by TCP timestamps (RFC 7323)

    // What follows is the analysis' own.
    bool started, acked, closed; // a sequence number, an ACK, a FIN or RST was seen
    bool last_was_keep_alive;
    bool timestamped; // there is a last_timestamp
    uint32_t first_sequence;
    uint32_t last_timestamp; // the newest TSval that data carried
    uint32_t next; // behind the highest sequence number seen
    uint32_t last_ack, top_ack, unseen_ack; // of the last packet, the highest, the last of acks_of_unseen
    uint16_t last_window;
    struct dk_hole *holes; // owned, ascending
    size_t hole_count, hole_capacity;
    struct dk_unacked *unacked; // owned, ascending from unacked_first on
    size_t unacked_first, unacked_count, unacked_capacity;
    struct dk_echo *echoes; // owned, ascending from echo_first on
    size_t echo_first, echo_count, echo_capacity;
};

// Takes in one TCP packet of `own`, whose other direction is `other`. Errors: MEMORY.
enum dk_err dk_direction_add(struct dk_direction *own, struct dk_direction *other, const struct dk_packet *packet);

void dk_direction_free(struct dk_direction *direction);
