// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"
#include "probes/throughput/flow.h"
#include "tests/harness/harness.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { STREAMS = 4, COUNT_MAX = 200 };

// Each stream moves `each` bytes an interval until interval `until[s]`.
static bool is_sound(size_t count, int64_t each, const size_t until[STREAMS], char *reason)
{
    static int64_t bytes[STREAMS * COUNT_MAX];
    const struct dk_series series = {50 * DK_NS_PER_MS, STREAMS, count, bytes};

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

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(flows),
        {0},
    };

    return dk_harness_main(argc, argv, "flow", cases);
}
