// SPDX-License-Identifier: Apache-2.0
#include "probes/resolve.h"

#include "agent/base/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_SIZE = 256 };

struct dk_resolution {
    struct dk_loop *loop;
    CURL *transfer;
    dk_resolve_callback *callback;
    void *argument;
    struct sockaddr_storage address;
    socklen_t len; // 0 until an address was seen
    char error[CURL_ERROR_SIZE];
};

// Takes the first address that libcurl would connect to, and lets it go no further.
static curl_socket_t take_address(void *argument, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct dk_resolution *resolution = argument;

    if (purpose == CURLSOCKTYPE_IPCXN && resolution->len == 0 &&
        address->addrlen <= sizeof resolution->address) {
        memcpy(&resolution->address, &address->addr, address->addrlen);
        resolution->len = address->addrlen;
    }
    return CURL_SOCKET_BAD;
}

static void finished(void *argument, CURL *transfer, CURLcode result)
{
    struct dk_resolution *resolution = argument;

    (void)transfer;
    if (resolution->len > 0)
        resolution->callback(resolution->argument, (struct sockaddr *)&resolution->address, resolution->len, "");
    else
        resolution->callback(resolution->argument, NULL, 0,
                             resolution->error[0] != '\0' ? resolution->error : curl_easy_strerror(result));
}

// Splits "HOST[:PORT]" or "[ADDRESS][:PORT]"; the host keeps its brackets, as in a URL.
static bool split(const char *host_port, int default_port, char host[static HOST_SIZE], int64_t *port)
{
    const char *end = host_port[0] == '[' ? strchr(host_port, ']') : strchr(host_port, ':');

    if (host_port[0] == '[') {
        if (end == NULL)
            return false;
        end++;
    } else if (end == NULL) {
        end = host_port + strlen(host_port);
    }

    size_t len = (size_t)(end - host_port);

    if (len == 0 || len >= HOST_SIZE || strspn(host_port, "[]:.-_%0123456789abcdefghijklmnopqrstuvwxyz"
                                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(host_port))
        return false;
    memcpy(host, host_port, len);
    host[len] = '\0';
    *port = default_port;
    if (*end == '\0')
        return true;
    return *end == ':' && dk_parse_i64(end + 1, 1, 65535, port);
}

enum dk_err dk_resolve(struct dk_loop *loop, const char *host_port, int default_port, enum dk_family family,
                       int64_t timeout_ns, dk_resolve_callback *callback, void *argument,
                       struct dk_resolution **out)
{
    char host[HOST_SIZE], url[HOST_SIZE + 32];
    int64_t port = 0;

    if (!split(host_port, default_port, host, &port))
        return DK_ERR_DATA;

    struct dk_resolution *resolution = calloc(1, sizeof *resolution);

    if (resolution == NULL)
        return DK_ERR_MEMORY;
    resolution->loop = loop;
    resolution->callback = callback;
    resolution->argument = argument;
    resolution->transfer = curl_easy_init();
    if (resolution->transfer == NULL) {
        free(resolution);
        return DK_ERR_MEMORY;
    }

    CURL *transfer = resolution->transfer;
    long version = family == DK_FAMILY_IPV4   ? CURL_IPRESOLVE_V4
                   : family == DK_FAMILY_IPV6 ? CURL_IPRESOLVE_V6
                                              : CURL_IPRESOLVE_WHATEVER;

    snprintf(url, sizeof url, "http://%s:%d/", host, (int)port);
    curl_easy_setopt(transfer, CURLOPT_URL, url);
    curl_easy_setopt(transfer, CURLOPT_PROXY, "");
    curl_easy_setopt(transfer, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(transfer, CURLOPT_IPRESOLVE, version);
    curl_easy_setopt(transfer, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ns / DK_NS_PER_MS));
    curl_easy_setopt(transfer, CURLOPT_ERRORBUFFER, resolution->error);
    curl_easy_setopt(transfer, CURLOPT_OPENSOCKETFUNCTION, take_address);
    curl_easy_setopt(transfer, CURLOPT_OPENSOCKETDATA, resolution);

    enum dk_err err = dk_loop_add_transfer(loop, transfer, finished, resolution);

    if (err != DK_OK) {
        dk_resolve_free(resolution);
        return err;
    }
    *out = resolution;
    return DK_OK;
}

void dk_resolve_free(struct dk_resolution *resolution)
{
    if (resolution == NULL)
        return;
    dk_loop_remove_transfer(resolution->loop, resolution->transfer);
    curl_easy_cleanup(resolution->transfer);
    free(resolution);
}
