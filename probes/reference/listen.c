// SPDX-License-Identifier: Apache-2.0
#include "probes/reference/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/parse.h"

enum { BACKLOG = 512, PORT_MAX = 65535 };

bool dk_listen_parse(const char *text, struct sockaddr_storage *out, socklen_t *out_len)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN] = "";
    int64_t port = 0;

    if (colon == NULL || !dk_parse_i64(colon + 1, 0, PORT_MAX, &port))
        return false;

    bool bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *start = text + (bracketed ? 1 : 0);
    size_t len = (size_t)(colon - start) - (bracketed ? 1 : 0);

    if (len >= sizeof host)
        return false;
    memcpy(host, start, len);

    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (!bracketed && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        *out_len = sizeof v4;
    } else if (bracketed && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(out, &v6, sizeof v6);
        *out_len = sizeof v6;
    } else {
        return false;
    }
    return true;
}

static bool describe(int fd, char chosen[static DK_LISTEN_TEXT_SIZE])
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof own;
    char host[INET6_ADDRSTRLEN] = "";

    if (getsockname(fd, (struct sockaddr *)&own, &len) != 0)
        return false;
    if (own.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, &own, sizeof v6);
        if (inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host) == NULL)
            return false;
        snprintf(chosen, DK_LISTEN_TEXT_SIZE, "[%s]:%u", host, (unsigned)ntohs(v6.sin6_port));
        return true;
    }

    struct sockaddr_in v4;

    memcpy(&v4, &own, sizeof v4);
    if (inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host) == NULL)
        return false;
    snprintf(chosen, DK_LISTEN_TEXT_SIZE, "%s:%u", host, (unsigned)ntohs(v4.sin_port));
    return true;
}

enum dk_err dk_listen_open(const char *text, int type, int *fd, char chosen[static DK_LISTEN_TEXT_SIZE],
                           struct dk_fault *fault)
{
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    int on = 1, off = 0;

    if (!dk_listen_parse(text, &address, &len))
        return dk_fail(fault, DK_ERR_USAGE, text, "write 203.0.113.7:8080, 0.0.0.0:8080 or [::]:8080",
                       "not a numeric address and port");

    int opened = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (opened >= 0) {
        if (type == SOCK_STREAM) // a UDP port that is taken must stay so
            (void)setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (address.ss_family == AF_INET6)
            (void)setsockopt(opened, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(opened, (struct sockaddr *)&address, len) == 0 &&
            (type != SOCK_STREAM || listen(opened, BACKLOG) == 0) && describe(opened, chosen)) {
            *fd = opened;
            return DK_OK;
        }
    }

    int error = errno;

    if (opened >= 0)
        close(opened);
    return dk_fail(fault, dk_err_from_errno(error), text,
                   error == EACCES       ? "ports below 1024 need root or CAP_NET_BIND_SERVICE"
                   : error == EADDRINUSE ? "stop what uses the port, or take another"
                                         : NULL,
                   "cannot listen: %s", strerror(error));
}
