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
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/parse.h"
#include "probes/reference/clients.h"

enum {
    CHUNK_BYTES = 1 << 20, // LibreSpeed's unit of ckSize
    CHUNKS_DEFAULT = 4,
    CHUNKS_MAX = 1024,
    CONNECTION_MEMORY = 256 << 10, // one recv() of an upload takes up to half of it
};

static const int64_t sweep_ns = DK_NS_PER_S;

// A connection, in the order of their beginnings.
struct connection {
    struct connection *older, *newer;
    struct dk_client *client;
    int fd;
    struct dk_mono opened;
    int64_t charged_bytes; // what the client has been charged for it already
};

enum fixed_response { OK_EMPTY, BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, TOO_MUCH, FIXED_RESPONSES };

struct dk_http {
    struct MHD_Daemon *daemon;
    const struct dk_reference_options *options;
    struct dk_clients *clients;
    struct connection *oldest, *newest;
    struct dk_mono next_sweep;
    struct MHD_Response *fixed[FIXED_RESPONSES];
    struct MHD_IoVec parts[CHUNKS_MAX]; // each is the whole of `random`
    uint8_t random[CHUNK_BYTES];
};

// What TCP says has arrived in both directions, headers included; what it does not say is 0.
static int64_t moved_bytes(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return (int64_t)(info.tcpi_bytes_acked + info.tcpi_bytes_received);
}

static void charge(struct connection *connection)
{
    int64_t moved = moved_bytes(connection->fd);

    if (moved > connection->charged_bytes) {
        connection->client->bytes += moved - connection->charged_bytes;
        connection->charged_bytes = moved;
    }
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
    charge(connection);
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
        charge(c);
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

static enum MHD_Result serve_address(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "";

    if (info == NULL)
        return MHD_NO;
    if (info->client_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, info->client_addr, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
        else
            inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    } else {
        struct sockaddr_in v4;

        memcpy(&v4, info->client_addr, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    }
    return queue_and_drop(mhd, MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY),
                          "text/plain");
}

static enum MHD_Result respond(const struct dk_http *http, struct MHD_Connection *mhd, const char *path,
                               const char *method)
{
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool empty = strcmp(path, "/empty") == 0;

    if (!empty && strcmp(path, "/garbage") != 0 && strcmp(path, "/getIP") != 0)
        return queue_fixed(http, mhd, MHD_HTTP_NOT_FOUND, NOT_FOUND);
    if (!get && !(empty && strcmp(method, "POST") == 0))
        return queue_fixed(http, mhd, MHD_HTTP_METHOD_NOT_ALLOWED, NOT_ALLOWED);
    if (empty)
        return queue_fixed(http, mhd, MHD_HTTP_OK, OK_EMPTY);
    return strcmp(path, "/getIP") == 0 ? serve_address(mhd) : serve_garbage(http, mhd);
}

// Called when the headers are there, for each part of a body, and when all has been read.
static enum MHD_Result on_request(void *argument, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    static char headers_seen;
    struct dk_http *http = argument;

    (void)version;
    (void)upload;
    if (*state == NULL) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        struct connection *connection = info != NULL ? info->socket_context : NULL;

        *state = &headers_seen;
        if (connection != NULL)
            charge(connection);
        if (connection == NULL || connection->client->bytes >= http->options->bytes_per_hour)
            return queue_fixed(http, mhd, MHD_HTTP_TOO_MANY_REQUESTS, TOO_MUCH);
        return MHD_YES;
    }
    if (*upload_len > 0) {
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
        [NOT_FOUND] = {"here are /garbage, /empty and /getIP\n", NULL, NULL},
        [NOT_ALLOWED] = {"", "Allow", "GET, HEAD, POST"},
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

enum dk_err dk_http_new(int fd, const struct dk_reference_options *options, struct dk_http **out,
                        struct dk_fault *fault)
{
    struct dk_http *http = calloc(1, sizeof *http);
    enum dk_err err = DK_OK;

    if (http == NULL)
        err = dk_fail(fault, DK_ERR_MEMORY, "HTTP", NULL, "out of memory");
    else if ((err = dk_clients_new(&http->clients, fault)) == DK_OK && !fill_random(http))
        err = dk_fail(fault, DK_ERR_IO, "HTTP", NULL, "the kernel gives no random bytes");
    if (err == DK_OK) {
        http->options = options;
        http->next_sweep = dk_mono_add_ns(dk_mono_now(), sweep_ns);
        http->daemon = MHD_start_daemon(
            MHD_USE_EPOLL, 0, may_connect, http, on_request, http, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->total_connections, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)options->idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
            MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http, MHD_OPTION_STRICT_FOR_CLIENT, 1,
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
