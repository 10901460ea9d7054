// SPDX-License-Identifier: Apache-2.0
#include "probes/dns/dns.h"

#include "agent/base/message.h"
#include "probes/datagram.h"
#include "probes/dns/asked.h"
#include "probes/dns/message.h"
#include "probes/socket.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 2000,
    RUNNING_MAX = 24,
    WRONG_MAX = 32, // answers that are none: then it is a flood, and is waited for no longer
    MESSAGE_MAX = 65535,
    TCP_HEAD = 2, // the length in front of a message
    OVERHEAD_BYTES = 500, // of a TCP connection's packets, or a datagram's headers
};

struct query {
    struct dk_probe_run *run;
    struct dk_dns_query *result;
    struct dk_dns_question question;
    ares_channel channel; // NULL when it is not under way
    bool ended;           // c-ares has called back
    bool answered;        // by what is believed
    int error;            // errno of the socket's last failure; 0 for none
    struct sockaddr_storage peer;
    socklen_t peer_len;
    struct dk_mono began; // the datagram was sent, or the connection begun
    struct dk_instant last;
    int64_t bytes;
    struct dk_buf stream; // what came over TCP
};

struct dk_probe_run {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    struct dk_mono began;
    bool done;
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    struct dk_dns_asked asked;
    struct dk_dns_query *results; // [count]
    struct query *queries;        // [count]
    size_t count, started, ended;
};

static bool is_tcp(const struct query *query)
{
    return query->result->transport == DK_TRANSPORT_TCP;
}

// Counts what came; true when it is the answer.
static bool take(struct query *query, const void *data, size_t len, struct dk_mono at)
{
    struct dk_dns_query *result = query->result;
    struct dk_dns_answer answer;

    switch (dk_dns_read(data, len, &query->question, &answer)) {
    case DK_DNS_MALFORMED:
        result->malformed++;
        return false;
    case DK_DNS_MISMATCHED:
        result->mismatched++;
        return false;
    case DK_DNS_ANSWER:
    default:
        break;
    }
    query->answered = true;
    result->response_ns = dk_mono_diff_ns(at, query->began);
    if (result->response_ns < 1) // the two moments may come from two clocks, which are compared to about 1 µs
        result->response_ns = 1;
    result->rcode = answer.rcode;
    result->truncated = answer.truncated;
    result->authenticated = answer.authenticated;
    result->answers = answer.answers;
    result->unrelated = answer.unrelated;
    return true;
}

static bool is_flooded(const struct query *query)
{
    return query->result->malformed + query->result->mismatched >= WRONG_MAX;
}

// --- sockets, for c-ares --------------------------------------------------------------------------------------------

static ares_socket_t open_socket(int family, int type, int protocol, void *argument)
{
    struct query *query = argument;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

    if (fd < 0)
        query->error = errno;
    return fd;
}

static int close_socket(ares_socket_t fd, void *argument)
{
    struct query *query = argument;

    dk_loop_unwatch(query->run->loop, fd);
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len, void *argument)
{
    struct query *query = argument;
    const char *interface = query->run->plan->interface;
    int result = 0, on = 1;

    query->began = dk_mono_now();
    memcpy(&query->peer, address, len);
    query->peer_len = len;
    if (interface[0] != '\0' && !dk_socket_bind_interface(fd, interface, address->sa_family)) {
        result = -1;
    } else if (is_tcp(query)) {
        result = connect(fd, address, len);
    } else {
        // Not connected: what comes from elsewhere is to be counted. So the kernel is asked for what ICMP says, and for
        // nothing else that would be in the same queue.
        dk_datagram_prepare(fd, address->sa_family, DK_SENDINGS_NONE);
        if (address->sa_family == AF_INET6)
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
        else
            (void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    }
    if (result != 0 && errno != EINPROGRESS)
        query->error = errno;
    return result;
}

static ares_ssize_t send_message(ares_socket_t fd, const struct iovec *parts, int count, void *argument)
{
    struct query *query = argument;
    // sendmsg() changes nothing of what it sends, whatever its type says.
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};

    query->last = dk_instant_now();
    if (!is_tcp(query)) {
        query->began = query->last.mono;
        message.msg_name = &query->peer;
        message.msg_namelen = query->peer_len;
    }

    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    int error = errno;

    if (sent < 0 && error != EAGAIN)
        query->error = error;
    if (sent > 0)
        query->bytes += sent;
    errno = error;
    return sent;
}

static bool is_from(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct sockaddr_in v4[2];
    struct sockaddr_in6 v6[2];

    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET) {
        memcpy(&v4[0], a, sizeof v4[0]);
        memcpy(&v4[1], b, sizeof v4[1]);
        return v4[0].sin_port == v4[1].sin_port && v4[0].sin_addr.s_addr == v4[1].sin_addr.s_addr;
    }
    memcpy(&v6[0], a, sizeof v6[0]);
    memcpy(&v6[1], b, sizeof v6[1]);
    return v6[0].sin6_port == v6[1].sin6_port && IN6_ARE_ADDR_EQUAL(&v6[0].sin6_addr, &v6[1].sin6_addr);
}

// The next datagram that is the answer. −1 with errno.
static ares_ssize_t receive_datagram(struct query *query, int fd, void *data, size_t size, struct sockaddr *from,
                                     ares_socklen_t *from_len)
{
    struct dk_datagram datagram;
    int got = 0;

    while (!is_flooded(query) && query->error == 0 && (got = dk_datagram_receive(fd, &datagram)) > 0) {
        // A kernel timestamp taken before somebody set the clock would be carried over wrongly.
        bool kernel = datagram.kernel && dk_instants_agree(query->last, datagram.read);
        struct dk_mono at = kernel ? datagram.received_at : datagram.read.mono;

        query->last = datagram.read;
        query->bytes += (int64_t)datagram.len;
        if (!is_from(&datagram.peer, &query->peer)) {
            query->result->mismatched++;
            continue;
        }
        if (datagram.truncated) {
            query->result->malformed++;
            continue;
        }
        if (!take(query, datagram.data, datagram.len, at) || datagram.len > size)
            continue;
        memcpy(data, datagram.data, datagram.len);
        if (from != NULL && *from_len >= datagram.peer_len) {
            memcpy(from, &datagram.peer, datagram.peer_len);
            *from_len = datagram.peer_len;
        }
        return (ares_ssize_t)datagram.len;
    }
    if (got < 0)
        query->error = errno;
    errno = query->error != 0 ? query->error : is_flooded(query) ? ECONNABORTED : EAGAIN;
    return -1;
}

// A message over TCP is looked at when it is whole; c-ares gets every byte.
static ares_ssize_t receive_stream(struct query *query, int fd, void *data, size_t size)
{
    ssize_t got = recv(fd, data, size, MSG_DONTWAIT);
    const uint8_t *head;

    if (got < 0 && errno != EAGAIN)
        query->error = errno;
    if (got == 0)
        query->error = ECONNRESET;
    if (got <= 0)
        return got;
    query->bytes += got;
    if (dk_buf_append(&query->stream, data, (size_t)got) != DK_OK) {
        query->error = errno = ENOMEM;
        return -1;
    }
    head = (const uint8_t *)query->stream.data;
    if (query->stream.len >= TCP_HEAD && query->stream.len == TCP_HEAD + ((size_t)head[0] << 8 | head[1])) {
        if (!take(query, head + TCP_HEAD, query->stream.len - TCP_HEAD, dk_mono_now())) {
            // Nothing else is to come on this connection.
            errno = ECONNABORTED;
            return -1;
        }
    }
    return got;
}

static ares_ssize_t receive_message(ares_socket_t fd, void *data, size_t size, int flags, struct sockaddr *from,
                                    ares_socklen_t *from_len, void *argument)
{
    struct query *query = argument;

    (void)flags;
    return is_tcp(query) ? receive_stream(query, fd, data, size)
                         : receive_datagram(query, fd, data, size, from, from_len);
}

// --- queries --------------------------------------------------------------------------------------------------------

static enum dk_dns_failure failure_of(const struct query *query)
{
    const struct dk_dns_query *result = query->result;

    if (result->malformed > 0)
        return DK_DNS_FAILURE_MALFORMED;
    if (result->mismatched > 0)
        return DK_DNS_FAILURE_MISMATCHED;
    switch (query->error) {
    case 0:
        return DK_DNS_FAILURE_TIMEOUT;
    case ECONNREFUSED:
        return DK_DNS_FAILURE_REFUSED;
    case ECONNRESET:
    case EPIPE:
        return DK_DNS_FAILURE_CLOSED;
    default:
        return DK_DNS_FAILURE_UNREACHABLE;
    }
}

static void on_end(void *argument, int status, int timeouts, unsigned char *data, int len)
{
    struct query *query = argument;

    (void)status;
    (void)timeouts;
    (void)data;
    (void)len;
    query->ended = true;
}

static void start_queries(struct dk_probe_run *run);

static void finish(struct dk_probe_run *run, enum dk_status status, const char *reason)
{
    if (run->done)
        return;
    run->done = true;
    run->status = status;
    snprintf(run->reason, sizeof run->reason, "%s", reason);
    for (size_t i = 0; i < run->started; i++) {
        struct query *query = &run->queries[i];

        dk_loop_clear_timer(run->loop, query);
        if (query->channel != NULL)
            ares_destroy(query->channel);
        query->channel = NULL;
        dk_buf_free(&query->stream);
    }
}

static void conclude(struct dk_probe_run *run)
{
    char reason[DK_REASON_SIZE];

    for (size_t i = 0; i < run->count; i++)
        if (run->results[i].status == DK_STATUS_OK) {
            finish(run, DK_STATUS_OK, "");
            return;
        }
    snprintf(reason, sizeof reason, "no resolver answered: %s", dk_dns_failure_text(run->results[0].failure));
    finish(run, DK_STATUS_FAILED, reason);
}

// Ends the query when c-ares has called back; it must not be called from within c-ares.
static void settle(struct query *query)
{
    struct dk_probe_run *run = query->run;

    if (!query->ended || query->channel == NULL)
        return;
    dk_loop_clear_timer(run->loop, query);
    ares_destroy(query->channel);
    query->channel = NULL;
    dk_buf_free(&query->stream);
    query->result->status = query->answered ? DK_STATUS_OK : DK_STATUS_FAILED;
    query->result->failure = query->answered ? DK_DNS_FAILURE_NONE : failure_of(query);
    run->ended++;
}

static void on_timer(void *argument, struct dk_mono now);

static void go_on(struct query *query)
{
    struct dk_probe_run *run = query->run;
    struct timeval left = {0};

    settle(query);
    if (query->channel != NULL) {
        struct timeval *wait = ares_timeout(query->channel, NULL, &left);
        int64_t wait_ns = wait != NULL ? wait->tv_sec * DK_NS_PER_S + wait->tv_usec * DK_NS_PER_US : 0;

        // c-ares counts in ms: not before the next one.
        if (dk_loop_set_timer(run->loop, dk_mono_add_ns(dk_mono_now(), wait_ns + DK_NS_PER_MS), on_timer, query) !=
            DK_OK)
            finish(run, DK_STATUS_FAILED, "the loop is full");
        return;
    }
    start_queries(run);
    if (run->ended == run->count)
        conclude(run);
}

static void on_timer(void *argument, struct dk_mono now)
{
    struct query *query = argument;

    (void)now;
    ares_process_fd(query->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    go_on(query);
}

static void on_ready(void *argument, short events)
{
    struct query *query = argument;
    ares_socket_t fds[1];
    int bits = ares_getsock(query->channel, fds, 1);

    if (bits == 0)
        return;
    if ((events & POLLERR) != 0 && !is_tcp(query)) {
        int error = 0;
        socklen_t len = sizeof error;

        // First what ICMP says, which is lost with the queue.
        if (getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
            query->error = error;
        dk_datagram_forget(fds[0]);
    }
    ares_process_fd(query->channel, (events & ~POLLOUT) != 0 ? fds[0] : ARES_SOCKET_BAD,
                    (events & POLLOUT) != 0 ? fds[0] : ARES_SOCKET_BAD);
    go_on(query);
}

static void on_socket(void *argument, ares_socket_t fd, int readable, int writable)
{
    struct query *query = argument;
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));

    if (events == 0)
        dk_loop_unwatch(query->run->loop, fd);
    else if (dk_loop_watch(query->run->loop, fd, events, on_ready, query) != DK_OK)
        query->error = EMFILE; // it times out
}

// A channel of its own for every query: one server, one socket, one try.
static bool open_channel(struct query *query)
{
    static const struct ares_socket_functions sockets = {open_socket, close_socket, connect_socket, receive_message,
                                                         send_message};
    char nowhere[] = "/dev/null";
    struct ares_options options = {
        .flags = ARES_FLAG_IGNTC | ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | (is_tcp(query) ? ARES_FLAG_USEVC : 0),
        .timeout = TIMEOUT_MS,
        .tries = 1,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = query,
        .resolvconf_path = nowhere, // the server is known
    };
    struct ares_addr_port_node node = {.udp_port = (int)query->result->port, .tcp_port = (int)query->result->port};

    node.family = strchr(query->result->server, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(node.family, query->result->server, &node.addr) != 1 ||
        ares_init_options(&query->channel, &options,
                          ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                              ARES_OPT_RESOLVCONF) != ARES_SUCCESS)
        return false;
    ares_set_socket_functions(query->channel, &sockets, query);
    return ares_set_servers_ports(query->channel, &node) == ARES_SUCCESS;
}

static void start_query(struct query *query)
{
    uint8_t wire[DK_DNS_QUERY_MAX];

    query->stream = dk_buf_make(TCP_HEAD + MESSAGE_MAX);
    if (!open_channel(query)) {
        finish(query->run, DK_STATUS_FAILED, "out of memory");
        return;
    }
    ares_send(query->channel, wire, (int)dk_dns_put_query(&query->question, wire), on_end, query);
    if (query->ended)
        settle(query);
    else
        go_on(query);
}

static void start_queries(struct dk_probe_run *run)
{
    while (!run->done && run->started < run->count && run->started - run->ended < RUNNING_MAX)
        start_query(&run->queries[run->started++]);
}

// Every server is asked for every name; UDP first, so that its answers come from where the data are, if from a cache
// then of earlier questions.
static bool make_queries(struct dk_probe_run *run)
{
    const struct dk_dns_asked *asked = &run->asked;
    size_t each = asked->server_count * asked->name_count * 2;
    uint16_t ids[2 * DK_DNS_SERVERS_MAX * DK_DNS_NAMES_MAX * 2];

    run->count = 2 * each;
    run->results = calloc(run->count, sizeof *run->results);
    run->queries = calloc(run->count, sizeof *run->queries);
    if (run->results == NULL || run->queries == NULL || getrandom(ids, sizeof ids, 0) != (ssize_t)sizeof ids)
        return false;
    for (size_t i = 0; i < run->count; i++) {
        const struct dk_dns_server *server = &asked->servers[i % each / 2 / asked->name_count];
        const char *name = asked->names[i / 2 % asked->name_count];
        struct dk_dns_query *result = &run->results[i];

        *result = (struct dk_dns_query){.port = server->port,
                                        .configured = server->configured,
                                        .ipv6 = i % 2 == 1,
                                        .transport = i < each ? DK_TRANSPORT_UDP : DK_TRANSPORT_TCP,
                                        .status = DK_STATUS_FAILED,
                                        .failure = DK_DNS_FAILURE_TIMEOUT};
        snprintf(result->server, sizeof result->server, "%s", server->address);
        snprintf(result->name, sizeof result->name, "%s", name);
        run->queries[i] = (struct query){.run = run, .result = result};
        if (!dk_dns_question_make(name, result->ipv6 ? 28 : 1, ids[i], &run->queries[i].question))
            return false; // the settings let no such name through
    }
    return true;
}

static void dns_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    finish(run, DK_STATUS_FAILED, "");
    free(run->results);
    free(run->queries);
    free(run);
}

static enum dk_err dns_start(struct dk_loop *loop, const struct dk_plan *plan, const struct dk_measurement *measured,
                             struct dk_probe_run **out, struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);

    (void)measured;
    if (run == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "dns", NULL, "out of memory");
    run->loop = loop;
    run->plan = plan;
    run->began = dk_mono_now();
    dk_dns_asked_gather(plan, true, &run->asked);
    if (run->asked.name_count == 0) {
        finish(run, DK_STATUS_NOT_MEASURED,
               "the server is given by its address: there is no name to ask for; [dns] names gives some");
        *out = run;
        return DK_OK;
    }
    if (run->asked.server_count == 0) {
        finish(run, DK_STATUS_FAILED, "the system has no resolver");
    } else if (!make_queries(run)) {
        dns_free(run);
        return dk_fail(fault, DK_ERR_MEMORY, "dns", NULL, "out of memory");
    }
    start_queries(run);
    if (!run->done && run->ended == run->count)
        conclude(run);
    *out = run;
    return DK_OK;
}

static bool dns_done(const struct dk_probe_run *run)
{
    return run->done;
}

static void dns_cancel(struct dk_probe_run *run, const char *reason)
{
    finish(run, DK_STATUS_FAILED, reason);
}

static void dns_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    *out = (struct dk_progress){
        .probe = dk_probe_dns.name,
        .elapsed_ns = dk_mono_diff_ns(dk_mono_now(), run->began),
        .duration_ns = TIMEOUT_MS * DK_NS_PER_MS,
    };
}

static void dns_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    free(out->dns.queries);
    out->dns = (struct dk_dns){.status = run->status, .timeout_ns = TIMEOUT_MS * DK_NS_PER_MS};
    snprintf(out->dns.reason, sizeof out->dns.reason, "%s", run->reason);
    for (size_t i = 0; i < run->started; i++)
        out->data_used_bytes += run->queries[i].bytes + OVERHEAD_BYTES;
    out->dns.count = run->started;
    out->dns.queries = run->results;
    run->results = NULL;
    run->count = run->started = 0;
}

static int64_t most_queries(const struct dk_plan *plan)
{
    struct dk_dns_asked asked;

    dk_dns_asked_gather(plan, false, &asked);
    return 4 * (int64_t)(asked.server_count + DK_DNS_LISTED_MAX) * (int64_t)asked.name_count;
}

static int64_t dns_max_bytes(const struct dk_plan *plan)
{
    return most_queries(plan) * (TCP_HEAD + MESSAGE_MAX + DK_DATAGRAM_MAX + OVERHEAD_BYTES);
}

static int64_t dns_max_duration_ns(const struct dk_plan *plan)
{
    return (most_queries(plan) / RUNNING_MAX + 1) * TIMEOUT_MS * DK_NS_PER_MS + DK_NS_PER_S / 2;
}

const struct dk_probe dk_probe_dns = {
    .name = "dns",
    .help = N_("response times of the DNS resolvers, over UDP and TCP"),
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = dns_max_bytes,
    .max_duration_ns = dns_max_duration_ns,
    .start = dns_start,
    .done = dns_done,
    .cancel = dns_cancel,
    .progress = dns_progress,
    .fill = dns_fill,
    .free = dns_free,
};
