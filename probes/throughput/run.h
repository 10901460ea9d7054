// SPDX-License-Identifier: Apache-2.0
//
// What stream.c and throughput.c share: one direction under way, and its streams.
#pragma once

#include "probes/conditions.h"
#include "probes/measurement.h"
#include "probes/throughput/drain.h"
#include "probes/throughput/feed.h"
#include "probes/throughput/growth.h"
#include "probes/throughput/held.h"
#include "probes/throughput/payload.h"
#include "probes/throughput/sampler.h"
#include "probes/transfer.h"

enum dk_run_phase { PHASE_WARM_UP, PHASE_TIMED, PHASE_DONE };

struct dk_stream {
    struct dk_probe_run *run;
    struct dk_transfer transfer;
    int64_t before_bytes;    // payload of the requests of the timed phase that are complete
    int64_t tcp_base_bytes;  // went to this connection before the body of the current request; -1: not known yet
    size_t payload_at;       // where the next upload bytes come from
    int64_t connection_bytes; // payload of the complete requests of the timed phase on this connection
    bool used_up;   // the connection was drained: the next request opens another
    bool answered;  // upload: the answer is here, but not all of the request is acknowledged
    bool warming;   // has still to be warmed up
    bool on_loop;
    bool draining; // libcurl is paused; `drain` counts what arrives
    bool feeding;  // libcurl is paused; `feed` sends what it would
    struct dk_drain drain;
    struct dk_feed feed;
    struct dk_held held;
    int64_t excess_bytes; // of the connections before this one
};

struct dk_probe_run {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    bool upload;
    enum dk_run_phase phase;
    bool drain_lost;  // once a connection's records could not be followed, libcurl reads
    size_t cheap, costly; // connections by how their payload went through the device
    size_t ready; // streams whose warm-up is complete
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    bool refused; // the last transfer that failed was
    enum dk_stop stop;
    struct dk_mono begun; // of the warm-up
    struct dk_sampler sampler;
    struct dk_self self; // what the streams say of their round-trip time; room for all of the test
    struct dk_conditions_watch conditions;
    struct dk_mono next_look;
    struct dk_tcp_stream tcp[DK_STREAMS_MAX];
    struct dk_payload payload; // upload
    struct dk_transfer_certificate certificate;
    struct dk_growth growth;
    size_t streams_count; // that take part
    size_t streams_added; // that are being warmed up, after these
    size_t added_ready;   // of them
    size_t streams_max;
    struct dk_stream streams[];
};

// Sends the stream's next request: of the warm-up while it is warming, else of the test.
enum dk_err dk_stream_request(struct dk_stream *stream);

// The connection is used up: what it moved is kept, and the stream asks again on a new one.
void dk_stream_request_again(struct dk_stream *stream);

// Discards what has arrived at a stream that is draining.
void dk_stream_pump(struct dk_stream *stream);

// What the stream has moved since the common start.
struct dk_moved dk_stream_moved(struct dk_stream *stream);

// For a request of the timed phase, at its end or the test's. False when connections were opened under the test.
bool dk_stream_is_kept(struct dk_stream *stream);

// Ends what was done on the connection in libcurl's place.
void dk_stream_give_back(struct dk_stream *stream);

// throughput.c: ends the direction without a rate.
__attribute__((format(printf, 2, 3))) void dk_run_fail(struct dk_probe_run *run, const char *format, ...);

// throughput.c: the warm-up of `stream` is over; `reason` says why it failed, NULL: it did not.
void dk_run_warmed_up(struct dk_probe_run *run, const char *reason);
