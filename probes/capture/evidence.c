// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/evidence.h"

#include "agent/base/bytes.h"
#include "agent/base/clock.h"

enum { FILE_HEADER_BYTES = 24, FRAME_HEADER_BYTES = 16, FRAME_MAX_BYTES = 256 };

static uint32_t link_number(enum dk_link_layer link)
{
    switch (link) {
    case DK_LINK_ETHERNET:
        return 1;
    case DK_LINK_COOKED:
        return 113;
    case DK_LINK_COOKED2:
        return 276;
    case DK_LINK_LOOPBACK:
        return 108;
    case DK_LINK_RAW:
        break;
    }
    return 101;
}

enum dk_err dk_evidence_begin(enum dk_link_layer link, size_t snap_bytes, struct dk_buf *out)
{
    uint8_t bytes[FILE_HEADER_BYTES];
    struct dk_writer w = {bytes, sizeof bytes, false};

    dk_put_u32(&w, 0xa1b23c4d); // nanoseconds; big-endian, wherever it is written
    dk_put_u16(&w, 2);
    dk_put_u16(&w, 4);
    dk_put_zero(&w, 8);
    dk_put_u32(&w, (uint32_t)snap_bytes);
    dk_put_u32(&w, link_number(link));
    return dk_buf_append(out, bytes, sizeof bytes);
}

enum dk_err dk_evidence_add(const struct dk_frame *frame, size_t header_bytes, struct dk_buf *out)
{
    uint8_t bytes[FRAME_HEADER_BYTES + FRAME_MAX_BYTES];
    struct dk_writer w = {bytes, sizeof bytes, false};
    size_t kept = header_bytes < frame->captured_bytes ? header_bytes : frame->captured_bytes;

    kept = kept < FRAME_MAX_BYTES ? kept : FRAME_MAX_BYTES;
    dk_put_u32(&w, (uint32_t)(frame->time_ns / DK_NS_PER_S));
    dk_put_u32(&w, (uint32_t)(frame->time_ns % DK_NS_PER_S));
    dk_put_u32(&w, (uint32_t)kept);
    dk_put_u32(&w, (uint32_t)frame->wire_bytes);
    for (size_t i = 0; i < kept; i++)
        dk_put_u8(&w, frame->bytes[i]);
    return dk_buf_append(out, bytes, FRAME_HEADER_BYTES + kept);
}
