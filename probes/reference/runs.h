// SPDX-License-Identifier: Apache-2.0
//
// What the server saw of runs: a table of fixed size, from which its word is made. A run belongs to the client that
// named it first; nobody else can add to it, nor ask for it.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/record/word.h"
#include "probes/stamp/peer.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DK_RUNS_MAX = 1024,
    DK_RUNS_CLIENT_MAX = 16, // of one client
    DK_RUN_KEPT_S = 600,     // after it was named last
    DK_RUN_WORDS_MAX = 4,    // that are signed for one
};

struct dk_runs;

// What a connection, or the server, has moved, headers included.
struct dk_moved {
    int64_t sent_bytes, received_bytes; // acknowledged, received
};

// What a connection has newly done for a run.
struct dk_seen_part {
    int64_t bytes;       // payload
    struct dk_mono last; // when the last of it moved
    int64_t rtt_ns, rtt_min_ns;
    int64_t idle_ns, send_buffer_bytes; // download only
};

// One run. An entry with connections is never given to another.
struct dk_seen {
    struct dk_word word;
    uint64_t prefix; // of its client
    struct dk_mono named, download_start, upload_start;
    struct dk_moved all_at_start[2]; // what the server had moved when a direction began: download, upload
    int64_t own_bytes[2];            // of what it has moved since: this run's
    int64_t idle_ns;                 // of all streams of the download
    int connections;
    int words; // that were given
    bool used;
};

// Errors: MEMORY.
enum dk_err dk_runs_new(struct dk_runs **out, struct dk_fault *fault);
void dk_runs_free(struct dk_runs *runs); // NULL is fine

// The run called `id` of the client `peer`; NULL when there is none. Borrowed until the next dk_runs_name(), or for as
// long as it has connections.
struct dk_seen *dk_runs_find(struct dk_runs *runs, const char *id, const struct dk_peer *peer, struct dk_mono now);

// The same, made when there is none; the client's oldest, or one that is over, or the oldest of all is forgotten for
// it. NULL when `id` is no run's id, is another client's, or there is no room.
struct dk_seen *dk_runs_name(struct dk_runs *runs, const char *id, const struct dk_peer *peer, struct dk_mono now);

// Adds to a stream of the run; a part without bytes changes nothing. `stream` is below DK_STREAMS_MAX, `all` what the
// server has moved by now.
void dk_seen_add(struct dk_seen *seen, bool upload, size_t stream, const struct dk_seen_part *part,
                 const struct dk_moved *all);

// The first request of a direction was here at `now`, when the server had moved `all`; later ones change nothing.
void dk_seen_begin(struct dk_seen *seen, bool upload, struct dk_mono now, struct dk_wall date,
                   const struct dk_moved *all);
