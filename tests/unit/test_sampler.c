// SPDX-License-Identifier: Apache-2.0
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
        dk_sampler_look(&sampler, dk_mono_add_ns(start, at_ns), (int64_t[]){at_ns, 3 * at_ns});
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
        int64_t at_ns = 0, bytes[3] = {0};

        CU_ASSERT_EQUAL_FATAL(dk_sampler_init(&sampler, 3, interval_ns, dk_random_between(1, 40) * interval_ns), DK_OK);
        dk_sampler_start(&sampler, (struct dk_mono){0});
        // The last look falls on the end of the grid, so that all bytes lie within it.
        while (sampler.count < sampler.count_max) {
            int64_t end_ns = (int64_t)sampler.count_max * interval_ns;

            at_ns += dk_random_between(1, 120 * DK_NS_PER_MS);
            at_ns = at_ns > end_ns ? end_ns : at_ns;
            for (int s = 0; s < 3; s++)
                bytes[s] += dk_random_between(0, 10000000000);
            dk_sampler_look(&sampler, (struct dk_mono){at_ns}, bytes);
        }
        CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
        for (size_t s = 0; s < 3; s++)
            CU_ASSERT_EQUAL(total(&series, s), bytes[s]);
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
    dk_sampler_look(&sampler, (struct dk_mono){interval_ns}, (int64_t[]){100});
    dk_sampler_look(&sampler, (struct dk_mono){interval_ns}, (int64_t[]){900});     // no time has passed
    dk_sampler_look(&sampler, (struct dk_mono){2 * interval_ns}, (int64_t[]){50}); // a count that goes back
    dk_sampler_look(&sampler, (struct dk_mono){9 * interval_ns}, (int64_t[]){500}); // after the end
    CU_ASSERT_EQUAL_FATAL(dk_sampler_series(&sampler, &series), DK_OK);
    CU_ASSERT_EQUAL_FATAL(series.count, 2);
    CU_ASSERT_EQUAL(series.bytes[0], 100);
    CU_ASSERT_EQUAL(series.bytes[1], 0);
    free(series.bytes);
    dk_sampler_free(&sampler);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(even_flow_gives_even_intervals_however_late_the_looks),
        DK_CASE(nothing_is_lost_or_invented),
        DK_CASE(odd_looks_do_no_harm),
        {0},
    };

    return dk_harness_main(argc, argv, "sampler", cases);
}
