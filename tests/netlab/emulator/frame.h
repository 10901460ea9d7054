// SPDX-License-Identifier: Apache-2.0
//
// Ethernet frames as the kernel hands them over: also TCP packets of many segments (segmentation offload),
// which are cut here, because a link carries packets of its MTU.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_FRAME_ETHERNET_BYTES = 14 };

struct dk_frame {
    size_t len; // Ethernet header and IP packet; padding after it is cut off
    bool ip;    // IPv4 or IPv6; nothing below is set otherwise
    bool ipv6;
    bool tcp; // with its header at `tcp_at`, up to `payload_at`
    size_t tcp_at;
    size_t payload_at;
    int32_t ip_bytes;
    int32_t payload_bytes; // of TCP; 0 otherwise
};

// Looks at the `len` bytes of a frame. False when it is cut short or contradicts itself.
bool dk_frame_read(const uint8_t *data, size_t len, struct dk_frame *out);

// How many segments of at most `segment_bytes` (at least 1) of payload the TCP frame makes; at least 1.
int32_t dk_frame_segments(const struct dk_frame *frame, int32_t segment_bytes);

// Writes segment `index` to `out`, with lengths, IPv4 identification and checksum, sequence number and flags
// of its own, and the TCP checksum begun over the pseudo-header, as the kernel wants it to complete it.
// Returns the length of the frame, 0 when it does not fit `size`.
size_t dk_frame_segment(const uint8_t *data, const struct dk_frame *frame, int32_t segment_bytes,
                        int32_t index, uint8_t *out, size_t size);
