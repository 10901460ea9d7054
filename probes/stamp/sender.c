// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probes/resolve.h"
#include "probes/stamp/datagram.h"
#include "probes/stamp/packet.h"
#include "probes/stamp/stamp.h"
#include "probes/stats.h"

enum {
    TURN_DATAGRAMS = 64,
    WIRE_BYTES = DK_STAMP_SIZE + 8 + 40, // with UDP and IPv6 headers
    PEER_SIZE = INET6_ADDRSTRLEN + 16,
};

// An optional reflector that has not answered by now is not there.
static const int64_t give_up_ns = 600 * DK_NS_PER_MS;

struct packet {
    struct dk_mono sent_at;
    uint64_t timestamp; // as sent; an answer must bring it back
};

struct dk_probe_run {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    struct dk_resolution *resolution;
    int fd;
    bool optional;
    bool done;
    bool refused;   // ICMP said that nobody listens
    int send_error; // errno of the last packet the kernel did not take; 0 when it took all
    char peer[PEER_SIZE];
    struct dk_mono began;
    struct dk_mono next_send;
    size_t wanted, sent;
    int64_t answered;
    int64_t highest; // sequence number answered so far; -1
    uint16_t error_estimate;
    struct dk_latency result;
    struct packet *packets; // [wanted]
    int64_t *rtt_ns;        // [wanted], -1 = lost
};

static void finish(struct dk_probe_run *run, enum dk_status status, const char *reason)
{
    if (run->done)
        return;
    run->done = true;
    if (run->fd >= 0)
        dk_loop_unwatch(run->loop, run->fd);
    dk_loop_clear_timer(run->loop, run);
    if (dk_stats_latency(run->rtt_ns, run->sent, &run->result) != DK_OK) {
        status = DK_STATUS_FAILED;
        reason = "out of memory";
    }
    run->result.status = status;
    snprintf(run->result.reason, sizeof run->result.reason, "%s", reason);
}

static void fail(struct dk_probe_run *run, const char *what, const char *why)
{
    char reason[DK_REASON_SIZE];

    snprintf(reason, sizeof reason, "STAMP: %s: %s", what, why);
    finish(run, DK_STATUS_FAILED, reason);
}

// The end of a run in which nobody answered.
static void finish_unanswered(struct dk_probe_run *run)
{
    char reason[DK_REASON_SIZE];
    const char *why = run->send_error != 0 ? strerror(run->send_error)
                      : run->refused       ? "connection refused"
                                           : "";

    snprintf(reason, sizeof reason, "no STAMP reflector answered at %s%s%s", run->peer,
             why[0] != '\0' ? ": " : "", why);
    finish(run, run->optional ? DK_STATUS_NOT_MEASURED : DK_STATUS_FAILED, reason);
}

// RFC 8762 section 4.2.1: one packet, stamped as late as can be.
static void send_packet(struct dk_probe_run *run)
{
    struct packet *packet = &run->packets[run->sent];
    struct dk_stamp_request request = {.sequence = (uint32_t)run->sent,
                                       .error_estimate = run->error_estimate};
    uint8_t wire[DK_STAMP_SIZE];
    ssize_t taken = -1;

    // What ICMP said of an earlier packet is reported instead of sending: then the packet is sent anew.
    for (int attempt = 0; attempt < 2 && taken < 0; attempt++) {
        packet->sent_at = dk_mono_now();
        packet->timestamp = request.timestamp = dk_stamp_from_wall(dk_wall_now());
        dk_stamp_put_request(&request, wire);
        taken = send(run->fd, wire, sizeof wire, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0 && errno == ECONNREFUSED)
            run->refused = true;
        else if (taken < 0)
            run->send_error = errno;
    }
    run->sent++;
}

// RTT = (T4 − T1) − (T3 − T2); a reflector's T3 − T2 that cannot be is not believed.
static int64_t round_trip_ns(const struct packet *packet, const struct dk_stamp_answer *answer,
                             struct dk_mono received_at)
{
    int64_t whole_ns = dk_mono_diff_ns(received_at, packet->sent_at);
    int64_t held_ns = dk_stamp_between_ns(answer->timestamp, answer->received, answer->error_estimate);

    if (whole_ns < 0) // the kernel's time of arrival comes from another clock and is exact to about 1 µs
        whole_ns = 0;
    return held_ns >= 0 && held_ns <= whole_ns ? whole_ns - held_ns : whole_ns;
}

static void take_answer(struct dk_probe_run *run, const struct dk_datagram *datagram)
{
    struct dk_stamp_answer answer = {0};

    if (datagram->truncated || !dk_stamp_get_answer(datagram->data, datagram->len, &answer) ||
        answer.sender_sequence >= run->sent ||
        answer.sender_timestamp != run->packets[answer.sender_sequence].timestamp) {
        run->result.foreign++;
        return;
    }

    size_t sequence = answer.sender_sequence;
    const struct packet *packet = &run->packets[sequence];

    if (run->rtt_ns[sequence] >= 0) {
        run->result.duplicate++;
        return;
    }
    if (dk_mono_diff_ns(datagram->received_at, packet->sent_at) > run->plan->latency_timeout_ns) {
        run->result.late++;
        return;
    }
    if ((int64_t)sequence < run->highest)
        run->result.reordered++;
    else
        run->highest = (int64_t)sequence;
    run->rtt_ns[sequence] = round_trip_ns(packet, &answer, datagram->received_at);
    run->answered++;
}

static void on_readable(void *argument, short events)
{
    struct dk_probe_run *run = argument;
    struct dk_datagram datagram;

    (void)events;
    for (int i = 0; i < TURN_DATAGRAMS; i++) {
        int got = dk_datagram_receive(run->fd, &datagram);

        if (got == 0)
            break;
        if (got > 0)
            take_answer(run, &datagram);
        else if (errno == ECONNREFUSED)
            run->refused = true;
    }
    if (run->sent == run->wanted && run->answered == (int64_t)run->wanted)
        finish(run, DK_STATUS_OK, "");
    else if (run->optional && run->refused && run->answered == 0)
        finish_unanswered(run);
}

// When the timer has work: the next packet, the end of waiting, or giving up.
static struct dk_mono next_moment(const struct dk_probe_run *run)
{
    struct dk_mono next = run->next_send;

    if (run->sent == run->wanted)
        next = dk_mono_add_ns(run->packets[run->sent - 1].sent_at, run->plan->latency_timeout_ns);
    if (run->optional && run->answered == 0 && run->sent > 0) {
        struct dk_mono give_up = dk_mono_add_ns(run->packets[0].sent_at, give_up_ns);

        if (give_up.ns < next.ns)
            next = give_up;
    }
    return next;
}

static void on_timer(void *argument, struct dk_mono now)
{
    struct dk_probe_run *run = argument;

    // Answers that are already here count, however late the loop is.
    on_readable(run, 0);
    if (run->done)
        return;
    if (run->sent > 0 && dk_mono_diff_ns(now, next_moment(run)) >= 0) {
        if (run->sent == run->wanted && run->answered > 0) {
            finish(run, DK_STATUS_OK, "");
            return;
        }
        if (run->sent == run->wanted || (run->optional && run->answered == 0 &&
                                         dk_mono_diff_ns(now, run->packets[0].sent_at) >= give_up_ns)) {
            finish_unanswered(run);
            return;
        }
    }
    if (run->sent < run->wanted && dk_mono_diff_ns(now, run->next_send) >= 0) {
        send_packet(run);
        // Periodic (RFC 3432). A loop that was late by more than an interval does not send a burst to catch
        // up.
        run->next_send = dk_mono_add_ns(run->next_send, run->plan->latency_interval_ns);
        if (dk_mono_diff_ns(now, run->next_send) >= 0)
            run->next_send = dk_mono_add_ns(now, run->plan->latency_interval_ns);
    }
    if (dk_loop_set_timer(run->loop, next_moment(run), on_timer, run) != DK_OK)
        fail(run, "timer", "no free slot");
}

// Binds to the interface, or, where that needs a privilege, to an address of it. False with errno.
static bool bind_to_interface(int fd, const char *interface, int family)
{
    struct ifaddrs *all = NULL;
    bool bound = false;

    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) == 0)
        return true;
    if (errno != EPERM || getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *a = all; a != NULL && !bound; a = a->ifa_next)
        if (a->ifa_addr != NULL && a->ifa_addr->sa_family == family && strcmp(a->ifa_name, interface) == 0)
            bound = bind(fd, a->ifa_addr,
                         family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) == 0;
    freeifaddrs(all);
    if (!bound)
        errno = EADDRNOTAVAIL;
    return bound;
}

static void describe(const struct sockaddr *address, socklen_t len, char out[static PEER_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in v4 = {0};
    struct sockaddr_in6 v6 = {0};

    if (address->sa_family == AF_INET6 && len >= sizeof v6) {
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(out, PEER_SIZE, "[%s]:%u", host, (unsigned)ntohs(v6.sin6_port));
    } else if (len >= sizeof v4) {
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(out, PEER_SIZE, "%s:%u", host, (unsigned)ntohs(v4.sin_port));
    }
}

static void on_resolved(void *argument, const struct sockaddr *address, socklen_t len, const char *reason)
{
    struct dk_probe_run *run = argument;
    const char *interface = run->plan->interface;

    if (run->done)
        return;
    if (address == NULL) {
        fail(run, run->plan->stamp, reason);
        return;
    }
    describe(address, len, run->peer);
    run->fd = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (run->fd < 0) {
        fail(run, "socket", strerror(errno));
        return;
    }
    if (interface[0] != '\0' && !bind_to_interface(run->fd, interface, address->sa_family)) {
        fail(run, interface, strerror(errno));
        return;
    }
    // Connected: the kernel passes on what comes from this peer only, and what ICMP says of it.
    if (connect(run->fd, address, len) != 0) {
        fail(run, run->peer, strerror(errno));
        return;
    }
    dk_datagram_prepare(run->fd, address->sa_family);
    run->error_estimate = dk_datagram_clock_error();
    run->next_send = dk_mono_now();
    if (dk_loop_watch(run->loop, run->fd, POLLIN, on_readable, run) != DK_OK ||
        dk_loop_set_timer(run->loop, run->next_send, on_timer, run) != DK_OK)
        fail(run, "loop", "no free slot");
}

static void stamp_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    dk_loop_clear_timer(run->loop, run);
    if (run->fd >= 0) {
        dk_loop_unwatch(run->loop, run->fd);
        close(run->fd);
    }
    dk_resolve_free(run->resolution);
    free(run->packets);
    free(run->rtt_ns);
    free(run);
}

// Begins to look for the reflector; what is wrong with it is the run's result.
static enum dk_err look_up(struct dk_probe_run *run, const char *server)
{
    char text[PEER_SIZE];
    const char *target = run->plan->stamp;

    if (run->optional) {
        snprintf(text, sizeof text, strchr(server, ':') != NULL ? "[%s]" : "%s", server);
        target = text;
    }

    enum dk_err err = dk_resolve(run->loop, target, DK_STAMP_PORT, run->plan->family,
                                 run->plan->connect_timeout_ns, on_resolved, run, &run->resolution);

    if (err != DK_ERR_DATA)
        return err;
    fail(run, target, "not HOST, HOST:PORT or [ADDRESS]:PORT");
    return DK_OK;
}

static enum dk_err stamp_start(struct dk_loop *loop, const struct dk_plan *plan,
                               const struct dk_measurement *measured, struct dk_probe_run **out,
                               struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);

    if (run == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "stamp", NULL, "out of memory");
    run->loop = loop;
    run->plan = plan;
    run->fd = -1;
    run->highest = -1;
    run->wanted = (size_t)plan->latency_count;
    run->optional = strcmp(plan->stamp, "auto") == 0;
    run->began = dk_mono_now();
    run->result.method = DK_METHOD_STAMP;
    run->result.interval_ns = plan->latency_interval_ns;
    run->result.timeout_ns = plan->latency_timeout_ns;
    run->packets = calloc(run->wanted + 1, sizeof *run->packets);
    run->rtt_ns = malloc((run->wanted + 1) * sizeof *run->rtt_ns);
    if (run->packets == NULL || run->rtt_ns == NULL) {
        stamp_free(run);
        return dk_fail(fault, DK_ERR_MEMORY, "stamp", NULL, "out of memory");
    }
    for (size_t i = 0; i <= run->wanted; i++)
        run->rtt_ns[i] = -1;

    enum dk_err err = DK_OK;

    if (strcmp(plan->stamp, "off") == 0 || run->wanted == 0)
        finish(run, DK_STATUS_NOT_MEASURED, "STAMP is off");
    else if (run->optional && measured->server.address[0] == '\0')
        finish(run, DK_STATUS_NOT_MEASURED, "the server was not reached, so its reflector has no address");
    else
        err = look_up(run, measured->server.address);
    if (err != DK_OK) {
        stamp_free(run);
        return dk_fail(fault, err, "stamp", NULL, "cannot look up the reflector");
    }
    *out = run;
    return DK_OK;
}

static bool stamp_done(const struct dk_probe_run *run)
{
    return run->done;
}

static void stamp_cancel(struct dk_probe_run *run, const char *reason)
{
    finish(run, DK_STATUS_FAILED, reason);
}

static void stamp_conclude(struct dk_probe_run *run)
{
    if (run->done)
        return;
    run->wanted = run->sent;
    if (run->sent == 0)
        finish(run, DK_STATUS_NOT_MEASURED, "there was no time to send a packet");
    else if (run->answered == (int64_t)run->sent)
        finish(run, DK_STATUS_OK, "");
    else if (dk_loop_set_timer(run->loop, next_moment(run), on_timer, run) != DK_OK)
        fail(run, "timer", "no free slot");
}

static int64_t stamp_max_bytes(const struct dk_plan *plan)
{
    return plan->latency_count * 2 * WIRE_BYTES;
}

static int64_t stamp_max_duration_ns(const struct dk_plan *plan)
{
    // A late loop may stretch the intervals.
    return plan->connect_timeout_ns + 2 * plan->latency_count * plan->latency_interval_ns +
           plan->latency_timeout_ns;
}

static void stamp_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = dk_probe_stamp.name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = (int64_t)run->wanted * run->plan->latency_interval_ns,
        .bytes = ((int64_t)run->sent + run->answered) * WIRE_BYTES,
    };
}

static void stamp_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    const struct dk_latency *r = &run->result;

    *dk_measurement_latency(out, run->plan->phase) = *r;
    out->data_used_bytes += (r->sent + r->received + r->duplicate + r->late + r->foreign) * WIRE_BYTES;
}

const struct dk_probe dk_probe_stamp = {
    .name = "stamp",
    .help = "idle round-trip times over UDP to a STAMP reflector (RFC 8762)",
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = stamp_max_bytes,
    .max_duration_ns = stamp_max_duration_ns,
    .start = stamp_start,
    .done = stamp_done,
    .cancel = stamp_cancel,
    .conclude = stamp_conclude,
    .progress = stamp_progress,
    .fill = stamp_fill,
    .free = stamp_free,
};
