// SPDX-License-Identifier: Apache-2.0
#include "probes/candidates.h"

#include "agent/base/clock.h"

#include <stdio.h>
#include <string.h>

struct asking;

struct candidate {
    struct asking *asking;
    struct dk_candidate *out;
    CURL *transfer; // NULL once it has ended
    int64_t connect_ns[DK_CANDIDATE_CONNECTS];
    char error[CURL_ERROR_SIZE];
};

struct asking {
    struct dk_loop *loop;
    size_t count, waiting;
    struct candidate candidates[DK_CANDIDATES_MAX];
};

static void end(struct candidate *candidate, const char *reason)
{
    struct dk_candidate *out = candidate->out;

    if (candidate->transfer == NULL)
        return;
    dk_loop_remove_transfer(candidate->asking->loop, candidate->transfer);
    curl_easy_cleanup(candidate->transfer);
    candidate->transfer = NULL;
    candidate->asking->waiting--;
    out->status = out->connects > 0 ? DK_STATUS_OK : DK_STATUS_FAILED;
    out->connect_ns = out->connects > 0 ? candidate->connect_ns[(out->connects - 1) / 2] : -1;
    if (out->connects == 0)
        snprintf(out->reason, sizeof out->reason, "%s", reason);
}

static void take_time(struct candidate *candidate, CURL *transfer)
{
    curl_off_t connected_us = 0, named_us = 0;
    size_t at = (size_t)candidate->out->connects++;

    curl_easy_getinfo(transfer, CURLINFO_CONNECT_TIME_T, &connected_us);
    curl_easy_getinfo(transfer, CURLINFO_NAMELOOKUP_TIME_T, &named_us);

    int64_t took_ns = ((int64_t)connected_us - (int64_t)named_us) * DK_NS_PER_US;

    for (; at > 0 && candidate->connect_ns[at - 1] > took_ns; at--)
        candidate->connect_ns[at] = candidate->connect_ns[at - 1];
    candidate->connect_ns[at] = took_ns;
}

static void on_connected(void *argument, CURL *transfer, CURLcode result)
{
    struct candidate *candidate = argument;

    if (result == CURLE_OK)
        take_time(candidate, transfer);
    if (result != CURLE_OK || candidate->out->connects == DK_CANDIDATE_CONNECTS)
        end(candidate, candidate->error[0] != '\0' ? candidate->error : curl_easy_strerror(result));
    else if (dk_loop_add_transfer(candidate->asking->loop, transfer, on_connected, candidate) != DK_OK)
        end(candidate, "out of memory");
}

// Plain HTTP, for TLS is no part of the distance; no request is sent.
static bool write_address(const char *url, char *out, size_t size)
{
    bool tls = strncmp(url, "https://", 8) == 0;
    const char *host = url + (tls ? 8 : 7);
    size_t len = strcspn(host, "/"), name = host[0] == '[' ? strcspn(host, "]") : 0;
    bool port = memchr(host + name, ':', len - name) != NULL;

    return snprintf(out, size, "http://%.*s%s/", (int)len, host, port ? "" : tls ? ":443" : ":80") < (int)size;
}

static enum dk_err ask(struct candidate *candidate, enum dk_family family, const char *interface)
{
    CURL *transfer = candidate->transfer = curl_easy_init();
    char url[400], device[64];

    if (transfer == NULL)
        return DK_ERR_MEMORY;
    candidate->asking->waiting++;
    if (!write_address(candidate->out->url, url, sizeof url))
        return DK_ERR_INTERNAL;
    curl_easy_setopt(transfer, CURLOPT_URL, url);
    curl_easy_setopt(transfer, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(transfer, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(transfer, CURLOPT_PROXY, "");
    curl_easy_setopt(transfer, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(transfer, CURLOPT_IPRESOLVE,
                     family == DK_FAMILY_IPV4   ? CURL_IPRESOLVE_V4
                     : family == DK_FAMILY_IPV6 ? CURL_IPRESOLVE_V6
                                                : CURL_IPRESOLVE_WHATEVER);
    curl_easy_setopt(transfer, CURLOPT_ERRORBUFFER, candidate->error);
    if (interface[0] != '\0') {
        snprintf(device, sizeof device, "if!%s", interface);
        curl_easy_setopt(transfer, CURLOPT_INTERFACE, device);
    }
    return dk_loop_add_transfer(candidate->asking->loop, transfer, on_connected, candidate);
}

enum dk_err dk_candidates_ask(struct dk_loop *loop, enum dk_family family, const char *interface,
                              const bool *interrupted, struct dk_candidate *candidates, size_t count,
                              struct dk_fault *fault)
{
    struct asking asking = {.loop = loop, .count = count};
    struct dk_mono deadline = dk_mono_add_ns(dk_mono_now(), DK_CANDIDATES_MAX_MS * DK_NS_PER_MS);
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < count && err == DK_OK; i++) {
        asking.candidates[i] = (struct candidate){.asking = &asking, .out = &candidates[i]};
        candidates[i].connects = 0;
        candidates[i].connect_ns = -1;
        err = ask(&asking.candidates[i], family, interface);
    }
    while (err == DK_OK && asking.waiting > 0 && !*interrupted && dk_mono_now().ns < deadline.ns)
        err = dk_loop_turn(loop, deadline);
    for (size_t i = 0; i < count; i++)
        if (asking.candidates[i].asking != NULL)
            end(&asking.candidates[i], *interrupted ? "interrupted" : "no connection within 3 s");
    return err == DK_OK ? DK_OK : dk_fail(fault, err, "servers", NULL, "cannot ask the servers how far they are");
}
