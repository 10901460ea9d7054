// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/throughput.h"

#include "agent/base/message.h"
#include "probes/stats.h"
#include "probes/throughput/flow.h"
#include "probes/throughput/run.h"
#include "probes/throughput/stop.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const int64_t sample_interval_ns = 50 * DK_NS_PER_MS;
static const int64_t self_interval_ns = 200 * DK_NS_PER_MS;
static const int64_t grace_ns = 2 * DK_NS_PER_S;

// Those that do not take part yet never will: a server need not let in more.
static void drop_added(struct dk_probe_run *run)
{
    for (; run->streams_added > 0; run->streams_added--) {
        struct dk_stream *stream = &run->streams[run->streams_count + run->streams_added - 1];

        dk_loop_remove_transfer(run->loop, stream->transfer.easy);
        dk_transfer_free(&stream->transfer);
    }
    run->growth.next_ns = INT64_MAX;
}

static void take_off(struct dk_probe_run *run)
{
    dk_loop_clear_timer(run->loop, run);
    drop_added(run);
    for (size_t s = 0; s < run->streams_count; s++) {
        struct dk_stream *stream = &run->streams[s];

        dk_stream_give_back(stream);
        dk_tcp_info(stream->on_loop ? stream->transfer.socket : -1, &run->tcp[s]);
        if (stream->on_loop)
            dk_transfer_abort_on_close(&stream->transfer);
        dk_loop_remove_transfer(run->loop, stream->transfer.easy);
        stream->on_loop = false;
    }
    dk_conditions_stop(&run->conditions);
    run->phase = PHASE_DONE;
}

void dk_run_fail(struct dk_probe_run *run, const char *format, ...)
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

static void look(void *argument, struct dk_mono now);

static void start_timed_phase(struct dk_probe_run *run)
{
    run->phase = PHASE_TIMED;
    dk_conditions_start(&run->conditions, run->plan->link);

    struct dk_mono now = dk_mono_now();

    dk_sampler_start(&run->sampler, now);
    run->growth = dk_growth_make((int64_t)run->streams_max, run->plan->duration_ns);
    run->next_look = dk_mono_add_ns(now, sample_interval_ns);
    for (size_t s = 0; s < run->streams_count; s++)
        if (dk_stream_request(&run->streams[s]) != DK_OK) {
            dk_run_fail(run, "out of memory");
            return;
        }
    if (dk_loop_set_timer(run->loop, run->next_look, look, run) != DK_OK)
        dk_run_fail(run, "the loop is full");
}

void dk_run_warmed_up(struct dk_probe_run *run, const char *reason)
{
    if (run->phase == PHASE_TIMED) {
        if (reason == NULL)
            run->added_ready++;
        else
            run->growth.next_ns = INT64_MIN; // look() drops them: one of them is calling
        return;
    }
    if (reason != NULL)
        dk_run_fail(run, "before the test: %s", reason);
    else if (++run->ready == run->streams_count)
        start_timed_phase(run);
}

static bool warm_up(struct dk_probe_run *run, size_t s)
{
    struct dk_stream *stream = &run->streams[s];

    *stream = (struct dk_stream){
        .run = run, .warming = true, .payload_at = s * DK_PAYLOAD_STEP_BYTES % DK_PAYLOAD_BYTES};
    if (dk_transfer_init(&stream->transfer, run->loop, run->plan) != DK_OK)
        return false;
    stream->transfer.certificate = &run->certificate;
    if (run->plan->urls->word[0] != '\0' && run->plan->run[0] != '\0' &&
        dk_transfer_identify(&stream->transfer, run->plan->run, s) != DK_OK)
        return false;
    return dk_stream_request(stream) == DK_OK;
}

// Those that were added take part when all of them are warmed up.
static bool join(struct dk_probe_run *run, struct dk_mono now)
{
    int64_t now_ns = dk_mono_diff_ns(now, run->sampler.start);
    size_t last = run->streams_count + run->streams_added;

    for (size_t s = run->streams_count; s < last; s++) {
        run->sampler.joined_ns[s] = now_ns;
        if (dk_stream_request(&run->streams[s]) != DK_OK)
            return false;
    }
    run->sampler.streams = run->streams_count = last;
    run->streams_added = 0;
    dk_growth_joined(&run->growth, now_ns);
    return true;
}

// Adds streams while that raises the rate. False when memory ran out.
static bool grow(struct dk_probe_run *run, struct dk_mono now)
{
    int64_t now_ns = dk_mono_diff_ns(now, run->sampler.start), rate_bps = 0;
    size_t window = (size_t)(DK_GROWTH_WINDOW_NS / sample_interval_ns);
    struct dk_tcp_stream tcp[DK_STREAMS_MAX];
    struct dk_series total;

    if (run->streams_added > 0) {
        if (run->growth.next_ns == INT64_MIN || now_ns > run->plan->duration_ns / 20 * 9)
            drop_added(run);
        return run->streams_added == 0 || run->added_ready < run->streams_added || join(run, now);
    }
    if (now_ns < run->growth.next_ns || run->sampler.count < window)
        return true;
    if (dk_sampler_total(&run->sampler, &total) != DK_OK)
        return false;
    for (size_t i = total.count - window; i < total.count; i++)
        rate_bps += total.bytes[i] * (8 * DK_NS_PER_S / DK_GROWTH_WINDOW_NS);
    free(total.bytes);
    for (size_t s = 0; s < run->streams_count; s++)
        dk_tcp_info(run->streams[s].on_loop ? run->streams[s].transfer.socket : -1, &tcp[s]);

    size_t more = dk_growth_decide(&run->growth, now_ns, rate_bps, tcp, run->streams_count, run->upload);

    for (run->added_ready = 0; run->streams_added < more;) {
        run->streams_added++;
        if (!warm_up(run, run->streams_count + run->streams_added - 1)) {
            drop_added(run);
            break;
        }
    }
    return true;
}

static int64_t moved_in_all(const struct dk_probe_run *run)
{
    int64_t bytes = 0;

    for (size_t s = 0; s < run->streams_count; s++)
        bytes += run->sampler.last_bytes[s];
    return bytes;
}

static void finish(struct dk_probe_run *run, enum dk_stop stop)
{
    if (moved_in_all(run) == 0) {
        dk_run_fail(run, "no data came through in %" PRId64 " ms",
             dk_mono_diff_ns(run->sampler.last, run->sampler.start) / DK_NS_PER_MS);
        return;
    }
    for (size_t s = 0; s < run->streams_count; s++)
        if (run->streams[s].on_loop && !dk_stream_is_kept(&run->streams[s]))
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

// One stream, chosen at random, says what it takes for its round-trip time (draft-ietf-ippm-responsiveness,
// "Measuring Responsiveness": in the place of requests within it, which HTTP/1.1 cannot have). It does not notice.
static void look_at_round_trip(struct dk_probe_run *run, struct dk_mono now)
{
    size_t k = (size_t)(dk_mono_diff_ns(now, run->sampler.start) / self_interval_ns);
    struct dk_tcp_stream tcp;
    uint32_t random = 0;

    if (k < run->self.count || k >= (size_t)(run->plan->duration_ns / self_interval_ns) + 1 ||
        getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        return;

    const struct dk_stream *stream = &run->streams[random % run->streams_count];

    dk_tcp_info(stream->on_loop ? stream->transfer.socket : -1, &tcp);

    int64_t rtt_ns = run->upload ? tcp.rtt_ns : tcp.receive_rtt_ns;

    while (run->self.count < k)
        run->self.rtt_ns[run->self.count++] = -1;
    run->self.rtt_ns[run->self.count++] = rtt_ns > 0 ? rtt_ns : -1;
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
            dk_stream_pump(&run->streams[s]);
    if (run->phase != PHASE_TIMED)
        return;
    now = dk_mono_now();
    for (size_t s = 0; s < run->streams_count; s++) {
        struct dk_stream *stream = &run->streams[s];

        bytes[s] = dk_stream_moved(stream);
        if ((stream->feeding && bytes[s].bytes == stream->before_bytes + stream->transfer.urls->upload_bytes) ||
            (stream->answered && !dk_transfer_is_unacknowledged(&stream->transfer)))
            dk_stream_request_again(stream);
        total_bytes += bytes[s].bytes;
    }
    dk_sampler_look(&run->sampler, now, bytes);
    look_at_round_trip(run, now);
    if (run->sampler.count == run->sampler.count_max) {
        finish(run, DK_STOP_TIME);
        return;
    }
    if (!grow(run, now)) {
        dk_run_fail(run, "out of memory");
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
        dk_run_fail(run, "the loop is full");
}

static void probe_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    take_off(run);
    for (size_t s = 0; s < run->streams_count; s++)
        dk_transfer_free(&run->streams[s].transfer);
    dk_sampler_free(&run->sampler);
    free(run->self.rtt_ns);
    dk_payload_free(&run->payload);
    free(run);
}

static void on_warm_up_timeout(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;

    dk_run_fail(run, "before the test: no answer within %" PRId64 " ms",
                dk_mono_diff_ns(now, run->begun) / DK_NS_PER_MS);
}

static enum dk_err prepare(struct dk_probe_run *run)
{
    enum dk_err err = dk_sampler_init(&run->sampler, run->streams_max, sample_interval_ns, run->plan->duration_ns);

    run->self.interval_ns = self_interval_ns;
    run->self.rtt_ns = malloc(((size_t)(run->plan->duration_ns / self_interval_ns) + 1) * sizeof *run->self.rtt_ns);
    if (run->self.rtt_ns == NULL)
        err = DK_ERR_MEMORY;
    if (err == DK_OK && run->upload)
        err = dk_payload_make(&run->payload);
    if (err != DK_OK)
        return err;
    run->sampler.streams = run->streams_count;
    for (size_t s = 0; s < run->streams_count; s++)
        if (!warm_up(run, s))
            return DK_ERR_MEMORY;
    return dk_loop_set_timer(run->loop, dk_mono_add_ns(run->begun, run->plan->connect_timeout_ns),
                             on_warm_up_timeout, run);
}

static enum dk_err start(bool upload, struct dk_loop *loop, const struct dk_plan *plan,
                         struct dk_probe_run **out, struct dk_fault *fault)
{
    size_t count = (size_t)plan->streams;
    size_t max = plan->streams_max > plan->streams ? (size_t)plan->streams_max : count;
    struct dk_probe_run *run = calloc(1, sizeof *run + max * sizeof run->streams[0]);

    if (run == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    run->loop = loop;
    run->plan = plan;
    run->upload = upload;
    run->payload.file = -1;
    run->streams_count = count;
    run->streams_max = max;
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
    dk_run_fail(run, "%s", reason);
}

static void probe_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    const struct dk_sampler *sampler = &run->sampler;

    *out = (struct dk_progress){.probe = run->upload ? "upload" : "download", .duration_ns = run->plan->duration_ns};
    if (run->phase == PHASE_WARM_UP)
        return;
    out->start = sampler->start;
    out->elapsed_ns = dk_mono_diff_ns(sampler->last, sampler->start);
    for (size_t s = 0; s < run->streams_count; s++) {
        out->bytes += sampler->last_bytes[s];
        out->rate_bps += recent_rate_bps(sampler, s);
    }
}

static void probe_fill(struct dk_probe_run *run, struct dk_measurement *measurement)
{
    struct dk_throughput *out = run->upload ? &measurement->upload : &measurement->download;

    struct dk_self *self = run->upload ? &measurement->responsiveness_upload.self
                                       : &measurement->responsiveness_download.self;

    free(self->rtt_ns);
    *self = run->self;
    run->self = (struct dk_self){0};
    out->status = run->status;
    out->refused = run->refused && moved_in_all(run) == 0;
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
    .help = N_("download rate over parallel HTTP(S) connections"),
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
    .help = N_("upload rate over parallel HTTP(S) connections, counted by what the receiver acknowledged"),
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
