// SPDX-License-Identifier: Apache-2.0
#include "probes/reference/runs.h"

#include <stdlib.h>
#include <string.h>

struct dk_runs {
    struct dk_seen entries[DK_RUNS_MAX];
};

enum dk_err dk_runs_new(struct dk_runs **out, struct dk_fault *fault)
{
    struct dk_runs *runs = calloc(1, sizeof *runs);

    if (runs == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    *out = runs;
    return DK_OK;
}

void dk_runs_free(struct dk_runs *runs)
{
    free(runs);
}

static bool is_over(const struct dk_seen *seen, struct dk_mono now)
{
    return seen->connections == 0 && dk_mono_diff_ns(now, seen->named) >= DK_RUN_KEPT_S * DK_NS_PER_S;
}

struct dk_seen *dk_runs_find(struct dk_runs *runs, const char *id, const struct dk_peer *peer, struct dk_mono now)
{
    for (size_t i = 0; i < DK_RUNS_MAX; i++) {
        struct dk_seen *seen = &runs->entries[i];

        if (seen->used && strcmp(seen->word.run, id) == 0)
            return seen->prefix == peer->prefix && !is_over(seen, now) ? seen : NULL;
    }
    return NULL;
}

// NULL stands for an entry that is nobody's.
static bool is_older(const struct dk_seen *a, const struct dk_seen *b)
{
    return b == NULL || a->named.ns < b->named.ns;
}

struct dk_seen *dk_runs_name(struct dk_runs *runs, const char *id, const struct dk_peer *peer, struct dk_mono now)
{
    struct dk_seen *oldest = NULL, *own_oldest = NULL, *spare = NULL;
    int own = 0;

    if (!dk_run_id_is_one(id))
        return NULL;
    for (size_t i = 0; i < DK_RUNS_MAX; i++) {
        struct dk_seen *seen = &runs->entries[i];

        if (seen->used && is_over(seen, now))
            seen->used = false;
        if (!seen->used) {
            spare = seen;
            continue;
        }
        if (strcmp(seen->word.run, id) == 0) {
            if (seen->prefix != peer->prefix)
                return NULL;
            seen->named = now;
            return seen;
        }
        if (seen->connections == 0 && is_older(seen, oldest))
            oldest = seen;
        if (seen->prefix != peer->prefix)
            continue;
        own++;
        if (seen->connections == 0 && is_older(seen, own_oldest))
            own_oldest = seen;
    }
    if (own >= DK_RUNS_CLIENT_MAX)
        spare = own_oldest;
    else if (spare == NULL)
        spare = oldest;
    if (spare == NULL)
        return NULL;
    *spare = (struct dk_seen){.prefix = peer->prefix, .named = now, .used = true};
    memcpy(spare->word.run, id, DK_RUN_ID_SIZE);
    return spare;
}

void dk_seen_begin(struct dk_seen *seen, bool upload, struct dk_mono now, struct dk_wall date,
                   const struct dk_moved *all)
{
    struct dk_mono *start = upload ? &seen->upload_start : &seen->download_start;

    if (start->ns != 0)
        return;
    *start = now;
    *(upload ? &seen->word.upload.start : &seen->word.download.start) = date;
    seen->all_at_start[upload] = *all;
}

void dk_seen_add(struct dk_seen *seen, bool upload, size_t stream, const struct dk_seen_part *part,
                 const struct dk_moved *all)
{
    struct dk_word_direction *direction = upload ? &seen->word.upload : &seen->word.download;
    const struct dk_moved *before = &seen->all_at_start[upload];
    int64_t duration_ns = dk_mono_diff_ns(part->last, upload ? seen->upload_start : seen->download_start);
    int64_t all_bytes =
        upload ? all->received_bytes - before->received_bytes : all->sent_bytes - before->sent_bytes;

    if (part->bytes <= 0)
        return;
    if (!direction->seen || part->rtt_min_ns < direction->rtt_min_ns)
        direction->rtt_min_ns = part->rtt_min_ns;
    direction->seen = true;
    direction->bytes[stream] += part->bytes;
    if (stream >= direction->streams)
        direction->streams = stream + 1;
    if (duration_ns > direction->duration_ns)
        direction->duration_ns = duration_ns;
    if (part->rtt_ns > direction->rtt_ns)
        direction->rtt_ns = part->rtt_ns;
    direction->others_bytes = all_bytes > seen->own_bytes[upload] ? all_bytes - seen->own_bytes[upload] : 0;
    if (upload) {
        direction->idle_ns = direction->send_buffer_bytes = direction->rtt_min_ns = -1;
        return;
    }
    seen->idle_ns += part->idle_ns;
    direction->idle_ns = seen->idle_ns / (int64_t)direction->streams;
    if (part->send_buffer_bytes > direction->send_buffer_bytes)
        direction->send_buffer_bytes = part->send_buffer_bytes;
}
