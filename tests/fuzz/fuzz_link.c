// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "tests/netlab/emulator/frame.h"
#include "tests/netlab/emulator/shaper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A frame is cut into segments that are good frames and hold all its payload; a recording that is accepted
// lets packets pass in order.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dk_auto(trace) struct dk_trace *trace = NULL;
    struct dk_frame frame, segment;

    if (size <= DK_FRAME_ETHERNET_BYTES + 65535 && dk_frame_read(data, size, &frame) && frame.tcp) {
        uint8_t out[256 + DK_FRAME_ETHERNET_BYTES];
        int32_t left = frame.payload_bytes;

        for (int32_t i = 0; i < dk_frame_segments(&frame, 100); i++) {
            size_t len = dk_frame_segment(data, &frame, 100, i, out, sizeof out);

            if (len == 0 ? frame.payload_at + 100 <= sizeof out : !dk_frame_read(out, len, &segment))
                abort();
            left -= len > 0 ? segment.payload_bytes : left < 100 ? left : 100;
        }
        if (left != 0)
            abort();
    }
    if (dk_trace_parse((const char *)data, size, "input", &trace, NULL) == DK_OK) {
        struct dk_shaper_settings settings = {.trace = trace, .trace_scale_ppm = 1500000};
        struct dk_shaper shaper = dk_shaper_make(&settings, 0);
        int64_t before_ns = 0;
        int32_t moments;

        for (int64_t i = 0; i < 20; i++) {
            int64_t through_ns = dk_shaper_serve(&shaper, i * i * 1000003, 900, &moments);

            if (through_ns < before_ns || through_ns < i * i * 1000003)
                abort();
            before_ns = through_ns;
        }
    }
    return 0;
}
