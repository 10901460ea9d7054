// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/throughput.h"

#include "probes/conditions.h"
#include "probes/stats.h"
#include "probes/throughput/drain.h"
#include "probes/throughput/feed.h"
#include "probes/throughput/flow.h"
#include "probes/throughput/held.h"
#include "probes/throughput/payload.h"
#include "probes/throughput/sampler.h"
#include "probes/throughput/stop.h"
#include "probes/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MIN_BYTES = 1 << 20,  // a server that has less cannot be measured with: requests would dominate
    // A connection that was taken from libcurl cannot be used for another request: the body has to be worth it.
    CHEAP_MIN_BYTES = 90 << 20,
    COSTLY_MIN_BYTES = 1 << 20, // libcurl reads the beginning of every body
    CONNECTION_MIN_BYTES = 16 << 20, // a connection has to last: opening new ones would be measured
    TLS_RECORD_BYTES = 16384, // of payload, when full
};
static const int64_t sample_interval_ns = 50 * DK_NS_PER_MS;
static const int64_t grace_ns = 2 * DK_NS_PER_S;

enum phase { PHASE_WARM_UP, PHASE_TIMED, PHASE_DONE };

struct stream {
    struct dk_probe_run *run;
    struct dk_transfer transfer;
    int64_t before_bytes;    // payload of the requests of the timed phase that are complete
    int64_t tcp_base_bytes;  // went to this connection before the body of the current request; -1: not known yet
    size_t payload_at;       // where the next upload bytes come from
    int64_t connection_bytes; // payload of the complete requests of the timed phase on this connection
    bool used_up;   // the connection was drained: the next request opens another
    bool answered;  // upload: the answer is here, but not all of the request is acknowledged
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
    enum phase phase;
    bool drain_lost;  // once a connection's records could not be followed, libcurl reads
    size_t cheap, costly; // connections by how their payload went through the device
    size_t ready; // streams whose warm-up is complete
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    bool refused;
    enum dk_stop stop;
    struct dk_mono begun; // of the warm-up
    struct dk_sampler sampler;
    struct dk_conditions_watch conditions;
    struct dk_mono next_look;
    struct dk_tcp_stream tcp[DK_STREAMS_MAX];
    struct dk_payload payload; // upload
    struct dk_transfer_certificate certificate;
    size_t streams_count;
    struct stream streams[];
};

// Ends what was done on the connection in libcurl's place.
static void give_back(struct stream *stream)
{
    if (stream->draining || stream->feeding)
        stream->run->cheap++;
    else if (stream->run->phase == PHASE_TIMED &&
             stream->transfer.sent_bytes + stream->transfer.body_bytes > COSTLY_MIN_BYTES)
        stream->run->costly++;
    if (stream->draining)
        dk_loop_unwatch(stream->run->loop, stream->drain.fd);
    if (stream->feeding)
        dk_loop_unwatch(stream->run->loop, stream->feed.fd);
    dk_loop_clear_timer(stream->run->loop, stream);
    stream->draining = stream->feeding = false;
}

static void take_off(struct dk_probe_run *run)
{
    dk_loop_clear_timer(run->loop, run);
    for (size_t s = 0; s < run->streams_count; s++) {
        struct stream *stream = &run->streams[s];

        give_back(stream);
        dk_tcp_info(stream->on_loop ? stream->transfer.socket : -1, &run->tcp[s]);
        if (stream->on_loop)
            dk_transfer_abort_on_close(&stream->transfer);
        dk_loop_remove_transfer(run->loop, stream->transfer.easy);
        stream->on_loop = false;
    }
    dk_conditions_stop(&run->conditions);
    run->phase = PHASE_DONE;
}

__attribute__((format(printf, 2, 3))) static void fail(struct dk_probe_run *run, const char *format, ...)
{
    va_list arguments;

    if (run->phase == PHASE_DONE)
        return;
    va_start(arguments, format);
    vsnprintf(run->reason, sizeof run->reason, format, arguments);
    va_end(arguments);
    run->status = DK_STATUS_FAILED;
    take_off(run);
}

// The share of payload in `bytes` of a connection, in full TLS records (SSL_write splits at 16 KiB).
static int64_t payload_share(const struct stream *stream, int64_t bytes)
{
    return bytes * TLS_RECORD_BYTES / (TLS_RECORD_BYTES + stream->transfer.tls_record_overhead_bytes);
}

// Payload this stream has moved since the common start: handed up by TCP, or acknowledged by the receiver's.
static int64_t moved_bytes(struct stream *stream)
{
    struct dk_transfer *transfer = &stream->transfer;

    if (!stream->run->upload)
        return stream->before_bytes + (stream->on_loop ? transfer->body_bytes : 0) +
               (stream->draining ? dk_drain_payload_bytes(&stream->drain) : 0);
    if (!stream->on_loop)
        return stream->before_bytes;

    struct dk_tcp_stream tcp;

    dk_tcp_info(transfer->socket, &tcp);
    if (tcp.acked_bytes < 0 || stream->tcp_base_bytes < 0)
        return stream->before_bytes;

    int64_t acked_bytes = tcp.acked_bytes - stream->tcp_base_bytes;

    // What the receiver has behind a gap came through too.
    if (tcp.sacked_segments > 0)
        acked_bytes += tcp.sacked_segments * tcp.mss_bytes;
    acked_bytes = payload_share(stream, acked_bytes);
    if (acked_bytes < 0)
        acked_bytes = 0;

    int64_t sent_bytes =
        stream->feeding ? transfer->urls->upload_bytes - stream->feed.left_bytes : transfer->sent_bytes;

    if (acked_bytes > sent_bytes)
        acked_bytes = sent_bytes;
    return stream->before_bytes + acked_bytes;
}

static struct dk_moved moved(struct stream *stream)
{
    struct dk_moved moved = {moved_bytes(stream), stream->excess_bytes, 0};
    struct dk_tcp_stream tcp;

    // Of an upload the receiver tells what it holds behind a gap; of a download we are the receiver.
    if (stream->run->upload || !stream->on_loop)
        return moved;
    dk_tcp_info(stream->transfer.socket, &tcp);
    moved.held_bytes = payload_share(stream, dk_held_look(&stream->held, tcp.data_segments_in, tcp.out_of_order_in,
                                                          tcp.received_bytes, tcp.receive_mss_bytes));
    moved.excess_bytes += payload_share(stream, stream->held.excess_bytes);
    return moved;
}

static void on_writable(void *argument, short events)
{
    struct stream *stream = argument;

    (void)events;
    switch (dk_feed_write(&stream->feed)) {
    case DK_FEED_WAITING:
        break;
    case DK_FEED_WHOLE:
        // look() asks again when the receiver has it all.
        dk_loop_unwatch(stream->run->loop, stream->feed.fd);
        break;
    case DK_FEED_FAILED:
        fail(stream->run, "a connection broke: %s", strerror(errno));
        break;
    }
}

// Without TLS the payload goes from a file to the connection and is never copied. libcurl has sent the request's
// headers by now, and goes on watching for the answer.
static bool feed(struct stream *stream)
{
    struct dk_probe_run *run = stream->run;

    if (run->payload.file < 0 || stream->transfer.urls->upload_bytes < CHEAP_MIN_BYTES ||
        stream->transfer.socket < 0 || stream->transfer.tls[0] != '\0' ||
        dk_loop_watch(run->loop, stream->transfer.socket, POLLOUT, on_writable, stream) != DK_OK)
        return false;
    stream->feed = (struct dk_feed){
        .fd = stream->transfer.socket,
        .file = run->payload.file,
        .file_bytes = DK_PAYLOAD_BYTES,
        .at = stream->payload_at,
        .left_bytes = stream->transfer.urls->upload_bytes,
    };
    stream->feeding = true;
    return true;
}

static size_t give_payload(void *argument, char *out, size_t size)
{
    struct stream *stream = argument;

    // The connection is known from here on: the request's headers are on it, its body is not.
    if (stream->tcp_base_bytes < 0) {
        stream->tcp_base_bytes = dk_tcp_queued_bytes(stream->transfer.socket);
        if (feed(stream))
            return CURL_READFUNC_PAUSE;
    }
    dk_payload_copy(&stream->run->payload, &stream->payload_at, out, size);
    return size;
}

static void on_transfer_end(void *argument, CURL *easy, CURLcode result);

static bool on_body_begins(void *argument);

static enum dk_err request(struct stream *stream)
{
    struct dk_probe_run *run = stream->run;
    enum dk_err err;

    stream->answered = false;
    stream->excess_bytes += payload_share(stream, stream->held.excess_bytes);
    stream->held = (struct dk_held){0};
    // Each stream opens its own: one that had its answer already would lend its connection to the next.
    curl_easy_setopt(stream->transfer.easy, CURLOPT_FRESH_CONNECT, run->phase == PHASE_WARM_UP ? 1L : 0L);
    if (run->phase == PHASE_WARM_UP) {
        err = run->upload ? dk_transfer_upload_nothing(&stream->transfer) : dk_transfer_small(&stream->transfer);
    } else if (run->upload) {
        stream->tcp_base_bytes = -1;
        err = dk_transfer_upload(&stream->transfer, give_payload, stream);
    } else {
        stream->transfer.on_body_begins = on_body_begins;
        stream->transfer.on_body_begins_argument = stream;
        err = dk_transfer_download(&stream->transfer);
    }
    if (err == DK_OK)
        err = dk_transfer_start(&stream->transfer, on_transfer_end, stream);
    stream->on_loop = err == DK_OK;
    return err;
}

// For a request of the timed phase, at its end or the test's. False when connections were opened under the test.
static bool connection_is_kept(struct stream *stream)
{
    const struct dk_transfer *transfer = &stream->transfer;
    long opened = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &opened);
    if (opened > 0 && !stream->used_up && stream->connection_bytes < CONNECTION_MIN_BYTES) {
        fail(stream->run, "the server does not keep connections open");
        return false;
    }
    stream->connection_bytes = (opened > 0 ? 0 : stream->connection_bytes) + transfer->body_bytes +
                               transfer->sent_bytes;
    stream->used_up = false;
    return true;
}

// The connection is used up: what it moved is kept, and the stream asks again on a new one.
static void request_again(struct stream *stream)
{
    if (!connection_is_kept(stream))
        return;
    stream->before_bytes = moved_bytes(stream);
    stream->used_up = stream->draining || stream->feeding;
    give_back(stream);
    dk_loop_remove_transfer(stream->run->loop, stream->transfer.easy);
    stream->on_loop = false;
    if (request(stream) != DK_OK)
        fail(stream->run, "out of memory");
}

static void pump(struct stream *stream)
{
    switch (dk_drain_read(&stream->drain)) {
    case DK_DRAIN_WAITING:
        dk_drain_set_low_water(&stream->drain);
        break;
    case DK_DRAIN_LOST:
        stream->run->drain_lost = true;
        [[fallthrough]];
    case DK_DRAIN_WHOLE:
        request_again(stream);
        break;
    case DK_DRAIN_CLOSED:
        fail(stream->run, "the server closed a connection with %" PRId64 " bytes still to come",
             stream->drain.body_left_bytes);
        break;
    case DK_DRAIN_FAILED:
        fail(stream->run, "a connection broke: %s", strerror(errno));
        break;
    }
}

static void on_readable(void *argument, short events)
{
    (void)events;
    pump(argument);
}

// Between two turns of libcurl, which is paused.
static void take_over(void *argument, struct dk_mono now)
{
    struct stream *stream = argument;
    struct dk_probe_run *run = stream->run;
    int64_t body_left_bytes = 0;

    (void)now;
    if (run->phase != PHASE_TIMED || !stream->on_loop || !dk_transfer_take_over(&stream->transfer, &body_left_bytes))
        return;
    dk_drain_begin(&stream->drain, stream->transfer.socket, body_left_bytes,
                   stream->transfer.tls_record_overhead_bytes);
    stream->draining = true;
    if (dk_loop_watch(run->loop, stream->drain.fd, POLLIN, on_readable, stream) != DK_OK)
        fail(run, "the loop is full");
    else
        pump(stream);
}

static bool on_body_begins(void *argument)
{
    struct stream *stream = argument;
    curl_off_t length_bytes = -1;

    curl_easy_getinfo(stream->transfer.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length_bytes);
    // Without room for the timer libcurl simply goes on reading.
    return stream->run->phase == PHASE_TIMED && length_bytes >= CHEAP_MIN_BYTES && !stream->run->drain_lost &&
           dk_loop_set_timer(stream->run->loop, dk_mono_now(), take_over, stream) == DK_OK;
}

static void look(void *argument, struct dk_mono now);

static void start_timed_phase(struct dk_probe_run *run)
{
    run->phase = PHASE_TIMED;
    dk_conditions_start(&run->conditions, run->plan->link);

    struct dk_mono now = dk_mono_now();

    dk_sampler_start(&run->sampler, now);
    run->next_look = dk_mono_add_ns(now, sample_interval_ns);
    for (size_t s = 0; s < run->streams_count; s++)
        if (request(&run->streams[s]) != DK_OK) {
            fail(run, "out of memory");
            return;
        }
    if (dk_loop_set_timer(run->loop, run->next_look, look, run) != DK_OK)
        fail(run, "the loop is full");
}

static int64_t moved_in_all(const struct dk_probe_run *run)
{
    int64_t bytes = 0;

    for (size_t s = 0; s < run->streams_count; s++)
        bytes += run->sampler.last_bytes[s];
    return bytes;
}

static void on_transfer_end(void *argument, CURL *easy, CURLcode result)
{
    struct stream *stream = argument;
    struct dk_probe_run *run = stream->run;

    (void)easy;
    if (!dk_transfer_succeeded(&stream->transfer, result)) {
        stream->on_loop = false;
        run->refused = stream->transfer.refused && moved_in_all(run) == 0;
        fail(run, "%s%s", run->phase == PHASE_WARM_UP ? "before the test: " : "", stream->transfer.reason);
        return;
    }
    if (run->phase == PHASE_WARM_UP) {
        stream->on_loop = false;
        if (++run->ready == run->streams_count)
            start_timed_phase(run);
        return;
    }
    if (!connection_is_kept(stream))
        return;
    if (run->upload) {
        if (stream->transfer.sent_bytes < stream->transfer.urls->upload_bytes) {
            fail(run, "the server answered before it had the whole upload");
            return;
        }
        // A server may answer before it reads (nginx does): look() asks again when the receiver has it all.
        stream->answered = dk_transfer_is_unacknowledged(&stream->transfer);
        if (stream->answered)
            return;
        stream->before_bytes += stream->transfer.sent_bytes;
    } else {
        stream->before_bytes += stream->transfer.body_bytes;
        if (stream->transfer.body_bytes < ANSWER_MIN_BYTES) {
            fail(run, "the server sent %" PRId64 " bytes where at least %d are needed",
                 stream->transfer.body_bytes, (int)ANSWER_MIN_BYTES);
            return;
        }
    }
    stream->on_loop = false;
    if (request(stream) != DK_OK)
        fail(run, "out of memory");
}

static void finish(struct dk_probe_run *run, enum dk_stop stop)
{
    if (moved_in_all(run) == 0) {
        fail(run, "no data came through in %" PRId64 " ms",
             dk_mono_diff_ns(run->sampler.last, run->sampler.start) / DK_NS_PER_MS);
        return;
    }
    for (size_t s = 0; s < run->streams_count; s++)
        if (run->streams[s].on_loop && !connection_is_kept(&run->streams[s]))
            return;
    run->status = DK_STATUS_OK;
    run->stop = stop;
    take_off(run);
}

// Over about the last second.
static int64_t recent_rate_bps(const struct dk_sampler *sampler, size_t stream)
{
    const int64_t *at_grid = sampler->at_grid + stream * sampler->count_max;
    size_t count = sampler->count, recent = count < 20 ? count : 20;

    if (recent == 0)
        return 0;

    int64_t bytes = at_grid[count - 1] - (count > recent ? at_grid[count - 1 - recent] : 0);

    return bytes * 8 * 1000 / ((int64_t)recent * (sampler->interval_ns / DK_NS_PER_MS));
}

// Whether what was seen so far is enough. Without memory for the sum the test goes on.
static bool may_stop(const struct dk_probe_run *run, enum dk_stop *out)
{
    const struct dk_plan *plan = run->plan;
    const struct dk_stop_rule rule = {plan->stop, plan->duration_ns, plan->precision_ppm,
                                      run->upload ? &plan->upload_thresholds : &plan->download_thresholds};
    struct dk_series total;

    if (plan->stop == DK_STOP_TIME || dk_sampler_total(&run->sampler, &total) != DK_OK)
        return false;

    bool stops = dk_stop_now(&total, &rule, out);

    free(total.bytes);
    return stops;
}

static void look(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;
    struct dk_moved bytes[DK_STREAMS_MAX];
    int64_t total_bytes = 0;

    dk_conditions_look(&run->conditions, run->next_look, now);
    // What waits in the sockets has arrived: a look must not depend on when the loop was woken.
    for (size_t s = 0; s < run->streams_count && run->phase == PHASE_TIMED; s++)
        if (run->streams[s].draining)
            pump(&run->streams[s]);
    if (run->phase != PHASE_TIMED)
        return;
    now = dk_mono_now();
    for (size_t s = 0; s < run->streams_count; s++) {
        struct stream *stream = &run->streams[s];

        bytes[s] = moved(stream);
        if ((stream->feeding && bytes[s].bytes == stream->before_bytes + stream->transfer.urls->upload_bytes) ||
            (stream->answered && !dk_transfer_is_unacknowledged(&stream->transfer)))
            request_again(stream);
        total_bytes += bytes[s].bytes;
    }
    dk_sampler_look(&run->sampler, now, bytes);
    if (run->sampler.count == run->sampler.count_max) {
        finish(run, DK_STOP_TIME);
        return;
    }
    if (total_bytes >= run->plan->max_bytes) {
        finish(run, DK_STOP_BUDGET);
        return;
    }
    enum dk_stop early;

    if (may_stop(run, &early)) {
        finish(run, early);
        return;
    }
    while (run->next_look.ns <= now.ns)
        run->next_look = dk_mono_add_ns(run->next_look, sample_interval_ns);
    if (dk_loop_set_timer(run->loop, run->next_look, look, run) != DK_OK)
        fail(run, "the loop is full");
}

static void probe_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    take_off(run);
    for (size_t s = 0; s < run->streams_count; s++)
        dk_transfer_free(&run->streams[s].transfer);
    dk_sampler_free(&run->sampler);
    dk_payload_free(&run->payload);
    free(run);
}

static void on_warm_up_timeout(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;

    fail(run, "before the test: no answer within %" PRId64 " ms", dk_mono_diff_ns(now, run->begun) / DK_NS_PER_MS);
}

static enum dk_err prepare(struct dk_probe_run *run)
{
    enum dk_err err = dk_sampler_init(&run->sampler, run->streams_count, sample_interval_ns, run->plan->duration_ns);

    if (err == DK_OK && run->upload)
        err = dk_payload_make(&run->payload);
    if (err != DK_OK)
        return err;
    for (size_t s = 0; s < run->streams_count; s++) {
        run->streams[s].run = run;
        run->streams[s].payload_at = s * DK_PAYLOAD_STEP_BYTES % DK_PAYLOAD_BYTES;
        err = dk_transfer_init(&run->streams[s].transfer, run->loop, run->plan);
        run->streams[s].transfer.certificate = &run->certificate;
        if (err == DK_OK)
            err = request(&run->streams[s]);
        if (err != DK_OK)
            return err;
    }
    return dk_loop_set_timer(run->loop, dk_mono_add_ns(run->begun, run->plan->connect_timeout_ns),
                             on_warm_up_timeout, run);
}

static enum dk_err start(bool upload, struct dk_loop *loop, const struct dk_plan *plan,
                         struct dk_probe_run **out, struct dk_fault *fault)
{
    size_t count = (size_t)plan->streams;
    struct dk_probe_run *run = calloc(1, sizeof *run + count * sizeof run->streams[0]);

    if (run == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    run->loop = loop;
    run->plan = plan;
    run->upload = upload;
    run->payload.file = -1;
    run->streams_count = count;
    run->begun = dk_mono_now();

    enum dk_err err = prepare(run);

    if (err != DK_OK) {
        probe_free(run);
        return dk_fail(fault, err, upload ? "upload" : "download", NULL, "cannot start: %s", dk_err_text(err));
    }
    *out = run;
    return DK_OK;
}

static enum dk_err start_download(struct dk_loop *loop, const struct dk_plan *plan,
                                  const struct dk_measurement *measured, struct dk_probe_run **out,
                                  struct dk_fault *fault)
{
    (void)measured;
    return start(false, loop, plan, out, fault);
}

static enum dk_err start_upload(struct dk_loop *loop, const struct dk_plan *plan,
                                const struct dk_measurement *measured, struct dk_probe_run **out,
                                struct dk_fault *fault)
{
    (void)measured;
    return start(true, loop, plan, out, fault);
}

static int64_t probe_max_bytes(const struct dk_plan *plan)
{
    return plan->max_bytes;
}

static int64_t probe_max_duration_ns(const struct dk_plan *plan)
{
    return plan->connect_timeout_ns + plan->duration_ns + grace_ns;
}

static bool probe_done(const struct dk_probe_run *run)
{
    return run->phase == PHASE_DONE;
}

static void probe_cancel(struct dk_probe_run *run, const char *reason)
{
    fail(run, "%s", reason);
}

static void probe_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    const struct dk_sampler *sampler = &run->sampler;

    *out = (struct dk_progress){.probe = run->upload ? "upload" : "download", .duration_ns = run->plan->duration_ns};
    if (run->phase == PHASE_WARM_UP)
        return;
    out->elapsed_ns = dk_mono_diff_ns(sampler->last, sampler->start);
    for (size_t s = 0; s < run->streams_count; s++) {
        out->bytes += sampler->last_bytes[s];
        out->rate_bps += recent_rate_bps(sampler, s);
    }
}

static void probe_fill(struct dk_probe_run *run, struct dk_measurement *measurement)
{
    struct dk_throughput *out = run->upload ? &measurement->upload : &measurement->download;

    out->status = run->status;
    out->refused = run->refused;
    snprintf(out->reason, sizeof out->reason, "%s", run->reason);
    out->streams = (int64_t)run->streams_count;
    out->stop = run->stop;
    out->path = run->cheap == 0   ? DK_PATH_COPIED
                : run->costly > 0 ? DK_PATH_MIXED
                : run->upload     ? DK_PATH_SENDFILE
                                  : DK_PATH_DRAINED;
    out->conditions = run->conditions.result;
    memcpy(out->tcp, run->tcp, run->streams_count * sizeof out->tcp[0]);
    measurement->data_used_bytes += moved_in_all(run);
    dk_conditions_own(&out->conditions, run->upload ? 0 : moved_in_all(run), run->upload ? moved_in_all(run) : 0,
                      run->tcp, run->streams_count);
    if (dk_sampler_series(&run->sampler, &out->series) != DK_OK) {
        out->status = DK_STATUS_FAILED;
        snprintf(out->reason, sizeof out->reason, "out of memory");
        return;
    }
    if (out->status == DK_STATUS_OK && !dk_flow_is_sound(&out->series, out->reason))
        out->status = DK_STATUS_FAILED;
    if (!dk_stats_rates(&out->series, dk_stats_ramp_up_intervals(&out->series), out) &&
        out->status == DK_STATUS_OK) {
        out->status = DK_STATUS_INVALID;
        snprintf(out->reason, sizeof out->reason, "too short for a steady rate");
    }
}

const struct dk_probe dk_probe_download = {
    .name = "download",
    .help = "download rate over parallel HTTP(S) connections",
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = probe_max_bytes,
    .max_duration_ns = probe_max_duration_ns,
    .start = start_download,
    .done = probe_done,
    .cancel = probe_cancel,
    .progress = probe_progress,
    .fill = probe_fill,
    .free = probe_free,
};

const struct dk_probe dk_probe_upload = {
    .name = "upload",
    .help = "upload rate over parallel HTTP(S) connections, counted by what the receiver acknowledged",
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = probe_max_bytes,
    .max_duration_ns = probe_max_duration_ns,
    .start = start_upload,
    .done = probe_done,
    .cancel = probe_cancel,
    .progress = probe_progress,
    .fill = probe_fill,
    .free = probe_free,
};
