// SPDX-License-Identifier: Apache-2.0
#include "probes/responsiveness/responsiveness.h"

#include "agent/base/message.h"
#include "probes/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNDER_WAY_MAX = 8,
    // Of one connection with its request on the wire, both directions, TCP and IPv6 headers included; with TLS also a
    // chain of certificates.
    PLAIN_BYTES = 1500,
    TLS_BYTES = 8000,
    SHARE_PERMILLE = 5, // of what the load moves: its rate is a figure too, and must not be another one for this
};
static const int64_t interval_min_ns = 200 * DK_NS_PER_MS;

struct connection {
    struct dk_probe_run *run;
    struct dk_transfer transfer;
    bool made; // `transfer` is ready for requests
    bool under_way;
};

struct dk_probe_run {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    struct dk_mono began, next;
    int64_t interval_ns;
    bool done;
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    char failure[DK_REASON_SIZE]; // of the last connection that failed
    int64_t sent, completed, failed;
    size_t room; // in `foreign`
    struct dk_foreign *foreign;
    struct connection connections[UNDER_WAY_MAX];
};

static int64_t bytes_each(const struct dk_plan *plan)
{
    return strncmp(plan->urls->small, "https:", 6) == 0 ? TLS_BYTES : PLAIN_BYTES;
}

static int64_t interval_ns(const struct dk_plan *plan)
{
    int64_t allowed_bps = plan->load_bps / 1000 * SHARE_PERMILLE;
    int64_t bits = bytes_each(plan) * 8;

    if (allowed_bps <= 0)
        return plan->duration_ns;

    int64_t interval = bits * DK_NS_PER_S / allowed_bps;

    return interval > interval_min_ns ? interval : interval_min_ns;
}

static void stop(struct dk_probe_run *run, enum dk_status status, const char *reason)
{
    if (run->done)
        return;
    run->done = true;
    run->status = status;
    snprintf(run->reason, sizeof run->reason, "%s", reason);
    dk_loop_clear_timer(run->loop, run);
    for (size_t i = 0; i < UNDER_WAY_MAX; i++)
        if (run->connections[i].made)
            dk_loop_remove_transfer(run->loop, run->connections[i].transfer.easy);
}

static int64_t info_ns(CURL *easy, CURLINFO info)
{
    curl_off_t value_us = 0;

    curl_easy_getinfo(easy, info, &value_us);
    return (int64_t)value_us * DK_NS_PER_US;
}

static void take_answer(struct dk_probe_run *run, const struct dk_transfer *transfer, struct dk_mono now)
{
    int64_t found_ns = info_ns(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T);
    int64_t connected_ns = info_ns(transfer->easy, CURLINFO_CONNECT_TIME_T);
    int64_t secured_ns = info_ns(transfer->easy, CURLINFO_APPCONNECT_TIME_T);
    // A full handshake: one round trip (RFC 8446 section 2), or two (RFC 5246 section 7.3).
    int64_t round_trips = strncmp(transfer->tls, "TLSv1.3", 7) == 0 ? 1 : 2;

    run->foreign[run->completed++] = (struct dk_foreign){
        .done_ns = dk_mono_diff_ns(now, run->plan->load_start),
        .tcp_ns = connected_ns - found_ns,
        .tls_ns = secured_ns > 0 ? (secured_ns - connected_ns) / round_trips : -1,
        .http_ns = dk_mono_diff_ns(now, transfer->requested),
    };
}

static void on_answer(void *argument, CURL *easy, CURLcode result)
{
    struct connection *connection = argument;
    struct dk_probe_run *run = connection->run;
    struct dk_mono now = dk_mono_now();

    (void)easy;
    connection->under_way = false;
    if (dk_transfer_succeeded(&connection->transfer, result)) {
        take_answer(run, &connection->transfer, now);
        return;
    }
    run->failed++;
    snprintf(run->failure, sizeof run->failure, "%s", connection->transfer.reason);
}

// Opens a connection of its own for one request, which no other transfer may use before or after. False when memory
// ran out.
static bool ask(struct connection *connection)
{
    const struct dk_plan *plan = connection->run->plan;

    if (!connection->made && dk_transfer_init(&connection->transfer, connection->run->loop, plan) != DK_OK)
        return false;
    connection->made = true;

    CURL *easy = connection->transfer.easy;

    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(plan->connect_timeout_ns / DK_NS_PER_MS));
    if (dk_transfer_small(&connection->transfer) != DK_OK ||
        dk_transfer_start(&connection->transfer, on_answer, connection) != DK_OK)
        return false;
    connection->under_way = true;
    connection->run->sent++;
    return true;
}

static void on_timer(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;

    // With all of them under way the line is too slow for more.
    for (size_t i = 0; i < UNDER_WAY_MAX && (size_t)run->sent < run->room; i++)
        if (!run->connections[i].under_way) {
            if (!ask(&run->connections[i])) {
                stop(run, DK_STATUS_FAILED, "out of memory");
                return;
            }
            break;
        }
    run->next = dk_mono_add_ns(run->next, run->interval_ns);
    if (dk_mono_diff_ns(now, run->next) >= 0)
        run->next = dk_mono_add_ns(now, run->interval_ns);
    if (dk_loop_set_timer(run->loop, run->next, on_timer, run) != DK_OK)
        stop(run, DK_STATUS_FAILED, "the loop is full");
}

static void responsiveness_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    stop(run, DK_STATUS_FAILED, "");
    for (size_t i = 0; i < UNDER_WAY_MAX; i++)
        if (run->connections[i].made)
            dk_transfer_free(&run->connections[i].transfer);
    free(run->foreign);
    free(run);
}

static size_t most_connections(const struct dk_plan *plan)
{
    return (size_t)(plan->duration_ns / interval_min_ns) + 1;
}

static enum dk_err responsiveness_start(struct dk_loop *loop, const struct dk_plan *plan,
                                        const struct dk_measurement *measured, struct dk_probe_run **out,
                                        struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);

    (void)measured;
    if (run != NULL) {
        run->room = most_connections(plan);
        run->foreign = calloc(run->room, sizeof *run->foreign);
    }
    if (run == NULL || run->foreign == NULL) {
        free(run);
        return dk_fail(fault, DK_ERR_MEMORY, "responsiveness", NULL, "out of memory");
    }
    run->loop = loop;
    run->plan = plan;
    run->interval_ns = interval_ns(plan);
    run->began = run->next = dk_mono_now();
    for (size_t i = 0; i < UNDER_WAY_MAX; i++)
        run->connections[i].run = run;
    if (dk_loop_set_timer(loop, run->next, on_timer, run) != DK_OK)
        stop(run, DK_STATUS_FAILED, "the loop is full");
    *out = run;
    return DK_OK;
}

static bool responsiveness_done(const struct dk_probe_run *run)
{
    return run->done;
}

static void responsiveness_cancel(struct dk_probe_run *run, const char *reason)
{
    stop(run, DK_STATUS_FAILED, reason);
}

// What is under way would end on a line that is idle again.
static void responsiveness_conclude(struct dk_probe_run *run)
{
    stop(run, DK_STATUS_OK, "");
}

static int64_t responsiveness_max_bytes(const struct dk_plan *plan)
{
    return (int64_t)most_connections(plan) * bytes_each(plan);
}

static int64_t responsiveness_max_duration_ns(const struct dk_plan *plan)
{
    return plan->duration_ns;
}

static void responsiveness_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = dk_probe_responsiveness.name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = run->plan->duration_ns,
        .bytes = run->sent * bytes_each(run->plan),
    };
}

static void responsiveness_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    struct dk_responsiveness *to = dk_measurement_responsiveness(out, run->plan->phase);

    to->status = run->status;
    snprintf(to->reason, sizeof to->reason, "%s", run->reason);
    if (to->status == DK_STATUS_OK && run->completed == 0 && run->failed > 0) {
        to->status = DK_STATUS_FAILED;
        snprintf(to->reason, sizeof to->reason, "no new connection was answered: %.150s", run->failure);
    }
    to->interval_ns = run->interval_ns;
    to->sent = run->sent;
    to->completed = run->completed;
    to->failed = run->failed;
    to->unfinished = run->sent - run->completed - run->failed;
    to->bytes = run->sent * bytes_each(run->plan);
    free(to->foreign);
    to->foreign = run->foreign;
    run->foreign = NULL;
    out->data_used_bytes += to->bytes;
}

const struct dk_probe dk_probe_responsiveness = {
    .name = "responsiveness",
    .help = N_("round trips a minute under load, by new connections and by the streams themselves"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = responsiveness_max_bytes,
    .max_duration_ns = responsiveness_max_duration_ns,
    .start = responsiveness_start,
    .done = responsiveness_done,
    .cancel = responsiveness_cancel,
    .conclude = responsiveness_conclude,
    .progress = responsiveness_progress,
    .fill = responsiveness_fill,
    .free = responsiveness_free,
};
