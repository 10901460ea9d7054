// SPDX-License-Identifier: Apache-2.0
#include "tests/sample/links.h"

#include "tests/harness/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double uniform(double low, double high)
{
    return low + (high - low) * (double)(dk_random() >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    double total = 0;

    for (int i = 0; i < 12; i++)
        total += uniform(0, 1);
    return total - 6;
}

// What the link could carry in each of `count` milliseconds × 50, in bit/s, into rates[].
static void capacity(const struct link *link, size_t count, double rates[])
{
    double rate = link->rate_bps, noise = normal(), level = 0, left_s = 0;
    double phase = uniform(0, 2 * M_PI), period_s = uniform(2, 8);
    size_t at = link->trace_count > count ? (size_t)dk_random_between(0, (int64_t)(link->trace_count - count)) : 0;

    for (size_t i = 0; i < count; i++) {
        double t_s = (double)i * 0.05;

        switch (link->kind) {
        case LINK_STEADY:
        case LINK_BURST:
        case LINK_FREE:
            rates[i] = rate;
            break;
        case LINK_NOISY:
            rates[i] = rate * (1 + link->deviation * noise);
            noise = link->correlation * noise + sqrt(1 - link->correlation * link->correlation) * normal();
            break;
        case LINK_STEPS:
            if (left_s <= 0) {
                level = uniform(0.7, 1.3);
                left_s = uniform(0.5, 3);
                if (i == 0)
                    left_s *= uniform(0, 1);
            }
            rates[i] = rate * level * (1 + 0.01 * normal());
            left_s -= 0.05;
            break;
        case LINK_WAVE:
            rates[i] = rate * (1 + 0.3 * sin(phase + 2 * M_PI * t_s / period_s)) * (1 + 0.01 * normal());
            break;
        case LINK_TRACE:
            rates[i] = (double)(link->trace_bytes[(at + i) % link->trace_count] * link->trace_scale) * 8 / 0.05;
            break;
        }
        if (rates[i] < 0)
            rates[i] = 0;
    }
}

double link_download(const struct link *link, size_t count, int64_t bytes[])
{
    static double rates[LINK_INTERVALS_MAX];
    double bucket_bytes = link->kind == LINK_BURST || link->kind == LINK_FREE ? 10e6 : 0;
    double start_s = uniform(0.1, 0.4), mean = 0, moved = 0, lump = 0;
    int64_t seen_before = 0;

    capacity(link, count, rates);
    for (size_t i = 0; i < count; i++) {
        double could = 0, peak = link->kind == LINK_BURST ? 2 * link->rate_bps : 1e9;

        mean += rates[i] / (double)count;
        // In steps of 1 ms: a slow start that doubles to the rate, and the bucket.
        for (int ms = 0; ms < 50; ms++) {
            double t_s = (double)i * 0.05 + ms * 0.001;
            double rate = bucket_bytes > 0 ? peak : rates[i];

            if (t_s < start_s)
                rate *= exp2((t_s - start_s) / (start_s / 6));
            could += rate / 8000;
            if (bucket_bytes > 0 && rate > rates[i])
                bucket_bytes -= (rate - rates[i]) / 8000;
        }
        moved += could;
        // The reader sees what has been handed up: whole lumps, the last one at any point.
        lump = uniform(0, fmin(65536, link->rate_bps / 8 * 0.012));

        int64_t seen = moved > lump ? (int64_t)(moved - lump) : 0;

        bytes[i] = seen > seen_before ? seen - seen_before : 0;
        seen_before += bytes[i];
    }
    return mean;
}

size_t link_read_trace(const char *path, int64_t bytes[], size_t most)
{
    FILE *file = fopen(path, "re");
    char line[64];
    size_t count = 0;

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        long long ms = strtoll(line, NULL, 10);

        if (ms < 0 || (size_t)ms / 50 >= most)
            break;
        while (count <= (size_t)ms / 50)
            bytes[count++] = 0;
        bytes[ms / 50] += 1500;
    }
    fclose(file);
    return count;
}
