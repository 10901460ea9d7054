// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/held.h"
#include "probes/throughput/sampler.h"
#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

static const int64_t interval_ns = 50 * DK_NS_PER_MS;

static int64_t total(const struct dk_series *series, size_t stream)
{
    int64_t sum = 0;

    for (size_t i = 0; i < series->count; i++)
        sum += series->bytes[stream * series->count + i];
    return sum;
}

static void even_flow_gives_even_intervals_however_late_the_looks(void)
{
    struct dk_sampler sampler;
    struct dk_series series = {0};
    struct dk_mono start = {1000};

    CU_ASSERT_EQUAL_FATAL(dk_sampler_init(&sampler, 2, interval_ns, DK_NS_PER_S), DK_OK);
    dk_sampler_start(&sampler, start);
    for (int64_t at_ns = 0; sampler.count < sampler.count_max;) {
        at_ns += dk_random_between(1, 170 * DK_NS_PER_MS);
        // 1 byte/ns and 3 bytes/ns.
        dk_sampler_look(&sampler, dk_mono_add_ns(start, at_ns), (struct dk_moved[]){{at_ns, 0, 0}, {3 * at_ns, 0, 0}});
    }
    CU_ASSERT_EQUAL(sampler.count, 20);
    CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
    for (size_t i = 0; i < series.count; i++) {
        CU_ASSERT_TRUE(llabs(series.bytes[i] - interval_ns) <= 1);
        CU_ASSERT_TRUE(llabs(series.bytes[series.count + i] - 3 * interval_ns) <= 3);
    }
    free(series.bytes);
    dk_sampler_free(&sampler);
}

static void nothing_is_lost_or_invented(void)
{
    for (int round = 0; round < 200; round++) {
        struct dk_sampler sampler;
        struct dk_series series = {0};
        int64_t at_ns = 0;
        struct dk_moved moved[3] = {0};

        CU_ASSERT_EQUAL_FATAL(dk_sampler_init(&sampler, 3, interval_ns, dk_random_between(1, 40) * interval_ns), DK_OK);
        dk_sampler_start(&sampler, (struct dk_mono){0});
        // The last look falls on the end of the grid, so that all bytes lie within it.
        while (sampler.count < sampler.count_max) {
            int64_t end_ns = (int64_t)sampler.count_max * interval_ns;

            at_ns += dk_random_between(1, 120 * DK_NS_PER_MS);
            at_ns = at_ns > end_ns ? end_ns : at_ns;
            for (int s = 0; s < 3; s++)
                moved[s].bytes += dk_random_between(0, 10000000000);
            dk_sampler_look(&sampler, (struct dk_mono){at_ns}, moved);
        }
        CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
        for (size_t s = 0; s < 3; s++)
            CU_ASSERT_EQUAL(total(&series, s), moved[s].bytes);
        for (size_t i = 0; i < 3 * series.count; i++)
            CU_ASSERT_TRUE(series.bytes[i] >= 0);
        free(series.bytes);
        dk_sampler_free(&sampler);
    }
}

static void odd_looks_do_no_harm(void)
{
    struct dk_sampler sampler;
    struct dk_series series = {0};

    CU_ASSERT_EQUAL_FATAL(dk_sampler_init(&sampler, 1, interval_ns, 2 * interval_ns), DK_OK);
    dk_sampler_start(&sampler, (struct dk_mono){0});
    CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
    CU_ASSERT_EQUAL(series.count, 0);
    free(series.bytes);
    dk_sampler_look(&sampler, (struct dk_mono){interval_ns}, (struct dk_moved[]){{100, 0, 0}});
    dk_sampler_look(&sampler, (struct dk_mono){interval_ns}, (struct dk_moved[]){{900, 0, 0}}); // no time has passed
    // A count that goes back, and one after the end.
    dk_sampler_look(&sampler, (struct dk_mono){2 * interval_ns}, (struct dk_moved[]){{50, 0, 0}});
    dk_sampler_look(&sampler, (struct dk_mono){9 * interval_ns}, (struct dk_moved[]){{500, 0, 0}});
    CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
    CU_ASSERT_EQUAL_FATAL(series.count, 2);
    CU_ASSERT_EQUAL(series.bytes[0], 100);
    CU_ASSERT_EQUAL(series.bytes[1], 0);
    free(series.bytes);
    dk_sampler_free(&sampler);
}

// A connection of a segment each ms: some are lost and come `late_ms` later, some come twice. What its series should
// be is known: the segments that came for the first time.
struct connection {
    bool came[8192];
    int64_t first, segments, out_of_order, next; // came for the first time, all, behind a gap; the first one missing
};

enum { MSS = 1448, SECONDS = 5 };

static void arrive(struct connection *c, int64_t number)
{
    c->segments++;
    c->out_of_order += number > c->next;
    c->first += !c->came[number];
    c->came[number] = true;
    while (c->came[c->next])
        c->next++;
}

static void check_connection(int loss_permille, int twice_permille, int late_ms)
{
    struct connection c = {0};
    struct dk_held held = {0};
    struct dk_sampler sampler;
    struct dk_series series = {0};
    int64_t due[8192] = {0}, expected[SECONDS * 20] = {0}, before = 0;

    CU_ASSERT_EQUAL_FATAL(dk_sampler_init(&sampler, 1, interval_ns, SECONDS * DK_NS_PER_S), DK_OK);
    dk_sampler_start(&sampler, (struct dk_mono){0});
    (void)dk_held_look(&held, 0, 0, 0, MSS);
    for (int64_t ms = 0; ms < SECONDS * 1000; ms++) {
        if (due[ms] > 0)
            arrive(&c, due[ms] - 1);
        if (dk_random_between(0, 999) < loss_permille && ms < SECONDS * 1000 - late_ms)
            due[ms + late_ms] = ms + 1;
        else
            arrive(&c, ms);
        if (ms > 0 && dk_random_between(0, 999) < twice_permille && c.came[ms - 1])
            arrive(&c, ms - 1);
        if (ms % 50 != 49)
            continue;

        int64_t bytes = dk_held_look(&held, c.segments, c.out_of_order, c.next * MSS, MSS);

        dk_sampler_look(&sampler, (struct dk_mono){(ms + 1) * DK_NS_PER_MS},
                        &(struct dk_moved){c.next * MSS, held.excess_bytes, bytes});
        expected[ms / 50] = (c.first - before) * MSS;
        before = c.first;
    }
    CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
    CU_ASSERT_EQUAL_FATAL(series.count, SECONDS * 20);

    int64_t off = 0;

    for (size_t i = 0; i < series.count; i++) {
        off += series.bytes[i] - expected[i];
        // Only what comes twice may be taken for new until the gap is filled, and never for long.
        CU_ASSERT_TRUE(llabs(off) <= (twice_permille > 0 ? 50 : 0) * MSS);
    }
    free(series.bytes);
    dk_sampler_free(&sampler);
}

static void what_waits_behind_a_gap_counts_when_it_comes(void)
{
    for (int round = 0; round < 20; round++) {
        check_connection(0, 0, 100);
        check_connection(5, 0, 20);
        check_connection(5, 0, 300);
        check_connection(50, 0, 170);
        check_connection(0, 20, 100);
        check_connection(10, 10, 100);
    }
}

// Counts that no driver or server may turn into data that never came.
static void odd_counts_of_segments_hold_nothing_back(void)
{
    struct dk_held held = {0};

    CU_ASSERT_EQUAL(dk_held_look(&held, -1, 0, 0, MSS), 0);
    CU_ASSERT_EQUAL(dk_held_look(&held, 10, -1, 0, MSS), 0);
    CU_ASSERT_EQUAL(dk_held_look(&held, 1000, 0, 0, MSS), 0);           // the first look
    CU_ASSERT_EQUAL(dk_held_look(&held, 2000, 0, 0, MSS), 0);           // all came twice
    CU_ASSERT_EQUAL(dk_held_look(&held, 2001, 0, 64000, MSS), 0);       // one that is many (LRO)
    CU_ASSERT_EQUAL(held.excess_bytes, 1000 * MSS);                     // cannot leave what nothing is held in
    CU_ASSERT_EQUAL(dk_held_look(&held, 2011, 3, 64000, MSS), 3 * MSS); // no more than came out of order
    CU_ASSERT_EQUAL(dk_held_look(&held, 5, 3, 64000, MSS), 0);          // a count that went back
    for (int round = 0; round < 2000; round++) {
        int64_t most = INT64_C(1) << dk_random_between(0, 40), late = dk_random_between(0, most);

        CU_ASSERT_TRUE(dk_held_look(&held, dk_random_between(0, most), late, dk_random_between(0, most),
                                    dk_random_between(0, 9000)) >= 0);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(even_flow_gives_even_intervals_however_late_the_looks),
        DK_CASE(nothing_is_lost_or_invented),
        DK_CASE(odd_looks_do_no_harm),
        DK_CASE(what_waits_behind_a_gap_counts_when_it_comes),
        DK_CASE(odd_counts_of_segments_hold_nothing_back),
        {0},
    };

    return dk_harness_main(argc, argv, "sampler", cases);
}
