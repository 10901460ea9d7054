// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/calibrate.h"

#include "probes/probe.h"
#include "probes/server.h"
#include "probes/throughput/throughput.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 2 * DK_STREAMS_MAX, // a stream may open a new connection before its old one is seen to be closed
    HEAD_SIZE = 4096,
    PART_BYTES = 1 << 18,
    SINK_LIFE_S = 30, // whatever happens
};
static const int64_t duration_ns = 1500 * DK_NS_PER_MS;
static const int64_t connect_timeout_ns = 5 * DK_NS_PER_S;

DK_DEFINE_FREE(loop, struct dk_loop, dk_loop_free)

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define auto_fd __attribute__((cleanup(close_fd)))

struct client {
    int fd; // -1: the place is free
    char head[HEAD_SIZE];
    size_t head_len;
    int64_t left_bytes; // of the answer under way
};

struct server {
    int listener;
    int64_t download_bytes;
    char zeros[PART_BYTES];
    struct client clients[CLIENTS_MAX];
};

static void hang_up(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    client->head_len = 0;
    client->left_bytes = 0;
}

// Reads a request and begins its answer.
static void answer(const struct server *server, struct client *client)
{
    ssize_t got = recv(client->fd, client->head + client->head_len, HEAD_SIZE - 1 - client->head_len, 0);
    char text[128];

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        hang_up(client);
        return;
    }
    client->head_len += (size_t)got;
    client->head[client->head_len] = '\0';
    if (strstr(client->head, "\r\n\r\n") == NULL) {
        if (client->head_len == HEAD_SIZE - 1)
            hang_up(client);
        return;
    }
    client->head_len = 0;
    client->left_bytes = strncmp(client->head, "GET /garbage", 12) == 0 ? server->download_bytes : 0;

    int len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %" PRId64 "\r\n\r\n",
                       client->left_bytes);

    if (send(client->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        hang_up(client);
}

static void give(const struct server *server, struct client *client)
{
    while (client->left_bytes > 0) {
        size_t part = client->left_bytes < PART_BYTES ? (size_t)client->left_bytes : PART_BYTES;
        ssize_t sent = send(client->fd, server->zeros, part, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (sent < 0) {
            hang_up(client);
            return;
        }
        client->left_bytes -= sent;
    }
}

static void take_client(struct server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    for (size_t i = 0; i < CLIENTS_MAX && fd >= 0; i++)
        if (server->clients[i].fd < 0) {
            server->clients[i].fd = fd;
            return;
        }
    if (fd >= 0)
        close(fd);
}

// The process that gives out; it is ended from outside.
static void serve(struct server *server)
{
    for (;;) {
        struct pollfd fds[CLIENTS_MAX + 1] = {{.fd = server->listener, .events = POLLIN}};

        for (size_t i = 0; i < CLIENTS_MAX; i++)
            fds[i + 1] = (struct pollfd){.fd = server->clients[i].fd,
                                         .events = server->clients[i].left_bytes > 0 ? POLLOUT : POLLIN};
        if (poll(fds, CLIENTS_MAX + 1, -1) < 0)
            return;
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            if (fds[i + 1].revents == 0)
                continue;
            if (server->clients[i].left_bytes > 0)
                give(server, &server->clients[i]);
            else
                answer(server, &server->clients[i]);
        }
        if (fds[0].revents != 0)
            take_client(server);
    }
}

struct sink {
    pid_t pid; // 0: none
    int port;
};

static void stop_sink(struct sink *sink)
{
    if (sink->pid <= 0)
        return;
    kill(sink->pid, SIGKILL);
    while (waitpid(sink->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

// The child's side of the fork; never returns.
static void be_sink(int listener, int64_t download_bytes, pid_t parent)
{
    struct server *server = calloc(1, sizeof *server);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(SINK_LIFE_S);
    if (server != NULL && getppid() == parent) {
        server->listener = listener;
        server->download_bytes = download_bytes;
        for (size_t i = 0; i < CLIENTS_MAX; i++)
            server->clients[i].fd = -1;
        serve(server);
    }
    _exit(1);
}

static enum dk_err start_sink(struct sink *out, int64_t download_bytes, struct dk_fault *fault)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    auto_fd int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    pid_t parent = getpid();

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 ||
        listen(listener, CLIENTS_MAX) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return dk_fail(fault, DK_ERR_IO, "calibration", NULL, "no server on loopback: %s", strerror(errno));
    out->port = ntohs(address.sin_port);
    out->pid = fork();
    if (out->pid < 0)
        return dk_fail(fault, DK_ERR_IO, "calibration", NULL, "no process: %s", strerror(errno));
    if (out->pid == 0)
        be_sink(listener, download_bytes, parent);
    return DK_OK;
}

static enum dk_err download(const struct dk_plan *plan, struct dk_measurement *out, struct dk_fault *fault)
{
    const struct dk_probe *probe = &dk_probe_download;
    struct dk_probe_run *run = NULL;
    dk_auto(loop) struct dk_loop *loop = NULL;
    struct dk_mono deadline = dk_mono_add_ns(dk_mono_now(), probe->max_duration_ns(plan));
    enum dk_err err = dk_loop_new(&loop, fault);

    if (err == DK_OK)
        err = probe->start(loop, plan, out, &run, fault);
    while (err == DK_OK && !probe->done(run)) {
        err = dk_loop_turn(loop, deadline);
        if (dk_mono_now().ns >= deadline.ns && !probe->done(run))
            probe->cancel(run, "took longer than its deadline");
    }
    if (err == DK_OK)
        probe->fill(run, out);
    if (run != NULL)
        probe->free(run);
    return err;
}

enum dk_err dk_calibrate(const struct dk_settings *settings, struct dk_measurement *out, struct dk_fault *fault)
{
    __attribute__((cleanup(stop_sink))) struct sink sink = {0};
    struct dk_server_urls urls;
    char url[64];

    *out = (struct dk_measurement){0};
    // For the size of an answer; the port is not known yet.
    dk_server_find(DK_SERVER_KIND_DOKIEM, "http://127.0.0.1", "", &urls);

    enum dk_err err = start_sink(&sink, urls.download_max_bytes, fault);

    if (err != DK_OK)
        return err;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", sink.port);
    dk_server_find(DK_SERVER_KIND_DOKIEM, url, "", &urls);

    const struct dk_plan plan = {
        .url = url,
        .run = "",
        .urls = &urls,
        .stamp = "off",
        .ca_file = "",
        .interface = "",
        .link = "",
        .user_agent = "dokiem/" DK_VERSION,
        .family = DK_FAMILY_IPV4,
        .streams = settings->streams,
        .duration_ns = duration_ns,
        .connect_timeout_ns = connect_timeout_ns,
        .max_bytes = INT64_MAX,
    };

    return download(&plan, out, fault);
}
