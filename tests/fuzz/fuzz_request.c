// SPDX-License-Identifier: Apache-2.0
//
// What comes over a connection to the collector, with a store in memory that knows no device.
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/parse.h"
#include "collector/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dk_store *store;
static struct dk_key *key;
static struct dk_http *http;
static uint16_t port;
static int at_once = -1; // always readable: no step waits

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void stop(void)
{
    dk_http_free(http);
    dk_key_free(key);
    dk_store_free(store);
    close(at_once);
}

static void start(void)
{
    const struct dk_http_options options = {.listen = "127.0.0.1:0", .timeout_ns = 5 * DK_NS_PER_S};
    int64_t number = 0;

    must(dk_key_generate(&key, NULL) == DK_OK && dk_store_open("sqlite::memory:", &store, NULL) == DK_OK &&
         dk_http_open(&options, store, key, &http, NULL) == DK_OK &&
         dk_parse_i64(strrchr(dk_http_address(http), ':') + 1, 1, 65535, &number));
    port = (uint16_t)number;
    at_once = eventfd(1, EFD_CLOEXEC);
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
    enum { TURNS = 8 }; // enough to read 64 kB, take the records and answer
    char block[4096];
    size_t answered = 0;

    if (size > 65536)
        return 0;
    if (http == NULL)
        start();

    int fd = call();

    must(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
    for (int turn = 0; turn < TURNS; turn++) {
        must(dk_http_step(http, at_once, NULL) == DK_OK);
        for (ssize_t n; (n = recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0; answered += (size_t)n)
            must(answered > 0 || n < 7 || memcmp(block, "HTTP/1.", 7) == 0);
    }
    close(fd);
    must(dk_http_step(http, at_once, NULL) == DK_OK);
    return 0;
}
