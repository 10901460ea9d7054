// SPDX-License-Identifier: Apache-2.0
//
// Prints random samples and what dk_estimate_values() makes of them, one JSON object a line, for
// tests/golden/estimate.py; and shares with their limits.
#include "agent/assess/estimate.h"
#include "tests/harness/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LARGEST = 1500 };

static void print_samples(size_t count, int64_t most)
{
    static int64_t values[LARGEST];
    struct dk_estimate e;

    printf("{\"values\":[");
    for (size_t i = 0; i < count; i++) {
        // Skewed to the right, as rates are.
        int64_t a = dk_random_between(0, most), b = dk_random_between(0, most);

        values[i] = a < b ? a : b;
        printf("%s%" PRId64, i > 0 ? "," : "", values[i]);
    }
    dk_estimate_values(values, count, &e);
    printf("],\"mean\":%" PRId64 ",\"median\":%" PRId64 ",\"p5\":%" PRId64 ",\"p95\":%" PRId64 ",\"sd\":%" PRId64,
           e.mean, e.median, e.p5, e.p95, e.sd);
    if (e.mean_interval.known)
        printf(",\"mean_low\":%" PRId64 ",\"mean_high\":%" PRId64, e.mean_interval.low, e.mean_interval.high);
    if (e.median_interval.known)
        printf(",\"median_low\":%" PRId64 ",\"median_high\":%" PRId64, e.median_interval.low, e.median_interval.high);
    printf("}\n");
}

static void print_share(int64_t good, int64_t count)
{
    struct dk_interval share = dk_estimate_share(good, count);

    printf("{\"good\":%" PRId64 ",\"count\":%" PRId64 ",\"low\":%" PRId64 ",\"high\":%" PRId64 "}\n", good, count,
           share.low, share.high);
}

int main(void)
{
    static const size_t counts[] = {1, 2, 5, 7, 20, 59, 100, 199, 200, 201, 300, 500, 1000, 1500};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int64_t most = 10; most <= INT64_C(10000000000); most *= 1000)
            print_samples(counts[i], most);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int64_t good = 0; good <= (int64_t)counts[i]; good += 1 + (int64_t)counts[i] / 23)
            print_share(good, (int64_t)counts[i]);
    print_share(950000, 1000000);
    return 0;
}
