// SPDX-License-Identifier: Apache-2.0
//
// Frames as a pcap file in memory: their headers, with times in nanoseconds, and nothing of what they carried.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "probes/capture/packet.h"

#include <stddef.h>

// Begins the file of frames of which at most `snap_bytes` are kept. `out` is empty, and its maximum is the file's.
// Errors: MEMORY; DATA when there is not even room for this.
enum dk_err dk_evidence_begin(enum dk_link_layer link, size_t snap_bytes, struct dk_buf *out);

// Adds a frame's headers: the first `header_bytes` of it (dk_packet_read). Errors: MEMORY; DATA when the file is full,
// and then it is as before.
enum dk_err dk_evidence_add(const struct dk_frame *frame, size_t header_bytes, struct dk_buf *out);
