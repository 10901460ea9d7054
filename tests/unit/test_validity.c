// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"
#include "tests/harness/harness.h"

// The capture and TCP count the same, to the tolerance that docs/methodology.md states.
static void a_capture_that_disagrees_is_flagged(void)
{
    enum { MB = 1000000 };
    static const struct {
        int64_t down, down_again, up, up_again; // bytes in the capture
        enum dk_status upload;
        const char *detail; // NULL: none
    } rows[] = {
        {100 * MB, 0, 50 * MB, 0, DK_STATUS_OK, NULL},
        {99 * MB, 0, 49500000, 0, DK_STATUS_OK, NULL},
        {98900000, 0, 50 * MB, 0, DK_STATUS_OK,
         "downwards: the capture has 98900 kB of payload, and TCP on the test's streams 100000 kB"},
        {100 * MB, 2 * MB, 50 * MB, 0, DK_STATUS_OK,
         "downwards: the capture has 98000 kB of payload, and TCP on the test's streams 100000 kB"},
        {100 * MB, 0, 49 * MB, 0, DK_STATUS_OK,
         "upwards: the capture has 49000 kB of payload, and TCP on the test's streams 50000 kB"},
        {113 * MB, 0, 50 * MB, 0, DK_STATUS_OK, NULL},
        {115 * MB, 0, 50 * MB, 0, DK_STATUS_OK,
         "downwards: the capture has 115000 kB of payload, and TCP on the test's streams 100000 kB"},
        // What a direction moved that failed nobody knows.
        {115 * MB, 0, 50 * MB, 0, DK_STATUS_FAILED, NULL},
        {100 * MB, 0, 51 * MB, 150 * 1000, DK_STATUS_OK, NULL},
        {100 * MB, 0, 51 * MB, 171 * 1000, DK_STATUS_OK,
         "upwards: the capture has 171 segments sent again, and TCP 100"},
        {100 * MB, 0, 50 * MB + 20000, 20 * 1000, DK_STATUS_OK,
         "upwards: the capture has 20 segments sent again, and TCP 100"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_measurement m = {.download.status = DK_STATUS_OK};
        struct dk_context context = {.clock.state = DK_CLOCK_SYNCHRONISED};
        struct dk_validity validity;

        m.upload.status = rows[i].upload;
        m.download.streams = m.upload.streams = 1;
        m.download.tcp[0] = (struct dk_tcp_stream){.received_bytes = 100 * MB, .receive_window_bytes = 2 * MB};
        m.upload.tcp[0] = (struct dk_tcp_stream){.acked_bytes = 50 * MB, .send_buffer_bytes = 2 * MB,
                                                 .mss_bytes = 1000, .retransmitted_segments = 100};
        m.wire = (struct dk_wire){.status = DK_STATUS_OK,
                                  .down = {.payload_bytes = rows[i].down, .retransmitted_bytes = rows[i].down_again},
                                  .up = {.payload_bytes = rows[i].up + 100000,
                                         .retransmitted_bytes = rows[i].up_again + 100000}};
        if (rows[i].up_again != 0)
            m.wire.up.retransmitted_bytes = rows[i].up_again;
        dk_judge_validity(&m, &context, &validity);
        CU_ASSERT_EQUAL_FATAL(validity.count, rows[i].detail != NULL);
        if (rows[i].detail != NULL) {
            CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_CAPTURE_DISAGREES);
            CU_ASSERT_STRING_EQUAL(validity.flags[0].detail, rows[i].detail);
        }
        // Without a capture, or without TCP's numbers, there is nothing to compare.
        m.wire.status = DK_STATUS_NOT_MEASURED;
        dk_judge_validity(&m, &context, &validity);
        CU_ASSERT_EQUAL(validity.count, 0);
    }
}

// What the server says of itself, at the limits that docs/methodology.md states.
static void a_server_that_held_the_test_back_is_flagged(void)
{
    enum { MB = 1000000 };
    static const struct {
        struct dk_server_hint hint;
        bool upload, loopback;
        const char *detail; // NULL: none
    } rows[] = {
        {{.idle_ns = -1, .others_bytes = -1, .send_buffer_bytes = -1, .rtt_min_ns = -1}, false, false, NULL},
        {{.idle_ns = 1990 * DK_NS_PER_MS}, false, false, NULL},
        {{.idle_ns = 2010 * DK_NS_PER_MS}, false, false,
         "download: by its own word the server's TCP had nothing to send for 20 % of the time"},
        {{.idle_ns = 2010 * DK_NS_PER_MS}, false, true, NULL},
        // 100 MB of each of two streams in 10 s are 200 kB in 20 ms.
        {{.send_buffer_bytes = 280000, .rtt_min_ns = 20 * DK_NS_PER_MS}, false, false,
         "download: by the server's own word 2 of 2 streams filled its send buffer of 280 kB in every round trip"},
        {{.send_buffer_bytes = 290000, .rtt_min_ns = 20 * DK_NS_PER_MS}, false, false, NULL},
        {{.send_buffer_bytes = 280000, .rtt_min_ns = 19 * DK_NS_PER_MS}, false, false, NULL},
        // 200 MB in 10 s are 160 Mb/s of payload and 167 Mb/s with headers.
        {{.line_bps = 185 * MB}, false, false,
         "download: by its own word the server's line of 185.00 Mb/s was full: 90 % by this test and 0 % by others"},
        {{.line_bps = 187 * MB}, false, false, NULL},
        {{.line_bps = 185 * MB}, false, true, NULL},
        {{.line_bps = 1000 * MB, .others_bytes = 900 * MB}, false, false,
         "download: by its own word the server's line of 1000.00 Mb/s was full: 16 % by this test and 75 % by others"},
        {{.line_bps = 1000 * MB, .others_bytes = 850 * MB}, false, false, NULL},
        {{.line_bps = 1000 * MB, .others_bytes = -1}, false, false, NULL},
        {{.line_bps = 185 * MB, .idle_ns = -1, .send_buffer_bytes = -1, .rtt_min_ns = -1}, true, false,
         "upload: by its own word the server's line of 185.00 Mb/s was full: 90 % by this test and 0 % by others"},
        // Nonsense is a number like another.
        {{.line_bps = 1, .others_bytes = INT64_C(1) << 53, .rtt_min_ns = 86400 * DK_NS_PER_S}, false, false,
         "download: by its own word the server's line of 0.00 Mb/s was full: 1000 % by this test and 1000 % by others"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_measurement m = {.download = {.status = DK_STATUS_OK, .conditions.duration_ns = DK_NS_PER_S}};
        struct dk_context context = {.clock.state = DK_CLOCK_SYNCHRONISED};
        struct dk_server_hint *hint = rows[i].upload ? &m.hint_upload : &m.hint_download;
        struct dk_validity validity;

        m.upload = m.download;
        if (rows[i].loopback)
            context.link.medium = DK_MEDIUM_LOOPBACK;
        *hint = rows[i].hint;
        hint->streams = 2;
        hint->bytes[0] = hint->bytes[1] = 100 * MB;
        dk_judge_validity(&m, &context, &validity);
        CU_ASSERT_EQUAL(validity.count, (size_t)rows[i].loopback); // it says nothing
        hint->duration_ns = 10 * DK_NS_PER_S;
        dk_judge_validity(&m, &context, &validity);
        CU_ASSERT_EQUAL_FATAL(validity.count, (rows[i].detail != NULL) + (size_t)rows[i].loopback);
        if (rows[i].detail != NULL) {
            CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_SERVER_LIMITED);
            CU_ASSERT_EQUAL(validity.flags[0].figure,
                            rows[i].upload ? DK_FLAG_FIGURE_UPLOAD : DK_FLAG_FIGURE_DOWNLOAD);
            CU_ASSERT_STRING_EQUAL(validity.flags[0].detail, rows[i].detail);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(a_capture_that_disagrees_is_flagged),
        DK_CASE(a_server_that_held_the_test_back_is_flagged),
        {0},
    };

    return dk_harness_main(argc, argv, "validity", cases);
}
