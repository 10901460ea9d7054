// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/parse.h"
#include "agent/base/message.h"
#include "probes/ping/ping.h"
#include "probes/rounds.h"
#include "probes/socket.h"

enum {
    OPEN_MAX_HANDSHAKES = 32,
    OPEN_MEAN_HANDSHAKES = 12, // with random intervals: more than 32 at a time then are as good as never
    WIRE_BYTES = 7 * 80, // of a handshake and the closing, with IPv6 headers
};

struct handshake {
    struct dk_probe_run *run;
    size_t number;
    int fd; // -1: none
};

struct dk_probe_run {
    struct dk_rounds rounds;
    int error; // errno of the last attempt that failed; 0 while none has
    struct dk_mono began;
    struct sockaddr_storage address;
    socklen_t address_len;
    char peer[DK_SOCKET_NAME_SIZE];
    struct handshake handshakes[OPEN_MAX_HANDSHAKES]; // that of number n is n modulo their number
};

uint16_t dk_ping_port(const char *url)
{
    bool tls = strncmp(url, "https://", 8) == 0;
    const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : tls ? url + 8 : NULL;
    char text[6] = "";
    int64_t port = 0;

    if (host == NULL)
        return 0;

    size_t len = strcspn(host, "/?#");
    size_t name = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
    size_t colon = host[0] == '[' ? name + 1 : name;

    if (name >= len || colon >= len)
        return tls ? 443 : 80;
    if (host[colon] != ':' || len - colon - 1 >= sizeof text)
        return 0;
    memcpy(text, host + colon + 1, len - colon - 1);
    return dk_parse_i64(text, 1, UINT16_MAX, &port) ? (uint16_t)port : 0;
}

static void close_handshake(struct handshake *handshake)
{
    if (handshake->fd < 0)
        return;
    dk_loop_unwatch(handshake->run->rounds.loop, handshake->fd);
    close(handshake->fd);
    handshake->fd = -1;
}

static void stop(void *argument)
{
    struct dk_probe_run *run = argument;

    for (size_t i = 0; i < OPEN_MAX_HANDSHAKES; i++)
        close_handshake(&run->handshakes[i]);
}

static void finish_unanswered(void *argument)
{
    struct dk_probe_run *run = argument;
    char reason[DK_REASON_SIZE];

    snprintf(reason, sizeof reason, "no TCP connection to %s%s%s", run->peer, run->error != 0 ? ": " : "",
             run->error != 0 ? strerror(run->error) : "");
    dk_rounds_finish(&run->rounds, run->rounds.optional ? DK_STATUS_NOT_MEASURED : DK_STATUS_FAILED, reason);
}

// The connection is there: the kernel knows how long its handshake took.
static void take_handshake(struct dk_probe_run *run, const struct handshake *handshake)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(handshake->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_total_retrans) + sizeof info.tcpi_total_retrans || info.tcpi_rtt == 0)
        dk_rounds_answered(&run->rounds, handshake->number, dk_mono_now(), false, 0);
    else if (info.tcpi_total_retrans == 0) // else nobody can tell what was answered; the first one was lost
        dk_rounds_answered_after(&run->rounds, handshake->number, (int64_t)info.tcpi_rtt * DK_NS_PER_US);
}

static void on_connected(void *argument, short events)
{
    struct handshake *handshake = argument;
    struct dk_probe_run *run = handshake->run;
    int error = 0;
    socklen_t len = sizeof error;

    (void)events;
    if (getsockopt(handshake->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0)
        take_handshake(run, handshake);
    else
        run->error = error;
    close_handshake(handshake);
    dk_rounds_check(&run->rounds);
    if (!run->rounds.done && run->rounds.optional && error == ECONNREFUSED && run->rounds.answered == 0)
        finish_unanswered(run);
}

// Begins a connection; what is wrong with it is lost.
static void send_syn(void *argument, size_t number)
{
    struct dk_probe_run *run = argument;
    struct handshake *handshake = &run->handshakes[number % OPEN_MAX_HANDSHAKES];
    const char *interface = run->rounds.plan->interface;
    int family = run->address.ss_family;

    close_handshake(handshake); // older than the timeout
    handshake->number = number;
    handshake->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (handshake->fd < 0 ||
        (interface[0] != '\0' && !dk_socket_bind_interface(handshake->fd, interface, family))) {
        run->error = errno;
        close_handshake(handshake);
        return;
    }
    dk_rounds_sent_at(&run->rounds, number, dk_mono_now(), false);
    if ((connect(handshake->fd, (struct sockaddr *)&run->address, run->address_len) != 0 && errno != EINPROGRESS) ||
        dk_loop_watch(run->rounds.loop, handshake->fd, POLLOUT, on_connected, handshake) != DK_OK) {
        run->error = errno;
        close_handshake(handshake);
    }
}

static const struct dk_rounds_carrier carrier = {send_syn, NULL, finish_unanswered, stop};

static int64_t interval_ns(const struct dk_plan *plan)
{
    bool random = plan->latency_sampling == DK_SAMPLING_POISSON;
    int64_t least_ns = plan->latency_timeout_ns / (random ? OPEN_MEAN_HANDSHAKES : OPEN_MAX_HANDSHAKES) + 1;

    return plan->latency_interval_ns > least_ns ? plan->latency_interval_ns : least_ns;
}

static void tcp_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, "");
    dk_rounds_free(&run->rounds);
    free(run);
}

static enum dk_err tcp_start(struct dk_loop *loop, const struct dk_plan *plan, const struct dk_measurement *measured,
                             struct dk_probe_run **out, struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);
    uint16_t port = dk_ping_port(plan->url);

    if (run == NULL || dk_rounds_init(&run->rounds, loop, plan, DK_METHOD_TCP, &carrier, run) != DK_OK) {
        free(run);
        return dk_fail(fault, DK_ERR_MEMORY, "tcp", NULL, "out of memory");
    }
    for (size_t i = 0; i < OPEN_MAX_HANDSHAKES; i++)
        run->handshakes[i] = (struct handshake){run, 0, -1};
    run->began = dk_mono_now();
    run->rounds.interval_ns = interval_ns(plan);
    run->rounds.optional = plan->latency_method != DK_METHOD_TCP;
    if (port == 0 || !dk_socket_address(measured->server.address, port, &run->address, &run->address_len)) {
        dk_rounds_finish(&run->rounds, DK_STATUS_NOT_MEASURED, "the server was not reached and has no address");
    } else {
        dk_socket_describe((struct sockaddr *)&run->address, run->address_len, run->peer);
        dk_rounds_begin(&run->rounds);
    }
    *out = run;
    return DK_OK;
}

static bool tcp_done(const struct dk_probe_run *run)
{
    return run->rounds.done;
}

static void tcp_cancel(struct dk_probe_run *run, const char *reason)
{
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, reason);
}

static void tcp_conclude(struct dk_probe_run *run)
{
    dk_rounds_conclude(&run->rounds);
}

static int64_t tcp_max_bytes(const struct dk_plan *plan)
{
    return plan->latency_count * WIRE_BYTES;
}

static int64_t tcp_max_duration_ns(const struct dk_plan *plan)
{
    return dk_rounds_max_duration_ns(plan) + 2 * plan->latency_count * (interval_ns(plan) - plan->latency_interval_ns);
}

static void tcp_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = dk_probe_tcp.name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = (int64_t)run->rounds.wanted * run->rounds.interval_ns,
        .bytes = (int64_t)run->rounds.sent * WIRE_BYTES,
    };
}

static void tcp_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    dk_rounds_fill(&run->rounds, out);
    out->data_used_bytes += run->rounds.result.sent * WIRE_BYTES;
}

const struct dk_probe dk_probe_tcp = {
    .name = "tcp",
    .help = N_("round-trip times of TCP handshakes"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = tcp_max_bytes,
    .max_duration_ns = tcp_max_duration_ns,
    .start = tcp_start,
    .done = tcp_done,
    .cancel = tcp_cancel,
    .conclude = tcp_conclude,
    .progress = tcp_progress,
    .fill = tcp_fill,
    .free = tcp_free,
};
