// SPDX-License-Identifier: Apache-2.0
//
// One direction of a link, without a clock or a socket: packets go in with the time they came, and come out
// with the time they are due. In order: random loss, drop-tail queue, bottleneck, delay and jitter,
// reordering, duplication. The same settings and packets give the same result. All times are ns of one clock.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "tests/netlab/emulator/shaper.h"

enum dk_direction { DK_DOWN, DK_UP, DK_DIRECTIONS }; // down: from the server to the agent

enum { DK_LINK_PACKETS = 1 << 16 }; // that one direction holds at most

struct dk_link_settings {
    struct dk_shaper_settings shaper;
    int64_t
        overhead_bytes;  // that the bottleneck counts for a packet beside its IP bytes: 14 is what tbf counts
    int64_t queue_bytes; // a packet that would make more than this wait, overhead included, is dropped; at
                         // least one packet always finds room
    int64_t loss_ppm;  // lost before the queue, so that the bottleneck can still be full
    int64_t delay_ns;  // after the bottleneck
    int64_t jitter_ns; // up to this is added to the delay; a later packet waits for an earlier one
    int64_t reorder_ppm, reorder_ns; // these are held back by so much, and the others pass them
    int64_t duplicate_ppm;           // these arrive twice
};

struct dk_packet {
    uint32_t handle; // the caller's
    int32_t ip_bytes;
    int32_t payload_bytes; // of TCP
};

enum dk_fate { DK_FATE_TAKEN, DK_FATE_LOST, DK_FATE_QUEUE_FULL, DK_FATE_NO_ROOM };

struct dk_delivery {
    int64_t due_ns;
    uint64_t order; // of arrival
    struct dk_packet packet;
    int32_t moments; // of the recording that were used for this packet and none before
    int32_t copies;  // 1, or 2 when duplicated
};

struct dk_link;

// A link that starts at `start_ns`. The recording in the settings stays the caller's and must outlive the
// link. *out is owned by the caller. Errors: MEMORY.
enum dk_err dk_link_new(const struct dk_link_settings *settings, int64_t start_ns, struct dk_link **out,
                        struct dk_fault *fault);
void dk_link_free(struct dk_link *link);

DK_DEFINE_FREE(link, struct dk_link, dk_link_free)

// Offers a packet that came at `now_ns`; a time before that of the last offer counts as that one. The link
// holds the packet only when it is TAKEN: LOST is random loss, QUEUE_FULL the drop-tail queue, NO_ROOM the
// emulator's own limit.
enum dk_fate dk_link_offer(struct dk_link *link, int64_t now_ns, struct dk_packet packet);

// When the next packet is due; INT64_MAX when the link holds none.
int64_t dk_link_due_ns(const struct dk_link *link);

// Takes the next packet out if it is due at `now_ns`; false otherwise.
bool dk_link_take(struct dk_link *link, int64_t now_ns, struct dk_delivery *out);

// Bytes in the queue and on the bottleneck at `now_ns`, overhead included.
int64_t dk_link_queue_bytes(const struct dk_link *link, int64_t now_ns);

// Packets that the link holds.
size_t dk_link_count(const struct dk_link *link);
