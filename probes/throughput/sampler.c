// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/sampler.h"

#include <stdlib.h>
#include <string.h>

enum dk_err dk_sampler_init(struct dk_sampler *sampler, size_t streams, int64_t interval_ns, int64_t duration_ns)
{
    size_t count = (size_t)((duration_ns + interval_ns - 1) / interval_ns);
    int64_t *at_grid = calloc(2 * streams * count, sizeof *at_grid);

    if (at_grid == NULL)
        return DK_ERR_MEMORY;
    *sampler = (struct dk_sampler){.interval_ns = interval_ns,
                                   .streams = streams,
                                   .count_max = count,
                                   .at_grid = at_grid,
                                   .excess_at_grid = at_grid + streams * count};
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
        sampler->last_bytes[s] = sampler->last_excess_bytes[s] = sampler->last_held_bytes[s] = 0;
}

// moved * part_ns / span_ns, 0 <= part_ns <= span_ns, without leaving 64 bits for spans up to an hour.
static int64_t share(int64_t moved, int64_t part_ns, int64_t span_ns)
{
    int64_t unit_ns = span_ns > DK_NS_PER_S ? DK_NS_PER_MS / 10 : 1;

    return moved / span_ns * part_ns + moved % span_ns * (part_ns / unit_ns) / (span_ns / unit_ns);
}

void dk_sampler_look(struct dk_sampler *sampler, struct dk_mono now, const struct dk_moved moved[])
{
    int64_t span_ns = dk_mono_diff_ns(now, sampler->last);
    size_t first = sampler->count;

    if (span_ns <= 0)
        return;
    for (size_t s = 0; s < sampler->streams; s++) {
        int64_t before = sampler->last_bytes[s], excess_before = sampler->last_excess_bytes[s];
        int64_t bytes = moved[s].bytes > before ? moved[s].bytes - before : 0;

        for (size_t k = first; k < sampler->count_max; k++) {
            int64_t end_ns = sampler->start.ns + (int64_t)(k + 1) * sampler->interval_ns;
            int64_t part_ns = end_ns - sampler->last.ns;

            if (end_ns > now.ns)
                break;
            sampler->at_grid[s * sampler->count_max + k] = before + share(bytes, part_ns, span_ns);
            sampler->excess_at_grid[s * sampler->count_max + k] =
                excess_before + share(moved[s].excess_bytes - excess_before, part_ns, span_ns);
            if (s == 0)
                sampler->count = k + 1;
        }
        sampler->last_bytes[s] += bytes;
        sampler->last_excess_bytes[s] = moved[s].excess_bytes;
        sampler->last_held_bytes[s] = moved[s].held_bytes;
    }
    sampler->last = now;
}

// Adds what stream s moved in each interval to out[0 … count−1].
static void add_arrived(const struct dk_sampler *sampler, size_t s, int64_t out[])
{
    const int64_t *at_grid = sampler->at_grid + s * sampler->count_max;
    const int64_t *excess = sampler->excess_at_grid + s * sampler->count_max;
    int64_t stays = sampler->last_excess_bytes[s] - sampler->last_held_bytes[s], later = 0;

    // Backwards: what stays in the excess is the least of what is still to come.
    for (size_t k = sampler->count; k-- > 0;) {
        if (stays > excess[k])
            stays = excess[k];

        int64_t bytes = at_grid[k] + excess[k] - stays;

        // Readings of two counts at two moments: never more than what had come an interval later.
        if (k + 1 < sampler->count) {
            if (bytes > later)
                bytes = later;
            out[k + 1] += later - bytes;
        }
        later = bytes;
    }
    if (sampler->count > 0)
        out[0] += later;
}

enum dk_err dk_sampler_total(const struct dk_sampler *sampler, struct dk_series *out)
{
    int64_t *bytes = calloc(sampler->count + 1, sizeof *bytes);

    if (bytes == NULL)
        return DK_ERR_MEMORY;
    for (size_t s = 0; s < sampler->streams; s++)
        add_arrived(sampler, s, bytes);
    *out = (struct dk_series){
        .interval_ns = sampler->interval_ns, .streams = 1, .count = sampler->count, .bytes = bytes};
    for (size_t s = 0; s < sampler->streams; s++)
        if (sampler->joined_ns[s] > out->joined_ns[0])
            out->joined_ns[0] = sampler->joined_ns[s];
    return DK_OK;
}

enum dk_err dk_sampler_series(const struct dk_sampler *sampler, struct dk_series *out)
{
    int64_t *bytes = calloc(sampler->streams * sampler->count + 1, sizeof *bytes);

    if (bytes == NULL)
        return DK_ERR_MEMORY;
    for (size_t s = 0; s < sampler->streams; s++)
        add_arrived(sampler, s, bytes + s * sampler->count);
    *out = (struct dk_series){.interval_ns = sampler->interval_ns,
                              .streams = sampler->streams,
                              .count = sampler->count,
                              .bytes = bytes};
    memcpy(out->joined_ns, sampler->joined_ns, sizeof out->joined_ns);
    return DK_OK;
}
