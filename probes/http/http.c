// SPDX-License-Identifier: Apache-2.0
#include "probes/http/http.h"

#include "agent/base/message.h"
#include "probes/gap.h"
#include "probes/interface.h"
#include "probes/stats.h"
#include "probes/transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX_BYTES = 65536,
    EXCHANGE_BYTES = 2048, // of a small request and its answer on the wire, TLS records and TCP headers included
    CONNECTION_BYTES = 16384, // of opening a connection, with a chain of certificates
};

// Requests one after another: the first opens the connection and is never timed.
struct dk_probe_run {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    struct dk_transfer transfer;
    size_t wanted;  // timed requests
    size_t sent;    // timed requests begun
    bool connected; // the untimed first request was answered
    bool waiting;   // for the answer to a request
    bool done;
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    struct dk_mono began; // the request under way
    struct dk_mono next;  // when the next one is to be sent
    struct dk_server server;
    int64_t *send_late_ns; // [wanted], behind rtt_ns
    int64_t rtt_ns[];      // [wanted], −1 = lost
};

static void stop(struct dk_probe_run *run, enum dk_status status, const char *reason)
{
    if (run->done)
        return;
    run->done = true;
    run->status = status;
    snprintf(run->reason, sizeof run->reason, "%s", reason);
    dk_loop_clear_timer(run->loop, run);
    dk_loop_remove_transfer(run->loop, run->transfer.easy);
}

static void on_answer(void *argument, CURL *easy, CURLcode result);
static void on_timeout(void *argument, struct dk_mono now);

static void request(struct dk_probe_run *run)
{
    int64_t timeout_ns = run->connected ? run->plan->latency_timeout_ns : run->plan->connect_timeout_ns;

    run->began = dk_mono_now();
    run->waiting = true;
    if (dk_transfer_small(&run->transfer) != DK_OK ||
        dk_transfer_start(&run->transfer, on_answer, run) != DK_OK ||
        dk_loop_set_timer(run->loop, dk_mono_add_ns(run->began, timeout_ns), on_timeout, run) != DK_OK)
        stop(run, DK_STATUS_FAILED, "out of memory");
}

static void send_next(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;

    run->send_late_ns[run->sent++] = dk_mono_diff_ns(now, run->next);
    request(run);
}

static void on_timeout(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;
    char reason[DK_REASON_SIZE];

    snprintf(reason, sizeof reason, "no answer within %" PRId64 " ms",
             dk_mono_diff_ns(now, run->began) / DK_NS_PER_MS);
    if (!run->connected) {
        stop(run, DK_STATUS_FAILED, reason);
        return;
    }
    // The kept connection is lost with the request: going on over a new one would time its opening.
    stop(run, run->sent > 1 ? DK_STATUS_OK : DK_STATUS_FAILED, reason);
}

static int64_t info_ns(CURL *easy, CURLINFO info)
{
    curl_off_t value_us = 0;

    curl_easy_getinfo(easy, info, &value_us);
    return (int64_t)value_us * DK_NS_PER_US;
}

static void note_server(struct dk_probe_run *run, CURL *easy)
{
    const char *address = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address != NULL)
        snprintf(run->server.address, sizeof run->server.address, "%s", address);
    if (info_ns(easy, CURLINFO_CONNECT_TIME_T) > 0)
        run->server.connect_ns = info_ns(easy, CURLINFO_CONNECT_TIME_T) - info_ns(easy, CURLINFO_NAMELOOKUP_TIME_T);
    run->server.resolve_ns = info_ns(easy, CURLINFO_NAMELOOKUP_TIME_T);
    if (info_ns(easy, CURLINFO_APPCONNECT_TIME_T) > 0)
        run->server.tls_ns = info_ns(easy, CURLINFO_APPCONNECT_TIME_T) - info_ns(easy, CURLINFO_CONNECT_TIME_T);
    run->server.access_ns = info_ns(easy, CURLINFO_STARTTRANSFER_TIME_T);
    if (run->server.access_ns > 0)
        run->server.first_byte_ns = run->server.access_ns - info_ns(easy, CURLINFO_PRETRANSFER_TIME_T);
    snprintf(run->server.tls, sizeof run->server.tls, "%s", run->transfer.tls);
}

static void on_answer(void *argument, CURL *easy, CURLcode result)
{
    struct dk_probe_run *run = argument;
    bool first = !run->connected;
    long connections = 0;

    dk_loop_clear_timer(run->loop, run);
    run->waiting = false;
    if (first)
        note_server(run, easy);
    if (!dk_transfer_succeeded(&run->transfer, result)) {
        stop(run, first || run->sent <= 1 ? DK_STATUS_FAILED : DK_STATUS_OK, run->transfer.reason);
        return;
    }
    run->connected = true;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    if (!first && connections > 0) {
        stop(run, DK_STATUS_FAILED, "the server does not keep connections open");
        return;
    }
    if (!first)
        run->rtt_ns[run->sent - 1] = dk_mono_diff_ns(run->transfer.answered, run->transfer.requested);
    if (run->sent == run->wanted) {
        stop(run, DK_STATUS_OK, "");
        return;
    }
    run->next = dk_mono_add_ns(run->began, dk_gap_ns(run->plan->latency_sampling, run->plan->latency_interval_ns));
    if (dk_loop_set_timer(run->loop, run->next, send_next, run) != DK_OK)
        stop(run, DK_STATUS_FAILED, "the loop is full");
}

static void probe_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    stop(run, DK_STATUS_FAILED, "");
    dk_transfer_free(&run->transfer);
    free(run);
}

static enum dk_err start(size_t wanted, struct dk_loop *loop, const struct dk_plan *plan,
                         struct dk_probe_run **out, struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run + 2 * wanted * sizeof run->rtt_ns[0]);

    if (run == NULL || dk_transfer_init(&run->transfer, loop, plan) != DK_OK) {
        free(run);
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    }
    run->loop = loop;
    run->plan = plan;
    run->wanted = wanted;
    run->send_late_ns = run->rtt_ns + wanted;
    run->server.connect_ns = -1;
    run->server.kind = plan->urls->kind;
    for (size_t i = 0; i < wanted; i++)
        run->rtt_ns[i] = -1;
    request(run);
    *out = run;
    return DK_OK;
}

static enum dk_err start_reach(struct dk_loop *loop, const struct dk_plan *plan,
                               const struct dk_measurement *measured, struct dk_probe_run **out,
                               struct dk_fault *fault)
{
    char reason[DK_REASON_SIZE];
    enum dk_err err = start(0, loop, plan, out, fault);

    (void)measured;
    if (err == DK_OK && plan->interface[0] != '\0' &&
        dk_interface_trouble(plan->interface, plan->family, reason, sizeof reason))
        stop(*out, DK_STATUS_FAILED, reason);
    return err;
}

static enum dk_err start_latency(struct dk_loop *loop, const struct dk_plan *plan,
                                 const struct dk_measurement *measured, struct dk_probe_run **out,
                                 struct dk_fault *fault)
{
    (void)measured;
    return start((size_t)plan->latency_count, loop, plan, out, fault);
}

static bool probe_done(const struct dk_probe_run *run)
{
    return run->done;
}

static void probe_cancel(struct dk_probe_run *run, const char *reason)
{
    stop(run, DK_STATUS_FAILED, reason);
}

static void probe_conclude(struct dk_probe_run *run)
{
    if (run->done)
        return;
    run->wanted = run->sent;
    if (run->sent == 0)
        stop(run, DK_STATUS_NOT_MEASURED, "there was no time for a request");
    else if (!run->waiting)
        stop(run, DK_STATUS_OK, "");
}

static void progress_reach(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = "reach",
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
    };
}

static void progress_latency(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = "latency",
        .elapsed_ns = (int64_t)run->sent * run->plan->latency_interval_ns,
        .duration_ns = (int64_t)run->wanted * run->plan->latency_interval_ns,
    };
}

static int64_t used_bytes(const struct dk_probe_run *run)
{
    return CONNECTION_BYTES + (int64_t)run->sent * EXCHANGE_BYTES;
}

static void fill_reach(struct dk_probe_run *run, struct dk_measurement *out)
{
    out->server = run->server;
    out->server.status = run->status;
    // What was asked for may be what is in the way.
    snprintf(out->server.reason, sizeof out->server.reason, "%.180s%s", run->reason,
             run->status == DK_STATUS_OK           ? ""
             : run->plan->family == DK_FAMILY_IPV4 ? " (IPv4 only)"
             : run->plan->family == DK_FAMILY_IPV6 ? " (IPv6 only)"
                                                   : "");
    out->data_used_bytes += used_bytes(run);
}

static void fill_latency(struct dk_probe_run *run, struct dk_measurement *out)
{
    size_t size = run->sent * sizeof run->rtt_ns[0];
    struct dk_latency latency = {
        .status = run->status,
        .method = DK_METHOD_HTTP,
        .sampling = run->plan->latency_sampling,
        .interval_ns = run->plan->latency_interval_ns,
        .timeout_ns = run->plan->latency_timeout_ns,
        .series_ns = malloc(size + 1),
    };

    snprintf(latency.reason, sizeof latency.reason, "%s", run->reason);
    if (latency.series_ns != NULL)
        memcpy(latency.series_ns, run->rtt_ns, size);
    out->data_used_bytes += used_bytes(run);
    dk_stats_send_late(run->send_late_ns, run->sent, &latency);
    if (dk_stats_latency(run->rtt_ns, run->sent, &latency) != DK_OK || latency.series_ns == NULL) {
        latency.status = DK_STATUS_FAILED;
        snprintf(latency.reason, sizeof latency.reason, "out of memory");
    } else if (latency.status == DK_STATUS_OK && latency.received == 0) {
        latency.status = DK_STATUS_FAILED;
    }
    dk_measurement_take_latency(out, run->plan->phase, &latency);
}

static int64_t max_bytes_reach(const struct dk_plan *plan)
{
    (void)plan;
    return CONNECTION_BYTES + ANSWER_MAX_BYTES;
}

static int64_t max_bytes_latency(const struct dk_plan *plan)
{
    return CONNECTION_BYTES + plan->latency_count * EXCHANGE_BYTES;
}

static int64_t max_duration_reach(const struct dk_plan *plan)
{
    return plan->connect_timeout_ns + DK_NS_PER_S;
}

static int64_t max_duration_latency(const struct dk_plan *plan)
{
    int64_t each_ns = plan->latency_interval_ns > plan->latency_timeout_ns ? plan->latency_interval_ns
                                                                            : plan->latency_timeout_ns;

    if (plan->latency_sampling == DK_SAMPLING_POISSON) // what a random interval has more than the longest of the two
        each_ns += 2 * plan->latency_interval_ns;
    return plan->connect_timeout_ns + plan->latency_count * each_ns + 30 * plan->latency_interval_ns + DK_NS_PER_S;
}

const struct dk_probe dk_probe_reach = {
    .name = "reach",
    .help = N_("whether the reference server answers, and at which address"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = max_bytes_reach,
    .max_duration_ns = max_duration_reach,
    .start = start_reach,
    .done = probe_done,
    .cancel = probe_cancel,
    .progress = progress_reach,
    .fill = fill_reach,
    .free = probe_free,
};

const struct dk_probe dk_probe_http_latency = {
    .name = "http",
    .help = N_("round-trip time of small HTTP requests on a kept connection"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = max_bytes_latency,
    .max_duration_ns = max_duration_latency,
    .start = start_latency,
    .done = probe_done,
    .cancel = probe_cancel,
    .conclude = probe_conclude,
    .progress = progress_latency,
    .fill = fill_latency,
    .free = probe_free,
};
