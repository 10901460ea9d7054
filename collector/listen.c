// SPDX-License-Identifier: Apache-2.0
#include "collector/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/parse.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool read_address(const char *text, union address *out, socklen_t *len)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    int64_t port;

    if (colon == NULL || !dk_parse_i64(colon + 1, 0, 65535, &port))
        return false;

    bool bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    int host_len = (int)(colon - text) - (bracketed ? 2 : 0);

    if (host_len >= (int)sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", host_len, text + (bracketed ? 1 : 0));
    memset(out, 0, sizeof *out);
    if (bracketed && inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)port);
        *len = sizeof out->v6;
        return true;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)port);
    *len = sizeof out->v4;
    return !bracketed && inet_pton(AF_INET, host, &out->v4.sin_addr) == 1;
}

static void show(const union address *address, char shown[static DK_LISTEN_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        snprintf(shown, DK_LISTEN_TEXT_SIZE, "[%s]:%u", host, ntohs(address->v6.sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        snprintf(shown, DK_LISTEN_TEXT_SIZE, "%s:%u", host, ntohs(address->v4.sin_port));
    }
}

enum dk_err dk_listen(const char *text, int *fd, char shown[static DK_LISTEN_TEXT_SIZE],
                      struct dk_fault *fault)
{
    union address address;
    socklen_t len;

    if (!read_address(text, &address, &len))
        return dk_fail(fault, DK_ERR_USAGE, "--listen", NULL,
                       "'%s' is not allowed; allowed: ADDR:PORT or [ADDR6]:PORT, as in 127.0.0.1:8080", text);

    int made = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    // Without SO_REUSEADDR a restart would have to wait for old connections to be forgotten.
    if (made < 0 || setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (address.any.sa_family == AF_INET6 &&
         setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(made, &address.any, len) != 0 || listen(made, 256) != 0 ||
        getsockname(made, &address.any, &len) != 0) {
        int error_number = errno;

        if (made >= 0)
            close(made);
        return dk_fail(fault, error_number == EACCES ? DK_ERR_PERMISSION : DK_ERR_IO, text,
                       "choose another address or port, or end the program that has it", "cannot listen: %s",
                       strerror(error_number));
    }
    show(&address, shown);
    *fd = made;
    return DK_OK;
}
