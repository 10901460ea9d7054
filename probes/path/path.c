// SPDX-License-Identifier: Apache-2.0
#include "probes/path/path.h"

#include "agent/base/message.h"
#include "probes/path/search.h"
#include "probes/path/trace.h"
#include "probes/path/way.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    FLOOR_BYTES = 576,       // what every IPv4 host takes (RFC 1122 section 3.3.2)
    FLOOR_IPV6_BYTES = 1280, // what every IPv6 link carries (RFC 8200 section 5)
    TRACE_BYTES = 60,        // of a packet of the route, as IPv4
    TRACE_IPV6_BYTES = 80,
    TRIES = 2,               // of each length
    MAX_BYTES = 200000,      // 8 lengths twice, in 5 rounds, and their answers; with the 90 small packets of a route
};

static const int64_t most_ns = 2 * DK_NS_PER_S;
static const int64_t most_udp_mtu_ns = DK_NS_PER_S;
static const int64_t pace_ns = 10 * DK_NS_PER_MS;
static const int64_t pace_udp_ns = 20 * DK_NS_PER_MS;
static const int64_t last_wait_ns = 500 * DK_NS_PER_MS;

struct part {
    struct dk_probe_run *run;
    struct dk_way way;
    struct dk_mono deadline;
    bool begun, done;
    enum dk_status status;
    char reason[DK_REASON_SIZE];
};

// The search for the path MTU.
struct lengths {
    struct part part;
    struct dk_search search;
    int64_t sizes[DK_WAY_PACKETS_MAX]; // of the packets that were sent
    unsigned sent;
    int tries; // of the lengths that are tried now
    int64_t kernel_bytes;
};

// The search for the route.
struct route {
    struct part part;
    struct dk_trace trace;
};

struct dk_probe_run {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    struct dk_mono began;
    char server[DK_ADDRESS_SIZE];
    enum dk_path_method method;
    int64_t wait_ns;            // for the answer to one length
    int64_t bytes;
    struct lengths lengths;
    struct route route;
};

static void finish(struct part *part, void *timer, enum dk_status status, const char *reason)
{
    if (part->done)
        return;
    part->done = true;
    part->status = status;
    snprintf(part->reason, sizeof part->reason, "%s", reason);
    dk_loop_clear_timer(part->run->loop, timer);
    if (part->way.fd >= 0)
        dk_loop_unwatch(part->run->loop, part->way.fd);
}

static void set_timer(struct part *part, struct dk_mono when, dk_loop_timer_callback *callback, void *timer)
{
    if (when.ns > part->deadline.ns)
        when = part->deadline;
    if (dk_loop_set_timer(part->run->loop, when, callback, timer) != DK_OK)
        finish(part, timer, DK_STATUS_FAILED, "the loop is full");
}

// --- the path MTU ---------------------------------------------------------------------------------------------------

static void begin_route(struct dk_probe_run *run);

static void finish_lengths(struct lengths *lengths)
{
    struct dk_probe_run *run = lengths->part.run;

    lengths->kernel_bytes = dk_way_kernel_mtu(&lengths->part.way);
    if (lengths->search.answered > 0)
        finish(&lengths->part, lengths, DK_STATUS_OK, "");
    else
        finish(&lengths->part, lengths, DK_STATUS_FAILED, "the server answers packets of no length");
    if (!run->route.part.begun)
        begin_route(run);
}

static void send_lengths(struct lengths *lengths)
{
    struct dk_search *search = &lengths->search;

    for (size_t i = 0; i < search->count && lengths->sent < DK_WAY_PACKETS_MAX; i++) {
        int64_t size = search->sizes[i];

        if (dk_search_knows(search, size))
            continue;
        lengths->sizes[lengths->sent] = size;
        if (dk_way_send(&lengths->part.way, lengths->sent, (size_t)size, 0) == EMSGSIZE)
            dk_search_refused(search, size, dk_way_kernel_mtu(&lengths->part.way));
        else
            lengths->part.run->bytes += size;
        lengths->sent++;
    }
}

static bool knows_all(const struct dk_search *search)
{
    for (size_t i = 0; i < search->count; i++)
        if (!dk_search_knows(search, search->sizes[i]))
            return false;
    return true;
}

static void on_lengths_timer(void *argument, struct dk_mono now);

// Sends what is to be tried next, until something has to be waited for.
static void go_on_with_lengths(struct lengths *lengths)
{
    struct dk_search *search = &lengths->search;

    while (knows_all(search)) {
        dk_search_next(search);
        if (search->count == 0 || lengths->sent == DK_WAY_PACKETS_MAX) {
            finish_lengths(lengths);
            return;
        }
        lengths->tries = 1;
        send_lengths(lengths);
        set_timer(&lengths->part, dk_mono_add_ns(dk_mono_now(), lengths->part.run->wait_ns), on_lengths_timer, lengths);
    }
}

static void on_lengths_timer(void *argument, struct dk_mono now)
{
    struct lengths *lengths = argument;
    struct dk_search *search = &lengths->search;

    if (dk_mono_diff_ns(now, lengths->part.deadline) >= 0) {
        finish_lengths(lengths);
        return;
    }
    if (lengths->tries++ < TRIES) {
        send_lengths(lengths);
        set_timer(&lengths->part, dk_mono_add_ns(dk_mono_now(), lengths->part.run->wait_ns), on_lengths_timer, lengths);
    } else {
        for (size_t i = 0; i < search->count; i++)
            if (!dk_search_knows(search, search->sizes[i]))
                dk_search_vanished(search, search->sizes[i]);
    }
    if (!lengths->part.done)
        go_on_with_lengths(lengths);
}

static void on_lengths_ready(void *argument, short events)
{
    struct lengths *lengths = argument;
    struct dk_way_event event;

    (void)events;
    while (dk_way_receive(&lengths->part.way, &event)) {
        int64_t size = lengths->sizes[event.number];

        if (event.kind == DK_WAY_ANSWER) {
            dk_search_answered(&lengths->search, size);
            lengths->part.run->bytes += size;
        } else if (event.kind == DK_WAY_TOO_BIG) {
            dk_search_refused(&lengths->search, size, event.mtu);
        }
    }
    go_on_with_lengths(lengths);
}

// The longest packet that the link can carry, as far as it is tried.
static int64_t top_of(const struct dk_probe_run *run, const struct dk_way *way)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int64_t top = -1;

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", run->plan->link);
    if (fd >= 0 && run->plan->link[0] != '\0' && ioctl(fd, SIOCGIFMTU, &request) == 0)
        top = request.ifr_mtu;
    if (fd >= 0)
        close(fd);
    if (top < 0)
        top = dk_way_kernel_mtu(way);
    return top > DK_WAY_BYTES_MAX ? DK_WAY_BYTES_MAX : top;
}

// --- the route ------------------------------------------------------------------------------------------------------

static void finish_route(struct route *route)
{
    dk_trace_conclude(&route->trace);
    if (route->trace.farthest > 0)
        finish(&route->part, route, DK_STATUS_OK, "");
    else
        finish(&route->part, route, DK_STATUS_FAILED, "nobody on the way answers");
}

static void on_route_timer(void *argument, struct dk_mono now)
{
    struct route *route = argument;
    struct dk_probe_run *run = route->part.run;
    int hop_limit = dk_trace_next(&route->trace);

    if (dk_mono_diff_ns(now, route->part.deadline) >= 0 ||
        (hop_limit == 0 &&
         dk_mono_diff_ns(now, route->trace.packets[route->trace.sent - 1].sent_at) >= last_wait_ns)) {
        finish_route(route);
        return;
    }
    if (hop_limit > 0) {
        size_t size = route->part.way.ipv6 ? TRACE_IPV6_BYTES : TRACE_BYTES;
        unsigned number = route->trace.sent;

        dk_trace_note(&route->trace, hop_limit, dk_mono_now());
        (void)dk_way_send(&route->part.way, number, size, hop_limit);
        run->bytes += (int64_t)size;
    }
    set_timer(&route->part,
              dk_trace_next(&route->trace) > 0
                  ? dk_mono_add_ns(now, route->part.way.udp ? pace_udp_ns : pace_ns)
                  : dk_mono_add_ns(route->trace.packets[route->trace.sent - 1].sent_at, last_wait_ns),
              on_route_timer, route);
}

static void on_route_ready(void *argument, short events)
{
    struct route *route = argument;
    struct dk_way_event event;

    (void)events;
    while (dk_way_receive(&route->part.way, &event)) {
        dk_trace_take(&route->trace, &event);
        route->part.run->bytes += TRACE_BYTES;
    }
    if (dk_trace_is_complete(&route->trace))
        finish_route(route);
}

// --- the probe ------------------------------------------------------------------------------------------------------

// Opens the socket of a part and watches it; what is wrong is the part's result.
static bool begin_part(struct part *part, void *timer, const char *server, int64_t longest_ns,
                       dk_loop_fd_callback *ready)
{
    struct dk_probe_run *run = part->run;
    enum dk_status status = DK_STATUS_FAILED;
    char reason[DK_REASON_SIZE] = "";

    part->begun = true;
    part->deadline = dk_mono_add_ns(dk_mono_now(), longest_ns);
    if (!dk_way_open(&part->way, server, run->method == DK_PATH_METHOD_UDP, run->plan->interface, &status, reason)) {
        finish(part, timer, status, reason);
        return false;
    }
    if (dk_loop_watch(run->loop, part->way.fd, POLLIN, ready, timer) != DK_OK) {
        finish(part, timer, DK_STATUS_FAILED, "the loop is full");
        return false;
    }
    return true;
}

static void begin_route(struct dk_probe_run *run)
{
    struct route *route = &run->route;
    // Over UDP the search for the MTU came first.
    int64_t left_ns = most_ns - dk_mono_diff_ns(dk_mono_now(), run->began);

    if (begin_part(&route->part, route, run->server, left_ns, on_route_ready))
        on_route_timer(route, dk_mono_now());
}

static void begin_lengths(struct dk_probe_run *run)
{
    struct lengths *lengths = &run->lengths;
    bool udp = run->method == DK_PATH_METHOD_UDP;
    int64_t floor = FLOOR_BYTES, top = 0;

    if (!begin_part(&lengths->part, lengths, run->server, udp ? most_udp_mtu_ns : most_ns, on_lengths_ready))
        return;
    if (lengths->part.way.ipv6)
        floor = FLOOR_IPV6_BYTES;
    top = top_of(run, &lengths->part.way);
    if (top < floor) {
        finish(&lengths->part, lengths, DK_STATUS_NOT_MEASURED, "the MTU of the link is not known, or very small");
        return;
    }
    // A server tells only a few closed ports a second: over UDP there is no searching.
    lengths->search = dk_search_make(top, floor, !udp);
    lengths->tries = 1;
    send_lengths(lengths);
    set_timer(&lengths->part, dk_mono_add_ns(dk_mono_now(), run->wait_ns), on_lengths_timer, lengths);
}

// ICMP where it is allowed, unless UDP is asked for.
static enum dk_path_method method_of(const struct dk_plan *plan, const char *server)
{
    struct dk_way way;
    enum dk_status status;
    char reason[DK_REASON_SIZE];

    if (plan->path_method != DK_PATH_METHOD_AUTO)
        return plan->path_method;

    bool allowed = dk_way_open(&way, server, false, "", &status, reason);

    dk_way_close(&way);
    return allowed || status != DK_STATUS_NOT_MEASURED ? DK_PATH_METHOD_ICMP : DK_PATH_METHOD_UDP;
}

static void path_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    finish(&run->lengths.part, &run->lengths, DK_STATUS_FAILED, "");
    finish(&run->route.part, &run->route, DK_STATUS_FAILED, "");
    dk_way_close(&run->lengths.part.way);
    dk_way_close(&run->route.part.way);
    free(run);
}

static enum dk_err path_start(struct dk_loop *loop, const struct dk_plan *plan, const struct dk_measurement *measured,
                              struct dk_probe_run **out, struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);
    int64_t connect_ns = measured->server.connect_ns;

    if (run == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "path", NULL, "out of memory");
    run->loop = loop;
    run->plan = plan;
    run->began = dk_mono_now();
    snprintf(run->server, sizeof run->server, "%s", measured->server.address);
    run->lengths.part = (struct part){.run = run, .way = {.fd = -1}};
    run->route.part = (struct part){.run = run, .way = {.fd = -1}};
    run->lengths.kernel_bytes = -1;
    run->method = method_of(plan, run->server);
    // Twice what a connection took, as the way may be busier now.
    run->wait_ns = 100 * DK_NS_PER_MS + 2 * (connect_ns > 0 ? connect_ns : 0);
    if (run->wait_ns > DK_NS_PER_S / 2)
        run->wait_ns = DK_NS_PER_S / 2;
    *out = run;
    begin_lengths(run);
    if (!run->route.part.begun && (run->method == DK_PATH_METHOD_ICMP || run->lengths.part.done))
        begin_route(run);
    return DK_OK;
}

static bool path_done(const struct dk_probe_run *run)
{
    return run->lengths.part.done && run->route.part.done;
}

static void path_cancel(struct dk_probe_run *run, const char *reason)
{
    finish(&run->lengths.part, &run->lengths, DK_STATUS_FAILED, reason);
    finish(&run->route.part, &run->route, DK_STATUS_FAILED, reason);
}

static void path_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = dk_probe_path.name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = most_ns,
        .bytes = run->bytes,
    };
}

static void path_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    out->path = (struct dk_way_found){.asked = true, .method = run->method, .route = run->route.trace.route};
    dk_search_fill(&run->lengths.search, &out->path.mtu);
    out->path.mtu.kernel_bytes = run->lengths.kernel_bytes;
    out->path.mtu.status = run->lengths.part.status;
    snprintf(out->path.mtu.reason, sizeof out->path.mtu.reason, "%s", run->lengths.part.reason);
    out->path.route.status = run->route.part.status;
    snprintf(out->path.route.reason, sizeof out->path.route.reason, "%s", run->route.part.reason);
    out->data_used_bytes += run->bytes;
}

static int64_t path_max_bytes(const struct dk_plan *plan)
{
    (void)plan;
    return MAX_BYTES;
}

static int64_t path_max_duration_ns(const struct dk_plan *plan)
{
    (void)plan;
    return most_ns + DK_NS_PER_S / 2;
}

const struct dk_probe dk_probe_path = {
    .name = "path",
    .help = N_("path MTU and route to the server; over UDP without a privilege"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = path_max_bytes,
    .max_duration_ns = path_max_duration_ns,
    .start = path_start,
    .done = path_done,
    .cancel = path_cancel,
    .progress = path_progress,
    .fill = path_fill,
    .free = path_free,
};
