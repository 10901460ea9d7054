// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/base/message.h"
#include "probes/datagram.h"
#include "probes/ping/echo.h"
#include "probes/ping/ping.h"
#include "probes/rounds.h"
#include "probes/socket.h"

enum {
    TURN_DATAGRAMS = 64,
    WIRE_BYTES = DK_ECHO_SIZE + 40, // with the IPv6 header
    GATEWAY_COUNT = 10,
    ECHO_REPLY = 0,
    RAW_ICMP_FILTER = 1, // ICMP_FILTER of raw(7); <linux/icmp.h> does not go with <net/if.h>
};

struct dk_probe_run {
    struct dk_rounds rounds;
    struct dk_plan plan; // of the rounds
    const struct dk_probe *probe;
    int fd;
    bool ipv6;
    bool raw;       // gets the answers to everybody's pings, on IPv4 with the IP header
    int send_error; // errno of the last packet the kernel did not take; 0 when it took all
    struct dk_mono began;
    struct dk_sendings sendings;
    struct dk_instant last; // when a packet was sent or read
    uint16_t identifier;    // the kernel puts another one where the socket is not raw
    uint64_t token;
    char peer[DK_SOCKET_NAME_SIZE]; // for a reason
};

static void stop(void *argument)
{
    struct dk_probe_run *run = argument;

    if (run->fd >= 0)
        dk_loop_unwatch(run->rounds.loop, run->fd);
}

static void fail(struct dk_probe_run *run, const char *why)
{
    char reason[DK_REASON_SIZE];

    snprintf(reason, sizeof reason, "ICMP: %.180s", why);
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, reason);
}

static void finish_unanswered(void *argument)
{
    struct dk_probe_run *run = argument;
    char reason[DK_REASON_SIZE];

    snprintf(reason, sizeof reason, "%s does not answer ICMP echo requests%s%s", run->peer,
             run->send_error != 0 ? ": " : "", run->send_error != 0 ? strerror(run->send_error) : "");
    dk_rounds_finish(&run->rounds, run->rounds.optional ? DK_STATUS_NOT_MEASURED : DK_STATUS_FAILED, reason);
}

static void send_request(void *argument, size_t number)
{
    struct dk_probe_run *run = argument;
    struct dk_echo echo = {run->identifier, (uint32_t)number, run->token};
    uint8_t wire[DK_ECHO_SIZE];
    ssize_t taken = -1;

    dk_echo_put_request(&echo, run->ipv6, wire);
    // What ICMP said of an earlier packet is reported instead of sending: then the packet is sent anew.
    for (int attempt = 0; attempt < 2 && taken < 0; attempt++) {
        run->last = dk_instant_now();
        taken = send(run->fd, wire, sizeof wire, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0)
            run->send_error = errno;
    }

    struct dk_mono sent_at = run->last.mono;
    bool kernel = dk_datagram_sent(run->fd, &run->sendings, run->last, &sent_at) && taken >= 0;

    dk_rounds_sent_at(&run->rounds, number, sent_at, kernel);
}

static void take_answer(struct dk_probe_run *run, const struct dk_datagram *datagram)
{
    struct dk_echo echo = {0};
    // A kernel timestamp taken before somebody set the clock would be carried over wrongly.
    bool kernel = datagram->kernel && dk_instants_agree(run->last, datagram->read);

    run->last = datagram->read;
    if (datagram->truncated ||
        !dk_echo_get_answer(datagram->data, datagram->len, run->ipv6, run->raw && !run->ipv6, &echo) ||
        echo.token != run->token || echo.number >= run->rounds.sent ||
        (run->raw && echo.identifier != run->identifier)) {
        // A raw socket also gets what answers others on this machine.
        run->rounds.result.foreign += !run->raw;
        return;
    }
    dk_rounds_answered(&run->rounds, echo.number, kernel ? datagram->received_at : datagram->read.mono, kernel, 0);
}

static void receive(void *argument)
{
    struct dk_probe_run *run = argument;
    struct dk_datagram datagram;

    for (int i = 0; i < TURN_DATAGRAMS; i++) {
        int got = dk_datagram_receive(run->fd, &datagram);

        if (got == 0)
            break;
        if (got > 0)
            take_answer(run, &datagram);
        else
            run->send_error = errno;
    }
    dk_rounds_check(&run->rounds);
}

static void on_readable(void *argument, short events)
{
    struct dk_probe_run *run = argument;

    if ((events & POLLERR) != 0)
        dk_datagram_forget(run->fd);
    receive(run);
}

static const struct dk_rounds_carrier carrier = {send_request, receive, finish_unanswered, stop};

static int open_as(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

// A raw socket that lets echo answers through only. -1 with errno.
static int open_raw(int family)
{
    int fd = open_as(family, SOCK_RAW);

    if (fd >= 0 && family == AF_INET6) {
        struct icmp6_filter filter;

        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        (void)setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    } else if (fd >= 0) {
        uint32_t blocked = ~(UINT32_C(1) << ECHO_REPLY);

        (void)setsockopt(fd, SOL_RAW, RAW_ICMP_FILTER, &blocked, sizeof blocked);
    }
    return fd;
}

// One that was opened before: without what it has from an earlier use, and counting packets from 0 again.
static int reuse_raw(int opened)
{
    int off = 0;
    char scrap[1];

    (void)setsockopt(opened, SOL_SOCKET, SO_TIMESTAMPING, &off, sizeof off);
    dk_datagram_forget(opened);
    while (recv(opened, scrap, sizeof scrap, MSG_DONTWAIT) >= 0 || errno == EINTR)
        continue;
    return fcntl(opened, F_DUPFD_CLOEXEC, 0);
}

// A ping socket, else a raw one. -1 with errno.
static int open_socket(int family, const struct dk_raw_sockets *opened, bool *raw)
{
    int ready = opened == NULL ? -1 : family == AF_INET6 ? opened->icmp6 : opened->icmp;
    int fd = open_as(family, SOCK_DGRAM);

    *raw = fd < 0;
    if (fd >= 0)
        return fd;
    return ready >= 0 ? reuse_raw(ready) : open_raw(family);
}

struct dk_raw_sockets dk_icmp_open_raw(void)
{
    int ping = open_as(AF_INET, SOCK_DGRAM);

    if (ping < 0)
        return (struct dk_raw_sockets){open_raw(AF_INET), open_raw(AF_INET6)};
    close(ping);
    return (struct dk_raw_sockets){-1, -1};
}

void dk_icmp_close_raw(struct dk_raw_sockets *raw)
{
    if (raw->icmp >= 0)
        close(raw->icmp);
    if (raw->icmp6 >= 0)
        close(raw->icmp6);
    *raw = (struct dk_raw_sockets){-1, -1};
}

// Opens the socket to the peer; what is wrong is the result.
static void begin(struct dk_probe_run *run, const char *peer)
{
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    char reason[DK_REASON_SIZE];

    if (!dk_socket_address(peer, 0, &address, &len)) {
        dk_rounds_finish(&run->rounds, DK_STATUS_NOT_MEASURED,
                         run->probe == &dk_probe_gateway ? "there is no gateway on the way to the server"
                                                         : "the server was not reached and has no address to ping");
        return;
    }
    run->ipv6 = address.ss_family == AF_INET6;
    // A record does not tell the addresses of the user's own network.
    if (run->probe == &dk_probe_gateway)
        snprintf(run->peer, sizeof run->peer, "the gateway");
    else
        dk_socket_describe((struct sockaddr *)&address, len, run->peer);
    run->fd = open_socket(address.ss_family, run->rounds.plan->raw, &run->raw);
    if (run->fd < 0 && (errno == EPERM || errno == EACCES)) {
        dk_rounds_finish(&run->rounds, DK_STATUS_NOT_MEASURED,
                         "ICMP is not allowed: setcap cap_net_raw+ep on the program, or the sysctl "
                         "net.ipv4.ping_group_range, allows it");
        return;
    }
    if (!dk_datagram_open(run->fd, run->rounds.plan->interface, (struct sockaddr *)&address, len, reason,
                          sizeof reason))
        fail(run, run->probe == &dk_probe_gateway ? "the gateway cannot be reached" : reason);
    else if (dk_loop_watch(run->rounds.loop, run->fd, POLLIN, on_readable, run) != DK_OK)
        fail(run, "loop: no free slot");
    else
        dk_rounds_begin(&run->rounds);
}

static void icmp_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, "");
    if (run->fd >= 0)
        close(run->fd);
    dk_rounds_free(&run->rounds);
    free(run);
}

static enum dk_err start(const struct dk_probe *probe, struct dk_loop *loop, const struct dk_plan *plan,
                         const char *peer, struct dk_probe_run **out, struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);

    if (run != NULL)
        run->plan = *plan;
    if (run == NULL || dk_rounds_init(&run->rounds, loop, &run->plan, DK_METHOD_ICMP, &carrier, run) != DK_OK) {
        free(run);
        return dk_fail(fault, DK_ERR_MEMORY, probe->name, NULL, "out of memory");
    }
    run->probe = probe;
    run->fd = -1;
    run->began = dk_mono_now();
    run->rounds.optional = probe == &dk_probe_gateway || plan->latency_method != DK_METHOD_ICMP;
    if (getrandom(&run->token, sizeof run->token, 0) != (ssize_t)sizeof run->token) {
        icmp_free(run);
        return dk_fail(fault, DK_ERR_INTERNAL, probe->name, NULL, "no randomness");
    }
    run->identifier = (uint16_t)(run->token >> 48);
    begin(run, peer);
    *out = run;
    return DK_OK;
}

static enum dk_err icmp_start(struct dk_loop *loop, const struct dk_plan *plan, const struct dk_measurement *measured,
                              struct dk_probe_run **out, struct dk_fault *fault)
{
    return start(&dk_probe_icmp, loop, plan, measured->server.address, out, fault);
}

// What is sent to the gateway does not depend on what is sent to the server.
static struct dk_plan gateway_plan(const struct dk_plan *plan)
{
    struct dk_plan out = *plan;

    out.phase = DK_PHASE_GATEWAY;
    out.latency_count = GATEWAY_COUNT;
    out.latency_interval_ns = 20 * DK_NS_PER_MS;
    out.latency_timeout_ns = DK_NS_PER_S;
    return out;
}

static enum dk_err gateway_start(struct dk_loop *loop, const struct dk_plan *plan,
                                 const struct dk_measurement *measured, struct dk_probe_run **out,
                                 struct dk_fault *fault)
{
    struct dk_plan own = gateway_plan(plan);
    bool is_server = strcmp(plan->gateway, measured->server.address) == 0; // then nothing lies between

    return start(&dk_probe_gateway, loop, &own, is_server ? "" : plan->gateway, out, fault);
}

static bool icmp_done(const struct dk_probe_run *run)
{
    return run->rounds.done;
}

static void icmp_cancel(struct dk_probe_run *run, const char *reason)
{
    dk_rounds_finish(&run->rounds, DK_STATUS_FAILED, reason);
}

static void icmp_conclude(struct dk_probe_run *run)
{
    dk_rounds_conclude(&run->rounds);
}

static int64_t icmp_max_bytes(const struct dk_plan *plan)
{
    return plan->latency_count * 2 * WIRE_BYTES;
}

static int64_t gateway_max_bytes(const struct dk_plan *plan)
{
    struct dk_plan own = gateway_plan(plan);

    return icmp_max_bytes(&own);
}

static int64_t gateway_max_duration_ns(const struct dk_plan *plan)
{
    struct dk_plan own = gateway_plan(plan);

    return dk_rounds_max_duration_ns(&own);
}

static void icmp_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = run->probe->name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = (int64_t)run->rounds.wanted * run->rounds.interval_ns,
        .bytes = ((int64_t)run->rounds.sent + run->rounds.answered) * WIRE_BYTES,
    };
}

static void icmp_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    const struct dk_latency *r = &run->rounds.result;

    dk_rounds_fill(&run->rounds, out);
    out->data_used_bytes += (r->sent + r->received + r->duplicate + r->late + r->foreign) * WIRE_BYTES;
}

const struct dk_probe dk_probe_icmp = {
    .name = "icmp",
    .help = N_("round-trip times of ICMP echo requests"),
    .privilege = DK_PRIVILEGE_PING,
    .max_bytes = icmp_max_bytes,
    .max_duration_ns = dk_rounds_max_duration_ns,
    .start = icmp_start,
    .done = icmp_done,
    .cancel = icmp_cancel,
    .conclude = icmp_conclude,
    .progress = icmp_progress,
    .fill = icmp_fill,
    .free = icmp_free,
};

const struct dk_probe dk_probe_gateway = {
    .name = "gateway",
    .help = N_("round-trip times of ICMP echo requests to the gateway"),
    .privilege = DK_PRIVILEGE_PING,
    .max_bytes = gateway_max_bytes,
    .max_duration_ns = gateway_max_duration_ns,
    .start = gateway_start,
    .done = icmp_done,
    .cancel = icmp_cancel,
    .conclude = icmp_conclude,
    .progress = icmp_progress,
    .fill = icmp_fill,
    .free = icmp_free,
};
