// SPDX-License-Identifier: Apache-2.0
#include "probes/transfer.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADER_MAX_BYTES = 65536,
    SMALL_MAX_BYTES = 65536,
    UPLOAD_ANSWER_MAX_BYTES = 4096,
    RECEIVE_BUFFER_BYTES = 512 * 1024,
};

__attribute__((format(printf, 2, 3))) static void set_reason(struct dk_transfer *transfer, const char *format, ...)
{
    va_list arguments;

    if (transfer->reason[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(transfer->reason, sizeof transfer->reason, format, arguments);
    va_end(arguments);
    for (char *c = transfer->reason; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
}

// Bytes a full TLS record of 16 KiB adds: header, tag, explicit nonce or inner content type (RFC 8446 section 5.2,
// RFC 5246 section 6.2.3.3, RFC 5288 section 3, RFC 7905 section 2).
static int64_t record_overhead_bytes(const SSL *ssl)
{
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return 5 + 16 + 1;

    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

    if (cipher != NULL && SSL_CIPHER_get_cipher_nid(cipher) == NID_chacha20_poly1305)
        return 5 + 16;
    return 5 + 8 + 16;
}

// OpenSSL's side of the connection in use; NULL without TLS.
static SSL *find_ssl(const struct dk_transfer *transfer)
{
    struct curl_tlssessioninfo *session = NULL;

    if (curl_easy_getinfo(transfer->easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || session == NULL ||
        session->backend != CURLSSLBACKEND_OPENSSL)
        return NULL;
    return session->internals;
}

static void check_certificate(struct dk_transfer *transfer, const SSL *ssl)
{
    struct dk_transfer_certificate *first = transfer->certificate, seen = {.known = true};
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    unsigned int len = 0;

    if (first == NULL || certificate == NULL)
        return;
    if (X509_digest(certificate, EVP_sha256(), seen.sha256, &len) != 1 || len != sizeof seen.sha256)
        set_reason(transfer, "the server's certificate cannot be hashed");
    else if (!first->known)
        *first = seen;
    else if (memcmp(first->sha256, seen.sha256, sizeof seen.sha256) != 0)
        set_reason(transfer, "the server's certificate is another one than on the connection before");
}

static void note_connection(struct dk_transfer *transfer)
{
    long local_port = 0;

    if (transfer->socket >= 0)
        return;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_LOCAL_PORT, &local_port) == CURLE_OK)
        transfer->socket = dk_loop_find_socket(transfer->loop, local_port);

    const SSL *ssl = find_ssl(transfer);

    if (ssl == NULL)
        return;
    snprintf(transfer->tls, sizeof transfer->tls, "%s %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
    transfer->tls_record_overhead_bytes = record_overhead_bytes(ssl);
    check_certificate(transfer, ssl);
}

static void set_too_much(struct dk_transfer *transfer)
{
    set_reason(transfer, "the server sends more than the %lld bytes asked for", (long long)transfer->body_max_bytes);
}

static size_t on_header(char *data, size_t size, size_t count, void *argument)
{
    static const char encoding[] = "content-encoding:";
    struct dk_transfer *transfer = argument;
    size_t len = size * count;

    if (transfer->header_bytes == 0)
        transfer->answered = dk_mono_now();
    note_connection(transfer);
    if (transfer->reason[0] != '\0')
        return 0;
    transfer->header_bytes += (int64_t)len;
    if (transfer->header_bytes > HEADER_MAX_BYTES) {
        set_reason(transfer, "the server sent more than %d bytes of headers", (int)HEADER_MAX_BYTES);
        return 0;
    }
    // The empty line: what the server announces is known, and need not be waited for.
    if (len <= 2) {
        curl_off_t announced_bytes = -1;

        curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced_bytes);
        if (announced_bytes > transfer->body_max_bytes && !transfer->head) {
            set_too_much(transfer);
            return 0;
        }
    }
    if (len >= sizeof encoding && strncasecmp(data, encoding, sizeof encoding - 1) == 0) {
        set_reason(transfer, "the server compresses its answer; its payload cannot be counted");
        return 0;
    }
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *argument)
{
    struct dk_transfer *transfer = argument;
    size_t len = size * count;
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        set_reason(transfer, "the server answered %ld", status);
        return 0;
    }
    if (!transfer->body_begun) {
        transfer->body_begun = true;
        // Paused from here, and not with curl_easy_pause() between its turns, libcurl reads no more for certain.
        if (transfer->on_body_begins != NULL && transfer->on_body_begins(transfer->on_body_begins_argument))
            return CURL_WRITEFUNC_PAUSE;
    }
    transfer->body_bytes += (int64_t)len;
    if (transfer->body_bytes > transfer->body_max_bytes) {
        set_too_much(transfer);
        return 0;
    }
    if (transfer->text != NULL && dk_buf_append(transfer->text, data, len) != DK_OK) {
        set_reason(transfer, "out of memory");
        return 0;
    }
    return len;
}

static size_t on_send(char *out, size_t size, size_t count, void *argument)
{
    struct dk_transfer *transfer = argument;

    note_connection(transfer);
    if (transfer->reason[0] != '\0')
        return CURL_READFUNC_ABORT;

    size_t given = transfer->body(transfer->body_argument, out, size * count);

    if (given != CURL_READFUNC_PAUSE)
        transfer->sent_bytes += (int64_t)given;
    return given;
}

// libcurl's own PRETRANSFER time is taken after the request was sent: too late for a round trip.
static int on_request(void *argument, char *remote_address, char *local_address, int remote_port, int local_port)
{
    struct dk_transfer *transfer = argument;

    (void)remote_address, (void)local_address, (void)remote_port, (void)local_port;
    transfer->requested = dk_mono_now();
    return CURL_PREREQFUNC_OK;
}

static int on_socket_opened(void *argument, curl_socket_t socket, curlsocktype purpose)
{
    if (purpose == CURLSOCKTYPE_IPCXN)
        dk_loop_note_socket(argument, socket);
    return CURL_SOCKOPT_OK;
}

static int on_socket_closed(void *argument, curl_socket_t socket)
{
    dk_loop_forget_socket(argument, socket);
    return close(socket);
}

enum dk_err dk_transfer_init(struct dk_transfer *transfer, struct dk_loop *loop, const struct dk_plan *plan)
{
    CURL *easy = curl_easy_init();
    long version = plan->family == DK_FAMILY_IPV4   ? CURL_IPRESOLVE_V4
                   : plan->family == DK_FAMILY_IPV6 ? CURL_IPRESOLVE_V6
                                                    : CURL_IPRESOLVE_WHATEVER;

    *transfer = (struct dk_transfer){.easy = easy, .loop = loop, .urls = plan->urls, .socket = -1};
    // No "Expect: 100-continue": its wait would be part of the upload.
    // The type of a form, libcurl's default, would make PHP parse the body.
    struct curl_slist *type = curl_slist_append(NULL, "Content-Type: application/octet-stream");

    transfer->headers = type != NULL ? curl_slist_append(type, "Expect:") : NULL;
    if (transfer->headers == NULL)
        curl_slist_free_all(type);
    if (easy == NULL || transfer->headers == NULL) {
        dk_transfer_free(transfer);
        return DK_ERR_MEMORY;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_IPRESOLVE, version);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(plan->connect_timeout_ns / DK_NS_PER_MS));
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, plan->user_agent);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    // The loop outlives its connections.
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_opened);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, loop);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_socket_closed);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, loop);
    if (plan->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, plan->ca_file);
    if (plan->interface[0] != '\0') {
        char interface[64];

        snprintf(interface, sizeof interface, "if!%s", plan->interface);
        curl_easy_setopt(easy, CURLOPT_INTERFACE, interface);
    }
    return DK_OK;
}

static enum dk_err next_request(struct dk_transfer *transfer, const char *url, bool head, int64_t body_max_bytes)
{
    transfer->head = head;
    transfer->body_max_bytes = body_max_bytes;
    transfer->header_bytes = transfer->body_bytes = transfer->sent_bytes = 0;
    transfer->body_begun = false;
    transfer->socket = -1;
    transfer->reason[0] = transfer->error[0] = '\0';
    return curl_easy_setopt(transfer->easy, CURLOPT_URL, url) == CURLE_OK ? DK_OK : DK_ERR_MEMORY;
}

enum dk_err dk_transfer_small(struct dk_transfer *transfer)
{
    bool head = transfer->urls->small_is_head;

    curl_easy_setopt(transfer->easy, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
    return next_request(transfer, transfer->urls->small, head, SMALL_MAX_BYTES);
}

enum dk_err dk_transfer_download(struct dk_transfer *transfer)
{
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    return next_request(transfer, transfer->urls->download, false, transfer->urls->download_max_bytes);
}

enum dk_err dk_transfer_text(struct dk_transfer *transfer, const char *url, struct dk_buf *text)
{
    transfer->text = text;
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    return next_request(transfer, url, false, (int64_t)text->max);
}

enum dk_err dk_transfer_identify(struct dk_transfer *transfer, const char *run, size_t stream)
{
    char lines[2][64];

    snprintf(lines[0], sizeof lines[0], "Dokiem-Run: %s", run);
    snprintf(lines[1], sizeof lines[1], "Dokiem-Stream: %zu", stream);
    for (size_t i = 0; i < 2; i++)
        // The list has its first entry, and does not move.
        if (curl_slist_append(transfer->headers, lines[i]) == NULL)
            return DK_ERR_MEMORY;
    return DK_OK;
}

static enum dk_err post(struct dk_transfer *transfer, int64_t size, dk_transfer_body *body, void *argument)
{
    transfer->body = body;
    transfer->body_argument = argument;
    curl_easy_setopt(transfer->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer);
    return next_request(transfer, transfer->urls->upload, false, UPLOAD_ANSWER_MAX_BYTES);
}

static size_t give_nothing(void *argument, char *out, size_t size)
{
    (void)argument, (void)out, (void)size;
    return 0;
}

enum dk_err dk_transfer_upload_nothing(struct dk_transfer *transfer)
{
    return post(transfer, 0, give_nothing, NULL);
}

enum dk_err dk_transfer_upload(struct dk_transfer *transfer, dk_transfer_body *body, void *argument)
{
    return post(transfer, transfer->urls->upload_bytes, body, argument);
}

enum dk_err dk_transfer_start(struct dk_transfer *transfer, dk_loop_transfer_callback *callback, void *argument)
{
    return dk_loop_add_transfer(transfer->loop, transfer->easy, callback, argument);
}

bool dk_transfer_take_over(struct dk_transfer *transfer, int64_t *body_left_bytes)
{
    curl_off_t length_bytes = -1, read_bytes = -1;
    const SSL *ssl = find_ssl(transfer);

    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length_bytes);
    curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &read_bytes);
    // Bytes that OpenSSL holds are part of a record that nobody would count.
    if (transfer->socket < 0 || read_bytes < 0 || length_bytes < read_bytes ||
        (ssl == NULL ? strncmp(transfer->urls->download, "https:", 6) == 0 : SSL_has_pending(ssl))) {
        curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
        return false;
    }
    // Also what libcurl has read and holds back.
    transfer->body_bytes = read_bytes;
    *body_left_bytes = length_bytes - read_bytes;
    return true;
}

bool dk_transfer_succeeded(struct dk_transfer *transfer, CURLcode result)
{
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->refused = status != 0 && status != 200;
    if (result == CURLE_OUT_OF_MEMORY)
        set_reason(transfer, "the server sent a header line that is too long, or memory ran out");
    else if (result != CURLE_OK)
        set_reason(transfer, "%s",
                   transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(result));
    else if (status >= 300 && status < 400)
        set_reason(transfer, "the server answered %ld (a redirect): name the server it leads to", status);
    else if (status != 200)
        set_reason(transfer, "the server answered %ld", status);
    return transfer->reason[0] == '\0';
}

void dk_transfer_abort_on_close(const struct dk_transfer *transfer)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    if (transfer->socket >= 0)
        (void)setsockopt(transfer->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void dk_transfer_free(struct dk_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    *transfer = (struct dk_transfer){.socket = -1};
}

// Older kernels return a shorter struct: a field counts only when it was filled whole.
#define HAS(field) (len >= offsetof(struct tcp_info, field) + sizeof info.field)

int64_t dk_tcp_queued_bytes(int socket)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || !HAS(tcpi_bytes_acked))
        return -1;
    if (!HAS(tcpi_bytes_retrans))
        return (int64_t)info.tcpi_bytes_acked;
    return (int64_t)(info.tcpi_bytes_sent - info.tcpi_bytes_retrans) + (int64_t)info.tcpi_notsent_bytes;
}

bool dk_transfer_is_unacknowledged(const struct dk_transfer *transfer)
{
    long local_port = 0;
    int queued_bytes = 0;

    // libcurl may have closed it, and the descriptor may be another's by now.
    return curl_easy_getinfo(transfer->easy, CURLINFO_LOCAL_PORT, &local_port) == CURLE_OK && transfer->socket >= 0 &&
           dk_loop_find_socket(transfer->loop, local_port) == transfer->socket &&
           ioctl(transfer->socket, SIOCOUTQ, &queued_bytes) == 0 && queued_bytes > 0;
}

void dk_tcp_info(int socket, struct dk_tcp_stream *out)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    *out = (struct dk_tcp_stream){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, ""};
    if (socket < 0 || getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return;

    if (HAS(tcpi_rttvar)) {
        out->rtt_ns = (int64_t)info.tcpi_rtt * DK_NS_PER_US;
        out->rtt_variation_ns = (int64_t)info.tcpi_rttvar * DK_NS_PER_US;
        out->mss_bytes = (int64_t)info.tcpi_snd_mss;
        out->receive_window_bytes = (int64_t)info.tcpi_rcv_ssthresh;
        out->receive_mss_bytes = (int64_t)info.tcpi_rcv_mss;
        out->sacked_segments = (int64_t)info.tcpi_sacked;
    }
    if (HAS(tcpi_rcv_rtt))
        out->receive_rtt_ns = (int64_t)info.tcpi_rcv_rtt * DK_NS_PER_US;
    if (HAS(tcpi_data_segs_in))
        out->data_segments_in = (int64_t)info.tcpi_data_segs_in;
    if (HAS(tcpi_rcv_ooopack))
        out->out_of_order_in = (int64_t)info.tcpi_rcv_ooopack;
    if (HAS(tcpi_total_retrans))
        out->retransmitted_segments = (int64_t)info.tcpi_total_retrans;
    if (HAS(tcpi_bytes_received)) {
        out->acked_bytes = (int64_t)info.tcpi_bytes_acked;
        out->received_bytes = (int64_t)info.tcpi_bytes_received;
    }
    if (HAS(tcpi_segs_in)) {
        out->segments_in = (int64_t)info.tcpi_segs_in;
        out->segments_out = (int64_t)info.tcpi_segs_out;
    }
    if (HAS(tcpi_min_rtt))
        out->rtt_min_ns = (int64_t)info.tcpi_min_rtt * DK_NS_PER_US;
    if (HAS(tcpi_sndbuf_limited)) {
        out->busy_ns = (int64_t)info.tcpi_busy_time * DK_NS_PER_US;
        out->receive_window_limited_ns = (int64_t)info.tcpi_rwnd_limited * DK_NS_PER_US;
        out->send_buffer_limited_ns = (int64_t)info.tcpi_sndbuf_limited * DK_NS_PER_US;
    }
    if (HAS(tcpi_bytes_sent))
        out->sent_bytes = (int64_t)info.tcpi_bytes_sent;

    int buffer_bytes = 0;

    len = sizeof buffer_bytes;
    if (getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, &len) == 0)
        out->send_buffer_bytes = buffer_bytes;
    len = sizeof out->congestion_control;
    if (getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, out->congestion_control, &len) != 0)
        out->congestion_control[0] = '\0';
    out->congestion_control[sizeof out->congestion_control - 1] = '\0';
}
