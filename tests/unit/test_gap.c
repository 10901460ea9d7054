// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"
#include "probes/gap.h"
#include "tests/harness/harness.h"

#include <stdint.h>

enum { DRAWS = 40000 };

static void an_even_one_is_always_the_same(void)
{
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(dk_gap_ns(DK_SAMPLING_PERIODIC, 20 * DK_NS_PER_MS), 20 * DK_NS_PER_MS);
}

static void the_ends_of_the_distribution(void)
{
    CU_ASSERT_EQUAL(dk_gap_of(UINT32_MAX, DK_NS_PER_S), 0);
    CU_ASSERT_EQUAL(dk_gap_of(0, DK_NS_PER_S) / DK_NS_PER_MS, 22873); // 33 · ln 2
    CU_ASSERT_EQUAL(dk_gap_of(UINT32_C(1) << 31, DK_NS_PER_S) / DK_NS_PER_MS, 693); // ln 2
    for (int i = 0; i < 1000; i++) {
        uint32_t a = (uint32_t)dk_random(), b = (uint32_t)dk_random();

        CU_ASSERT_TRUE((a <= b) == (dk_gap_of(a, INT64_C(1) << 50) >= dk_gap_of(b, INT64_C(1) << 50)));
    }
}

// The shares of an exponential distribution: half above ln 2 of the mean, 1 / e above the mean, 1 / e² above twice it.
// Chances of 1 in 10^9 for each to be off by more than six standard deviations.
static void check_shares(const int64_t gaps_ns[DRAWS], int64_t mean_ns)
{
    static const struct {
        double of_mean, share, deviation; // deviation: √(share · (1 − share) / DRAWS)
    } expected[] = {{0.693147, 0.5, 0.0025}, {1, 0.367879, 0.00242}, {2, 0.135335, 0.00171}};
    double sum = 0;

    for (size_t k = 0; k < sizeof expected / sizeof expected[0]; k++) {
        int above = 0;

        for (size_t i = 0; i < DRAWS; i++)
            above += (double)gaps_ns[i] > expected[k].of_mean * (double)mean_ns;

        double off = (double)above / DRAWS - expected[k].share;

        CU_ASSERT_TRUE(off < 6 * expected[k].deviation && off > -6 * expected[k].deviation);
    }
    for (size_t i = 0; i < DRAWS; i++)
        sum += (double)gaps_ns[i] / (double)mean_ns / DRAWS;
    CU_ASSERT_TRUE(sum > 0.97 && sum < 1.03);
}

static void random_ones_are_exponential(void)
{
    static int64_t gaps_ns[DRAWS];

    for (size_t i = 0; i < DRAWS; i++)
        gaps_ns[i] = dk_gap_of((uint32_t)dk_random(), 20 * DK_NS_PER_MS);
    check_shares(gaps_ns, 20 * DK_NS_PER_MS);
    for (size_t i = 0; i < DRAWS; i++)
        gaps_ns[i] = dk_gap_ns(DK_SAMPLING_POISSON, DK_NS_PER_S);
    check_shares(gaps_ns, DK_NS_PER_S);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(an_even_one_is_always_the_same),
        DK_CASE(the_ends_of_the_distribution),
        DK_CASE(random_ones_are_exponential),
        {0},
    };

    return dk_harness_main(argc, argv, "gap", cases);
}
