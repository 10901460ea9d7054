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

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(a_capture_that_disagrees_is_flagged),
        {0},
    };

    return dk_harness_main(argc, argv, "validity", cases);
}
