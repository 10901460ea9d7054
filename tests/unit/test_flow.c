// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"
#include "probes/throughput/flow.h"
#include "probes/throughput/growth.h"
#include "tests/harness/harness.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { STREAMS = 4, COUNT_MAX = 200 };

// Each stream moves `each` bytes an interval until interval `until[s]`.
static bool is_sound(size_t count, int64_t each, const size_t until[STREAMS], char *reason)
{
    static int64_t bytes[STREAMS * COUNT_MAX];
    const struct dk_series series = {50 * DK_NS_PER_MS, STREAMS, count, bytes, {0}};

    for (size_t s = 0; s < STREAMS; s++)
        for (size_t i = 0; i < count; i++)
            bytes[s * count + i] = i < until[s] ? each : 0;
    return dk_flow_is_sound(&series, reason);
}

static void flows(void)
{
    static const struct {
        size_t count;
        int64_t each;
        size_t until[STREAMS];
        const char *says; // NULL: sound
    } cases[] = {
        {200, 100000, {200, 200, 200, 200}, NULL},
        // The line was silent for just under 2 s at the end, then for 2 s.
        {200, 100000, {161, 161, 161, 161}, NULL},
        {200, 100000, {160, 160, 160, 160}, "stalled: nothing came through in the last 2000 ms"},
        {200, 100000, {10, 10, 161, 10}, "stalled: stream 4 of 4 moved nothing in the last 9500 ms"},
        // One stream: silent for less than half, for half.
        {200, 100000, {200, 101, 200, 200}, NULL},
        {200, 100000, {200, 100, 200, 200}, "stalled: stream 2 of 4 moved nothing in the last 5000 ms"},
        {200, 100000, {200, 200, 200, 0}, "stalled: stream 4 of 4 moved nothing in the last 10000 ms"},
        // A short test: half of it counts for all streams; for one stream it is too short to say.
        {20, 100000, {11, 11, 11, 11}, NULL},
        {20, 100000, {10, 10, 10, 10}, "stalled: nothing came through in the last 500 ms"},
        {20, 100000, {20, 0, 20, 20}, NULL},
        // Drips.
        {200, 81, {200, 200, 200, 200}, "only 64800 bytes came through; at least 65536 are needed"},
        {200, 82, {200, 200, 200, 200}, NULL},
        {200, 0, {200, 200, 200, 200}, "only 0 bytes came through; at least 65536 are needed"},
        {0, 0, {0, 0, 0, 0}, "only 0 bytes came through; at least 65536 are needed"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char reason[DK_REASON_SIZE] = "what was said before";

        CU_ASSERT_EQUAL(is_sound(cases[i].count, cases[i].each, cases[i].until, reason), cases[i].says == NULL);
        CU_ASSERT_STRING_EQUAL(reason, cases[i].says != NULL ? cases[i].says : "");
        if (strcmp(reason, cases[i].says != NULL ? cases[i].says : "") != 0)
            printf("    case %zu: %s\n", i, reason);
    }
}

static size_t decide(struct dk_growth *growth, int64_t at_ms, int64_t mbps, int64_t rtt_ms, int64_t lost, size_t count,
                     bool upload)
{
    struct dk_tcp_stream tcp[DK_STREAMS_MAX] = {0};

    for (size_t s = 0; s < count; s++) {
        tcp[s].rtt_min_ns = 20 * DK_NS_PER_MS;
        tcp[s].receive_rtt_ns = upload ? -1 : rtt_ms * DK_NS_PER_MS;
        tcp[s].rtt_ns = upload ? rtt_ms * DK_NS_PER_MS : 90 * DK_NS_PER_MS;
        tcp[s].out_of_order_in = upload ? -1 : lost;
        tcp[s].retransmitted_segments = upload ? lost : 0;
    }
    return dk_growth_decide(growth, at_ms * DK_NS_PER_MS, mbps * 1000000, tcp, count, upload);
}

static void streams_grow_while_that_raises_the_rate_of_a_line_that_loses(void)
{
    for (int upload = 0; upload < 2; upload++) {
        struct dk_growth growth = dk_growth_make(16, 10 * DK_NS_PER_S), other;

        CU_ASSERT_EQUAL(growth.next_ns, 500 * DK_NS_PER_MS);
        other = growth;
        CU_ASSERT_EQUAL(decide(&other, 500, 40, 60, 100, 4, upload), 0); // a queue: the line is full
        CU_ASSERT_EQUAL(other.next_ns, DK_NS_PER_S);
        CU_ASSERT_EQUAL(decide(&other, 1000, 40, 20, 100, 4, upload), 0); // no queue, and nothing lost since
        CU_ASSERT_EQUAL(decide(&other, 1500, 40, 20, 101, 4, upload), 4);
        CU_ASSERT_EQUAL(other.next_ns, INT64_MAX);

        CU_ASSERT_EQUAL(decide(&growth, 500, 40, 20, 100, 4, upload), 4);
        dk_growth_joined(&growth, 600 * DK_NS_PER_MS);
        CU_ASSERT_EQUAL(growth.next_ns, 1350 * DK_NS_PER_MS);
        other = growth;
        CU_ASSERT_EQUAL(decide(&growth, 1350, 43, 20, 200, 8, upload), 8);
        dk_growth_joined(&growth, 1450 * DK_NS_PER_MS);
        CU_ASSERT_EQUAL(decide(&growth, 2200, 90, 20, 300, 16, upload), 0); // as many as there may be

        // Not raised, twice: the end. In between, a queue shows that it is full.
        CU_ASSERT_EQUAL(decide(&other, 1350, 41, 20, 200, 8, upload), 0);
        growth = other;
        CU_ASSERT_EQUAL(decide(&other, 1850, 41, 20, 300, 8, upload), 0);
        CU_ASSERT_EQUAL(other.next_ns, INT64_MAX);
        CU_ASSERT_EQUAL(decide(&growth, 1850, 41, 60, 300, 8, upload), 0);
        CU_ASSERT_EQUAL(decide(&growth, 2350, 41, 20, 301, 8, upload), 8);
        // Never beyond the most, nor late in the test.
        growth = dk_growth_make(6, 10 * DK_NS_PER_S);
        other = growth;
        CU_ASSERT_EQUAL(decide(&growth, 4000, 40, 20, 100, 4, upload), 2);
        CU_ASSERT_EQUAL(decide(&other, 4001, 40, 20, 100, 4, upload), 0);
        CU_ASSERT_EQUAL(other.next_ns, INT64_MAX);
    }
    CU_ASSERT_EQUAL(dk_growth_make(16, 3 * DK_NS_PER_S).next_ns, INT64_MAX);

    // A kernel that does not say what it would need to say adds nothing.
    struct dk_growth growth = dk_growth_make(16, 10 * DK_NS_PER_S);
    struct dk_tcp_stream unknown = {.rtt_min_ns = -1, .receive_rtt_ns = -1, .out_of_order_in = -1};

    CU_ASSERT_EQUAL(dk_growth_decide(&growth, 500 * DK_NS_PER_MS, 1, &unknown, 1, false), 0);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(flows),
        DK_CASE(streams_grow_while_that_raises_the_rate_of_a_line_that_loses),
        {0},
    };

    return dk_harness_main(argc, argv, "flow", cases);
}
