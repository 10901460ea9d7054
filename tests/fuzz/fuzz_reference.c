// SPDX-License-Identifier: Apache-2.0
//
// What comes over a connection to the reference server, which gives words of runs.
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/parse.h"
#include "probes/reference/http.h"
#include "probes/reference/listen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dk_reference_options options = {.http = "127.0.0.1:0",
                                                    .connections = 64,
                                                    .total_connections = 64,
                                                    .bytes_per_hour = INT64_C(1000000000000000),
                                                    .connection_seconds = 5,
                                                    .idle_seconds = 5,
                                                    .packets_per_second = 1000};
static struct dk_key *key;
static struct dk_http *http;
static uint16_t port;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void stop(void)
{
    dk_http_free(http);
    dk_key_free(key);
}

static void start(void)
{
    char address[DK_LISTEN_TEXT_SIZE];
    int64_t number = 0;
    int fd = -1;

    must(dk_key_generate(&key, NULL) == DK_OK &&
         dk_listen_open(options.http, SOCK_STREAM, &fd, address, NULL) == DK_OK &&
         dk_http_new(fd, &options, key, &http, NULL) == DK_OK &&
         dk_parse_i64(strrchr(address, ':') + 1, 1, 65535, &number));
    port = (uint16_t)number;
    must(atexit(stop) == 0);
}

static int call(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct linger reset = {1, 0}; // no port is kept waiting
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
         setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { TURNS = 8 }; // enough to read 64 kB and answer
    static char block[65536];
    size_t answered = 0;

    if (size > 65536)
        return 0;
    if (http == NULL)
        start();

    int fd = call();

    must(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
    for (int turn = 0; turn < TURNS; turn++) {
        dk_http_run(http);
        for (ssize_t n; (n = recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0; answered += (size_t)n)
            must(answered > 0 || n < 7 || memcmp(block, "HTTP/1.", 7) == 0);
    }
    close(fd);
    dk_http_run(http);
    return 0;
}
