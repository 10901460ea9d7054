// SPDX-License-Identifier: Apache-2.0
#include "agent/deliver/exchange.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/clock.h"

enum { HEADERS_MAX_BYTES = 64 << 10, URL_MAX = 2048, CONTENT_TYPE_MAX = 64 };

static const int64_t retry_after_max_ns = 60 * DK_NS_PER_S;
static const int64_t first_pause_ns = 500 * DK_NS_PER_MS;

struct transfer {
    struct dk_response *response;
    size_t header_bytes;
    enum dk_err err; // why the answer was not taken: DATA when it is too long
};

DK_DEFINE_FREE(easy, CURL, curl_easy_cleanup)
DK_DEFINE_FREE(headers, struct curl_slist, curl_slist_free_all)

static size_t on_body(char *data, size_t size, size_t count, void *argument)
{
    struct transfer *transfer = argument;

    transfer->err = dk_buf_append(&transfer->response->body, data, size * count);
    return transfer->err == DK_OK ? size * count : CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *data, size_t size, size_t count, void *argument)
{
    struct transfer *transfer = argument;

    (void)data;
    transfer->header_bytes += size * count;
    if (transfer->header_bytes <= HEADERS_MAX_BYTES)
        return size * count;
    transfer->err = DK_ERR_DATA;
    return CURL_WRITEFUNC_ERROR;
}

static bool set_up(CURL *easy, const struct dk_deliver_options *options, const char *url, const char *body,
                   size_t len, struct curl_slist *headers, struct transfer *transfer)
{
    long timeout_ms = (long)(options->timeout_ns / DK_NS_PER_MS);
    bool ca = options->ca_file != NULL && options->ca_file[0] != '\0';

    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? timeout_ms : 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, options->user_agent) == CURLE_OK &&
           (!ca || curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file) == CURLE_OK) &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
}

// Runs the transfer to its end or the interrupt. Errors: INTERRUPTED, MEMORY, IO.
static enum dk_err perform(CURL *easy, int interrupt_fd, CURLcode *result)
{
    CURLM *multi = curl_multi_init();
    enum dk_err err = multi != NULL && curl_multi_add_handle(multi, easy) == CURLM_OK ? DK_OK : DK_ERR_MEMORY;
    bool done = false;

    while (err == DK_OK && !done) {
        struct curl_waitfd extra = {.fd = interrupt_fd, .events = CURL_WAIT_POLLIN};
        int running = 0, left = 0;

        if (curl_multi_perform(multi, &running) != CURLM_OK) {
            err = DK_ERR_IO;
            break;
        }
        for (const CURLMsg *m; (m = curl_multi_info_read(multi, &left)) != NULL;)
            if (m->msg == CURLMSG_DONE) {
                *result = m->data.result;
                done = true;
            }
        if (done)
            break;
        if (curl_multi_poll(multi, &extra, interrupt_fd >= 0 ? 1 : 0, 1000, NULL) != CURLM_OK)
            err = DK_ERR_IO;
        else if (extra.revents != 0)
            err = DK_ERR_INTERRUPTED;
    }
    if (multi != NULL) {
        (void)curl_multi_remove_handle(multi, easy);
        (void)curl_multi_cleanup(multi);
    }
    return err;
}

static enum dk_err explain(CURL *easy, CURLcode code, const char *url, const struct transfer *transfer,
                           struct dk_fault *fault)
{
    struct dk_response *response = transfer->response;
    curl_off_t connected_us = 0;

    if (transfer->err == DK_ERR_MEMORY)
        return dk_fail(fault, DK_ERR_MEMORY, url, NULL, "out of memory");
    if (transfer->err != DK_OK)
        return dk_fail(fault, DK_ERR_DATA, url, "check the collector's URL",
                       "the answer is longer than any collector's");
    // The library says "unsupported protocol" also of an answer that is not HTTP.
    (void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (code == CURLE_UNSUPPORTED_PROTOCOL && connected_us > 0)
        code = CURLE_WEIRD_SERVER_REPLY;
    response->trouble = curl_easy_strerror(code);
    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY:
        return dk_fail(fault, DK_ERR_MEMORY, url, NULL, "out of memory");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        response->pointless = true;
        return dk_fail(fault, DK_ERR_NOT_NOW, url, "correct [collector] url",
                       "is no http:// or https:// address: %s", curl_easy_strerror(code));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        response->pointless = true;
        return dk_fail(fault, DK_ERR_NOT_NOW, url,
                       "check the collector's certificate, this machine's clock and [collector] ca_file",
                       "the collector's certificate is not trusted: %s", curl_easy_strerror(code));
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
        return dk_fail(fault, DK_ERR_DATA, url, "check the collector's URL", "the answer makes no sense: %s",
                       curl_easy_strerror(code));
    default:
        return dk_fail(fault, DK_ERR_NOT_NOW, url, "try again later; all records are kept",
                       "the collector does not answer: %s", curl_easy_strerror(code));
    }
}

enum dk_err dk_exchange_start(struct dk_fault *fault)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
               ? DK_OK
               : dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "libcurl cannot start");
}

void dk_exchange_end(void)
{
    curl_global_cleanup();
}

enum dk_err dk_exchange(const struct dk_deliver_options *options, const char *path, const char *type, const char *body,
                        size_t len, struct dk_response *response, struct dk_fault *fault)
{
    char url[URL_MAX], content_type[CONTENT_TYPE_MAX];
    struct transfer transfer = {.response = response};

    snprintf(content_type, sizeof content_type, "Content-Type: %s", type);

    dk_auto(headers) struct curl_slist *headers = curl_slist_append(NULL, content_type);
    dk_auto(easy) CURL *easy = curl_easy_init();
    CURLcode result = CURLE_OK;
    curl_off_t retry_after_s = 0;
    const char *answered_type = NULL;

    dk_buf_free(&response->body);
    response->status = 0;
    response->retry_after_ns = 0;
    response->pointless = false;
    response->trouble = "";
    if (snprintf(url, sizeof url, "%s%s", options->url, path) >= (int)sizeof url)
        return dk_fail(fault, DK_ERR_DATA, options->url, NULL, "the URL is too long");
    // "Expect:" empty: the body is short, and not every server answers 100 Continue.
    if (easy == NULL || headers == NULL || curl_slist_append(headers, "Expect:") == NULL ||
        !set_up(easy, options, url, body, len, headers, &transfer))
        return dk_fail(fault, DK_ERR_MEMORY, url, NULL, "the request cannot be made");

    enum dk_err err = perform(easy, options->interrupt_fd, &result);

    if (err != DK_OK)
        return dk_fail(fault, err == DK_ERR_IO ? DK_ERR_NOT_NOW : err, url, NULL, "%s", dk_err_text(err));
    if (result != CURLE_OK)
        return explain(easy, result, url, &transfer, fault);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response->status);
    (void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &answered_type);
    response->html = answered_type != NULL && strncasecmp(answered_type, "text/html", 9) == 0;
    if (retry_after_s > 0)
        response->retry_after_ns =
            retry_after_s < 86400 ? retry_after_s * DK_NS_PER_S : INT64_C(86400) * DK_NS_PER_S;
    return DK_OK;
}

bool dk_wait_to_retry(const struct dk_deliver_options *options, struct dk_patience *patience,
                      int64_t retry_after_ns, enum dk_err *err)
{
    struct pollfd interrupt = {.fd = options->interrupt_fd, .events = POLLIN};
    int64_t pause_ns = first_pause_ns;
    uint16_t random = 0;

    if (patience->tries_left == 0 || retry_after_ns > retry_after_max_ns)
        return false;
    for (int i = patience->tries_left; i < DK_TRIES; i++)
        pause_ns *= 3;
    patience->tries_left--;
    // Many devices lose the same collector at once; they must not all come back at once. Half to one and a
    // half of the pause; without randomness just half.
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = 0;
    pause_ns = pause_ns / 2 + pause_ns * random / UINT16_MAX;
    if (pause_ns < retry_after_ns)
        pause_ns = retry_after_ns;

    struct dk_mono end = dk_mono_add_ns(dk_mono_now(), pause_ns);

    for (int64_t left_ns = pause_ns; left_ns > 0; left_ns = dk_mono_diff_ns(end, dk_mono_now())) {
        int ready = poll(&interrupt, 1, (int)(left_ns / DK_NS_PER_MS) + 1);

        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            *err = DK_ERR_INTERRUPTED;
            return true;
        }
    }
    return true;
}
