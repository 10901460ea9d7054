// SPDX-License-Identifier: Apache-2.0
#include "probes/reference/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/network.h"
#include "agent/base/parse.h"
#include "agent/record/seal.h"
#include "probes/reference/clients.h"
#include "probes/reference/runs.h"

enum {
    CHUNK_BYTES = 1 << 20, // LibreSpeed's unit of ckSize
    CHUNKS_DEFAULT = 4,
    CHUNKS_MAX = 1024,
    CONNECTION_MEMORY = 256 << 10, // one recv() of an upload takes up to half of it
};

static const int64_t sweep_ns = DK_NS_PER_S, count_ns = 100 * DK_NS_PER_MS;

// A connection, in the order of their beginnings.
struct connection {
    struct connection *older, *newer;
    struct dk_client *client;
    int fd;
    struct dk_mono opened;
    struct dk_moved charged; // what the client has been charged for already
    // The run whose payload it carries; NULL: none yet.
    struct dk_seen *seen;
    bool upload;
    size_t stream;
    int64_t base_received_bytes, base_acked_bytes; // moved before the payload
    struct dk_mono joined; // the run
    int64_t base_busy_us;                          // likewise
    int64_t noted_bytes, noted_idle_ns;            // of what followed, in the run already
};

enum fixed_response { OK_EMPTY, BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, TOO_MUCH, NO_WORD, NO_RUN, FIXED_RESPONSES };

struct dk_http {
    struct MHD_Daemon *daemon;
    const struct dk_reference_options *options;
    struct dk_clients *clients;
    const struct dk_key *word_key; // NULL: no words, and no runs
    struct dk_runs *runs;
    struct connection *oldest, *newest;
    struct dk_mono next_sweep, counted;
    struct dk_moved moved; // on all connections, as they were charged
    struct MHD_Response *fixed[FIXED_RESPONSES];
    struct MHD_IoVec parts[CHUNKS_MAX]; // each is the whole of `random`
    uint8_t random[CHUNK_BYTES];
};

// What TCP says of the connection, zero where it does not.
static struct tcp_info ask_tcp(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return (struct tcp_info){0};
    return info;
}

static int64_t send_buffer_bytes(int fd)
{
    int bytes = 0;
    socklen_t len = sizeof bytes;

    return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len) == 0 ? bytes : 0;
}

static int64_t growth(int64_t *known, int64_t now)
{
    int64_t grown = now > *known ? now - *known : 0;

    *known += grown;
    return grown;
}

// Charges the client, the server and the run with what has come through since the last time.
static void charge(struct dk_http *http, struct connection *connection)
{
    struct tcp_info info = ask_tcp(connection->fd);
    int64_t sent_bytes = growth(&connection->charged.sent_bytes, (int64_t)info.tcpi_bytes_acked);
    int64_t received_bytes = growth(&connection->charged.received_bytes, (int64_t)info.tcpi_bytes_received);

    connection->client->bytes += sent_bytes + received_bytes;
    http->moved.sent_bytes += sent_bytes;
    http->moved.received_bytes += received_bytes;
    if (connection->seen != NULL)
        connection->seen->own_bytes[connection->upload] += connection->upload ? received_bytes : sent_bytes;
}

// What the server has moved by now, not more than `count_ns` ago: looking at each connection takes its time.
static const struct dk_moved *count_moved(struct dk_http *http, struct dk_mono now)
{
    if (dk_mono_diff_ns(now, http->counted) >= count_ns) {
        for (struct connection *c = http->oldest; c != NULL; c = c->newer)
            charge(http, c);
        http->counted = now;
    }
    return &http->moved;
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

// Puts into the connection's run what it has moved since the last time. Of a download what the client has behind a gap
// came through too.
static void note_run(struct dk_http *http, struct connection *connection)
{
    struct dk_mono now = dk_mono_now();

    if (connection->seen == NULL)
        return;

    struct tcp_info info = ask_tcp(connection->fd);
    int64_t payload_bytes = connection->upload
                                ? (int64_t)info.tcpi_bytes_received - connection->base_received_bytes
                                : (int64_t)info.tcpi_bytes_acked - connection->base_acked_bytes +
                                      (int64_t)info.tcpi_sacked * (int64_t)info.tcpi_snd_mss;
    int64_t since_ms = connection->upload ? (int64_t)info.tcpi_last_data_recv : (int64_t)info.tcpi_last_ack_recv;
    int64_t rtt_us = connection->upload && info.tcpi_rcv_rtt > 0 ? (int64_t)info.tcpi_rcv_rtt : (int64_t)info.tcpi_rtt;
    struct dk_seen_part part = {
        .bytes = payload_bytes - connection->noted_bytes,
        .last = dk_mono_add_ns(now, -since_ms * DK_NS_PER_MS),
        .rtt_ns = rtt_us * DK_NS_PER_US,
        .rtt_min_ns = (info.tcpi_min_rtt < info.tcpi_rtt ? info.tcpi_min_rtt : info.tcpi_rtt) * DK_NS_PER_US,
    };

    if (part.bytes <= 0)
        return;
    connection->noted_bytes += part.bytes;
    if (!connection->upload) {
        // To the last acknowledgement: what the client leaves is no fault of the server's.
        int64_t idle_ns = dk_mono_diff_ns(part.last, connection->joined) -
                          ((int64_t)info.tcpi_busy_time - connection->base_busy_us) * DK_NS_PER_US;

        part.idle_ns = growth(&connection->noted_idle_ns, idle_ns);
        part.send_buffer_bytes = send_buffer_bytes(connection->fd);
    }
    dk_seen_add(connection->seen, connection->upload, connection->stream, &part, count_moved(http, now));
}

static void leave_run(struct dk_http *http, struct connection *connection)
{
    note_run(http, connection);
    if (connection->seen != NULL)
        connection->seen->connections--;
    connection->seen = NULL;
}

// What the connection has moved so far is not payload of a run. What it has received and nobody has read is of the next
// request: it may be there before the last one is seen to end.
static void set_base(struct connection *connection)
{
    enum { TRIES = 5 };
    struct tcp_info info = ask_tcp(connection->fd), later = {0};
    int unread = 0;

    // Both at one moment.
    for (int i = 0; i < TRIES && later.tcpi_bytes_received != info.tcpi_bytes_received; i++) {
        info = ask_tcp(connection->fd);
        if (ioctl(connection->fd, FIONREAD, &unread) != 0)
            unread = 0;
        later = ask_tcp(connection->fd);
    }
    connection->noted_bytes = connection->noted_idle_ns = 0;
    connection->base_received_bytes = (int64_t)info.tcpi_bytes_received - unread;
    connection->base_acked_bytes = (int64_t)info.tcpi_bytes_acked;
    connection->base_busy_us = (int64_t)info.tcpi_busy_time;
}

static void request_ended(void *argument, struct MHD_Connection *mhd, void **state,
                          enum MHD_RequestTerminationCode how)
{
    struct connection *connection = connection_of(mhd);

    (void)argument, (void)state, (void)how;
    if (connection != NULL && connection->seen == NULL)
        set_base(connection);
}

static enum MHD_Result may_connect(void *argument, const struct sockaddr *address, socklen_t len)
{
    struct dk_http *http = argument;
    struct dk_peer peer;

    if (!dk_peer_read(address, len, &peer))
        return MHD_NO;

    const struct dk_client *client = dk_clients_find(http->clients, &peer, dk_mono_now());

    return client != NULL && client->connections < http->options->connections ? MHD_YES : MHD_NO;
}

static bool peer_of(struct MHD_Connection *mhd, struct dk_peer *out)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info != NULL && dk_peer_read(info->client_addr,
                                        info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                                 : sizeof(struct sockaddr_in),
                                        out);
}

static void connection_opened(struct dk_http *http, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = calloc(1, sizeof *connection);
    struct dk_mono now = dk_mono_now();
    struct dk_peer peer;

    *context = NULL; // then every request on it is refused
    if (connection == NULL || info == NULL || !peer_of(mhd, &peer) ||
        (connection->client = dk_clients_find(http->clients, &peer, now)) == NULL) {
        free(connection);
        return;
    }
    connection->client->connections++;
    connection->fd = info->connect_fd;
    connection->opened = now;
    connection->older = http->newest;
    if (http->newest != NULL)
        http->newest->newer = connection;
    else
        http->oldest = connection;
    http->newest = connection;
    *context = connection;
}

static void connection_closed(struct dk_http *http, void **context)
{
    struct connection *connection = *context;

    if (connection == NULL)
        return;
    charge(http, connection);
    leave_run(http, connection);
    connection->client->connections--;
    if (connection->older != NULL)
        connection->older->newer = connection->newer;
    else
        http->oldest = connection->newer;
    if (connection->newer != NULL)
        connection->newer->older = connection->older;
    else
        http->newest = connection->older;
    free(connection);
    *context = NULL;
}

static void connection_changed(void *argument, struct MHD_Connection *mhd, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(argument, mhd, context);
    else
        connection_closed(argument, context);
}

// Ends what has lived or moved too much. The socket is shut down, libmicrohttpd finds it so and closes it;
// without lingering, since a peer that does not read would keep the kernel's buffers for minutes.
static void sweep(struct dk_http *http, struct dk_mono now)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    for (struct connection *c = http->oldest; c != NULL; c = c->newer) {
        charge(http, c);
        if (dk_mono_diff_ns(now, c->opened) >= http->options->connection_seconds * DK_NS_PER_S ||
            c->client->bytes >= http->options->bytes_per_hour) {
            (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
            (void)shutdown(c->fd, SHUT_RDWR);
        }
    }
}

static enum MHD_Result queue_fixed(const struct dk_http *http, struct MHD_Connection *mhd, unsigned status,
                                   enum fixed_response which)
{
    return MHD_queue_response(mhd, status, http->fixed[which]);
}

static enum MHD_Result queue_and_drop(struct MHD_Connection *mhd, struct MHD_Response *response,
                                      const char *type)
{
    if (response == NULL)
        return MHD_NO;

    enum MHD_Result result = MHD_NO;

    if (MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
        MHD_add_response_header(response, "Content-Type", type) == MHD_YES)
        result = MHD_queue_response(mhd, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result serve_garbage(const struct dk_http *http, struct MHD_Connection *mhd)
{
    const char *size = MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, "ckSize");
    int64_t chunks = CHUNKS_DEFAULT;

    if (size != NULL && !dk_parse_i64(size, 1, CHUNKS_MAX, &chunks))
        return queue_fixed(http, mhd, MHD_HTTP_BAD_REQUEST, BAD_REQUEST);
    return queue_and_drop(mhd, MHD_create_response_from_iovec(http->parts, (unsigned)chunks, NULL, NULL),
                          "application/octet-stream");
}

// The client's numeric address; "" when it is not known.
static void address_of(struct MHD_Connection *mhd, char text[static INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    text[0] = '\0';
    if (info == NULL)
        return;
    if (info->client_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, info->client_addr, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, INET6_ADDRSTRLEN);
        else
            inet_ntop(AF_INET6, &v6.sin6_addr, text, INET6_ADDRSTRLEN);
    } else {
        struct sockaddr_in v4;

        memcpy(&v4, info->client_addr, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, INET6_ADDRSTRLEN);
    }
}

static enum MHD_Result serve_address(struct MHD_Connection *mhd)
{
    char text[INET6_ADDRSTRLEN];

    address_of(mhd, text);
    if (text[0] == '\0')
        return MHD_NO;
    return queue_and_drop(mhd, MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY),
                          "text/plain");
}

static bool is_proxied(struct MHD_Connection *mhd)
{
    static const char *const headers[] = {"Via", "Forwarded", "X-Forwarded-For", "X-Real-IP"};

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, headers[i]) != NULL)
            return true;
    return false;
}

// From here on the payload of the connection is that of the run and stream which the request names. A proxy's
// connections say nothing of the client's.
static void join_run(struct dk_http *http, struct MHD_Connection *mhd, bool upload)
{
    const char *run = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Dokiem-Run");
    const char *number = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Dokiem-Stream");
    struct connection *connection = connection_of(mhd);
    struct dk_mono now = dk_mono_now();
    char address[INET6_ADDRSTRLEN];
    int64_t stream = 0;
    struct dk_peer peer;

    if (http->word_key == NULL || connection == NULL)
        return;

    struct dk_seen *seen = run != NULL && number != NULL && !is_proxied(mhd) && peer_of(mhd, &peer) &&
                                   dk_parse_i64(number, 0, DK_STREAMS_MAX - 1, &stream)
                               ? dk_runs_name(http->runs, run, &peer, now)
                               : NULL;

    if (seen != NULL && seen == connection->seen && upload == connection->upload &&
        (size_t)stream == connection->stream)
        return;
    if (seen != NULL)
        seen->connections++;
    if (connection->seen != NULL) {
        leave_run(http, connection);
        set_base(connection);
    }
    if (seen == NULL)
        return;
    connection->seen = seen;
    connection->upload = upload;
    connection->stream = (size_t)stream;
    address_of(mhd, address);
    (void)dk_network_of(address, seen->word.client);
    connection->joined = now;
    dk_seen_begin(seen, upload, now, dk_wall_now(), count_moved(http, now));
}

static enum MHD_Result serve_key(const struct dk_http *http, struct MHD_Connection *mhd)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1024);

    if (http->word_key == NULL)
        return queue_fixed(http, mhd, MHD_HTTP_NOT_FOUND, NO_WORD);
    if (dk_key_public_jwk(http->word_key, &jwk) != DK_OK)
        return MHD_NO;
    return queue_and_drop(mhd, MHD_create_response_from_buffer(jwk.len, jwk.data, MHD_RESPMEM_MUST_COPY),
                          "application/jwk+json");
}

static enum MHD_Result serve_word(struct dk_http *http, struct MHD_Connection *mhd)
{
    const char *run = MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, "run");
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_WORD_SIZE), jws = dk_buf_make(DK_WORD_SIZE - 1);
    struct dk_peer peer;

    if (http->word_key == NULL)
        return queue_fixed(http, mhd, MHD_HTTP_NOT_FOUND, NO_WORD);

    struct dk_seen *seen =
        run != NULL && peer_of(mhd, &peer) ? dk_runs_find(http->runs, run, &peer, dk_mono_now()) : NULL;

    // The end of a connection may still be on its way.
    for (struct connection *c = http->oldest; seen != NULL && c != NULL; c = c->newer)
        if (c->seen == seen)
            note_run(http, c);
    if (seen == NULL || (!seen->word.download.seen && !seen->word.upload.seen))
        return queue_fixed(http, mhd, MHD_HTTP_NOT_FOUND, NO_RUN);
    if (seen->words >= DK_RUN_WORDS_MAX)
        return queue_fixed(http, mhd, MHD_HTTP_TOO_MANY_REQUESTS, TOO_MUCH);
    seen->words++;
    seen->word.issued = dk_wall_now();
    seen->word.line_bps = http->options->line_bps;
    if (dk_word_build(&seen->word, &payload) != DK_OK ||
        dk_seal(http->word_key, DK_TYP_WORD, payload.data, payload.len, &jws, NULL) != DK_OK)
        return MHD_NO;
    return queue_and_drop(mhd, MHD_create_response_from_buffer(jws.len, jws.data, MHD_RESPMEM_MUST_COPY),
                          "application/jose");
}

static enum MHD_Result respond(struct dk_http *http, struct MHD_Connection *mhd, const char *path,
                               const char *method)
{
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool empty = strcmp(path, "/empty") == 0;

    bool garbage = strcmp(path, "/garbage") == 0, word = strcmp(path, "/word") == 0;

    if (!empty && !garbage && !word && strcmp(path, "/getIP") != 0 && strcmp(path, "/word/key") != 0)
        return queue_fixed(http, mhd, MHD_HTTP_NOT_FOUND, NOT_FOUND);
    if (!get && !(empty && strcmp(method, "POST") == 0))
        return queue_fixed(http, mhd, MHD_HTTP_METHOD_NOT_ALLOWED, NOT_ALLOWED);
    if (empty)
        return queue_fixed(http, mhd, MHD_HTTP_OK, OK_EMPTY);
    if (garbage) {
        join_run(http, mhd, false);
        return serve_garbage(http, mhd);
    }
    if (word)
        return serve_word(http, mhd);
    return strcmp(path, "/getIP") == 0 ? serve_address(mhd) : serve_key(http, mhd);
}

// Called when the headers are there, for each part of a body, and when all has been read.
static enum MHD_Result on_request(void *argument, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    static char headers_seen, body_seen;
    struct dk_http *http = argument;

    (void)version;
    (void)upload;
    if (*state == NULL) {
        struct connection *connection = connection_of(mhd);

        *state = &headers_seen;
        if (connection != NULL)
            charge(http, connection);
        if (connection == NULL || connection->client->bytes >= http->options->bytes_per_hour)
            return queue_fixed(http, mhd, MHD_HTTP_TOO_MANY_REQUESTS, TOO_MUCH);
        return MHD_YES;
    }
    if (*upload_len > 0) {
        if (*state != &body_seen)
            join_run(http, mhd, true);
        *state = &body_seen;
        *upload_len = 0; // read, counted by TCP, forgotten
        return MHD_YES;
    }
    return respond(http, mhd, path, method);
}

static bool make_fixed(struct dk_http *http)
{
    static const struct {
        const char *body, *header, *value;
    } rows[FIXED_RESPONSES] = {
        [OK_EMPTY] = {"", NULL, NULL},
        [BAD_REQUEST] = {"ckSize is a whole number of MiB from 1 to 1024\n", NULL, NULL},
        [NOT_FOUND] = {"here are /garbage, /empty, /getIP, /word and /word/key\n", NULL, NULL},
        [NOT_ALLOWED] = {"", "Allow", "GET, HEAD, POST"},
        [NO_WORD] = {"this server gives no word: it has no key for it\n", NULL, NULL},
        [NO_RUN] = {"nothing is known of such a run of this client\n", NULL, NULL},
        [TOO_MUCH] = {"this client has used what it may in an hour\n", "Retry-After", "3600"},
    };

    for (size_t i = 0; i < FIXED_RESPONSES; i++) {
        char *body = strdup(rows[i].body);

        if (body != NULL)
            http->fixed[i] = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
        if (http->fixed[i] == NULL ||
            MHD_add_response_header(http->fixed[i], "Cache-Control", "no-store") != MHD_YES ||
            (rows[i].header != NULL &&
             MHD_add_response_header(http->fixed[i], rows[i].header, rows[i].value) != MHD_YES))
            return false;
    }
    return true;
}

static bool fill_random(struct dk_http *http)
{
    size_t filled = 0;

    while (filled < sizeof http->random) {
        ssize_t got = getrandom(http->random + filled, sizeof http->random - filled, 0);

        if (got < 0 && errno != EINTR)
            return false;
        filled += got > 0 ? (size_t)got : 0;
    }
    for (size_t i = 0; i < CHUNKS_MAX; i++)
        http->parts[i] = (struct MHD_IoVec){http->random, sizeof http->random};
    return true;
}

enum dk_err dk_http_new(int fd, const struct dk_reference_options *options, const struct dk_key *word_key,
                        struct dk_http **out, struct dk_fault *fault)
{
    struct dk_http *http = calloc(1, sizeof *http);
    enum dk_err err = DK_OK;

    if (http == NULL)
        err = dk_fail(fault, DK_ERR_MEMORY, "HTTP", NULL, "out of memory");
    else if ((err = dk_clients_new(&http->clients, fault)) == DK_OK && word_key != NULL)
        err = dk_runs_new(&http->runs, fault);
    if (err == DK_OK && !fill_random(http))
        err = dk_fail(fault, DK_ERR_IO, "HTTP", NULL, "the kernel gives no random bytes");
    if (err == DK_OK) {
        http->options = options;
        http->word_key = word_key;
        http->next_sweep = dk_mono_add_ns(dk_mono_now(), sweep_ns);
        http->daemon = MHD_start_daemon(
            MHD_USE_EPOLL, 0, may_connect, http, on_request, http, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->total_connections, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)options->idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
            MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http,
            MHD_OPTION_NOTIFY_COMPLETED, request_ended, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
        if (http->daemon == NULL)
            err = dk_fail(fault, DK_ERR_IO, "HTTP", NULL, "libmicrohttpd cannot start");
        else if (!make_fixed(http))
            err = dk_fail(fault, DK_ERR_MEMORY, "HTTP", NULL, "out of memory");
    }
    if (err != DK_OK) {
        if (http == NULL || http->daemon == NULL)
            close(fd);
        dk_http_free(http);
        return err;
    }
    *out = http;
    return DK_OK;
}

void dk_http_free(struct dk_http *http)
{
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    for (size_t i = 0; i < FIXED_RESPONSES; i++)
        if (http->fixed[i] != NULL)
            MHD_destroy_response(http->fixed[i]);
    dk_clients_free(http->clients);
    dk_runs_free(http->runs);
    free(http);
}

int dk_http_fd(const struct dk_http *http)
{
    return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

struct dk_mono dk_http_deadline(const struct dk_http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;

    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES && timeout_ms < 1000) {
        struct dk_mono deadline = dk_mono_add_ns(dk_mono_now(), (int64_t)timeout_ms * DK_NS_PER_MS);

        if (dk_mono_diff_ns(http->next_sweep, deadline) > 0)
            return deadline;
    }
    return http->next_sweep;
}

void dk_http_run(struct dk_http *http)
{
    struct dk_mono now = dk_mono_now();

    if (dk_mono_diff_ns(now, http->next_sweep) >= 0) {
        sweep(http, now);
        http->next_sweep = dk_mono_add_ns(now, sweep_ns);
    }
    (void)MHD_run(http->daemon);
}
