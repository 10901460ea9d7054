// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/sampler.h"

#include <stdlib.h>

enum dk_err dk_sampler_init(struct dk_sampler *sampler, size_t streams, int64_t interval_ns, int64_t duration_ns)
{
    size_t count = (size_t)((duration_ns + interval_ns - 1) / interval_ns);
    int64_t *at_grid = calloc(streams * count, sizeof *at_grid);

    if (at_grid == NULL)
        return DK_ERR_MEMORY;
    *sampler = (struct dk_sampler){
        .interval_ns = interval_ns, .streams = streams, .count_max = count, .at_grid = at_grid};
    return DK_OK;
}

void dk_sampler_free(struct dk_sampler *sampler)
{
    free(sampler->at_grid);
    *sampler = (struct dk_sampler){0};
}

void dk_sampler_start(struct dk_sampler *sampler, struct dk_mono start)
{
    sampler->start = sampler->last = start;
    sampler->count = 0;
    for (size_t s = 0; s < sampler->streams; s++)
        sampler->last_bytes[s] = 0;
}

// moved * part_ns / span_ns, 0 <= part_ns <= span_ns, without leaving 64 bits for spans up to an hour.
static int64_t share(int64_t moved, int64_t part_ns, int64_t span_ns)
{
    int64_t unit_ns = span_ns > DK_NS_PER_S ? DK_NS_PER_MS / 10 : 1;

    return moved / span_ns * part_ns + moved % span_ns * (part_ns / unit_ns) / (span_ns / unit_ns);
}

void dk_sampler_look(struct dk_sampler *sampler, struct dk_mono now, const int64_t bytes[])
{
    int64_t span_ns = dk_mono_diff_ns(now, sampler->last);
    size_t first = sampler->count;

    if (span_ns <= 0)
        return;
    for (size_t s = 0; s < sampler->streams; s++) {
        int64_t moved = bytes[s] > sampler->last_bytes[s] ? bytes[s] - sampler->last_bytes[s] : 0;

        for (size_t k = first; k < sampler->count_max; k++) {
            int64_t end_ns = sampler->start.ns + (int64_t)(k + 1) * sampler->interval_ns;

            if (end_ns > now.ns)
                break;
            sampler->at_grid[s * sampler->count_max + k] =
                sampler->last_bytes[s] + share(moved, end_ns - sampler->last.ns, span_ns);
            if (s == 0)
                sampler->count = k + 1;
        }
        sampler->last_bytes[s] += moved;
    }
    sampler->last = now;
}

enum dk_err dk_sampler_total(const struct dk_sampler *sampler, struct dk_series *out)
{
    int64_t *bytes = calloc(sampler->count + 1, sizeof *bytes);

    if (bytes == NULL)
        return DK_ERR_MEMORY;
    for (size_t s = 0; s < sampler->streams; s++)
        for (size_t k = 0; k < sampler->count; k++) {
            const int64_t *at_end = &sampler->at_grid[s * sampler->count_max + k];

            bytes[k] += k == 0 ? at_end[0] : at_end[0] - at_end[-1];
        }
    *out = (struct dk_series){sampler->interval_ns, 1, sampler->count, bytes};
    return DK_OK;
}

enum dk_err dk_sampler_series(const struct dk_sampler *sampler, struct dk_series *out)
{
    int64_t *bytes = calloc(sampler->streams * sampler->count + 1, sizeof *bytes);

    if (bytes == NULL)
        return DK_ERR_MEMORY;
    for (size_t s = 0; s < sampler->streams; s++) {
        int64_t before = 0;

        for (size_t k = 0; k < sampler->count; k++) {
            int64_t at_end = sampler->at_grid[s * sampler->count_max + k];

            bytes[s * sampler->count + k] = at_end - before;
            before = at_end;
        }
    }
    *out = (struct dk_series){sampler->interval_ns, sampler->streams, sampler->count, bytes};
    return DK_OK;
}
