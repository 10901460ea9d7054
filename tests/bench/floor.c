// SPDX-License-Identifier: Apache-2.0
//
// The least that receiving costs on this machine: one connection after another, discarded by the kernel, woken by a
// low-water mark of 1 MiB, nothing counted but bytes; over TLS the ciphertext. It checks nothing and times nothing.
// floor ADDRESS PORT http|https MIB SECONDS
#include "agent/base/clock.h"
#include "agent/base/parse.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK_BYTES = 8 << 20, LOW_WATER_BYTES = 1 << 20 };

// Drains one answer of `left` bytes, headers counted as if they were of it, until `end`; the bytes.
static int64_t drain(int fd, int64_t left, struct dk_mono end)
{
    static char unwritten[CHUNK_BYTES];
    struct dk_mono begun = dk_mono_now(), now = begun;
    int low_water = 1;
    int64_t bytes = 0;

    while (left > 0 && now.ns < end.ns) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int wanted = left < 2 * LOW_WATER_BYTES                          ? 1
                     : dk_mono_diff_ns(now, begun) > 100 * DK_NS_PER_MS ? LOW_WATER_BYTES
                                                                         : low_water;

        if (wanted != low_water && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted) == 0)
            low_water = wanted;
        (void)poll(&readable, 1, 100);

        ssize_t got = recv(fd, unwritten, sizeof unwritten, MSG_TRUNC | MSG_DONTWAIT);

        if (got == 0)
            break;
        bytes += got > 0 ? got : 0;
        left -= got > 0 ? got : 0;
        now = dk_mono_now();
    }
    return bytes;
}

static int64_t get(const struct sockaddr_in *server, SSL_CTX *context, int64_t mib, struct dk_mono end)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    char request[100];
    int len = snprintf(request, sizeof request, "GET /garbage?ckSize=%" PRId64 " HTTP/1.1\r\nHost: x\r\n\r\n", mib);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = NULL;
    bool sent = false;
    int64_t bytes = -1;

    if (connect(fd, (const struct sockaddr *)server, sizeof *server) == 0 && context != NULL) {
        ssl = SSL_new(context);
        sent = ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 && SSL_write(ssl, request, len) == len;
    } else {
        sent = send(fd, request, (size_t)len, MSG_NOSIGNAL) == len;
    }
    if (sent)
        bytes = drain(fd, mib << 20, end);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    SSL_free(ssl);
    close(fd);
    return bytes;
}

int main(int argc, char **argv)
{
    struct sockaddr_in server = {.sin_family = AF_INET};
    int64_t port = 0, mib = 0, seconds = 0, total = 0;

    if (argc != 6 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || !dk_parse_i64(argv[2], 1, 65535, &port) ||
        !dk_parse_i64(argv[4], 1, 1024, &mib) || !dk_parse_i64(argv[5], 1, 3600, &seconds))
        return 64;
    server.sin_port = htons((uint16_t)port);

    SSL_CTX *context = strcmp(argv[3], "https") == 0 ? SSL_CTX_new(TLS_client_method()) : NULL;
    struct dk_mono end = dk_mono_add_ns(dk_mono_now(), seconds * DK_NS_PER_S);

    while (dk_mono_now().ns < end.ns) {
        int64_t bytes = get(&server, context, mib, end);

        if (bytes < 0)
            return 69;
        total += bytes;
    }
    printf("%" PRId64 "\n", total);
    SSL_CTX_free(context);
    return 0;
}
