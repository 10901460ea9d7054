// SPDX-License-Identifier: Apache-2.0
//
// One HTTP request after another to the reference server, through libcurl, with every bound that a hostile server
// needs: header bytes, body bytes, no redirects, no decompression, TLS 1.2 or later with the certificate checked.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "probes/measurement.h"
#include "probes/probe.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

// Fills at most `size` bytes of the request body; returns how many, or CURL_READFUNC_PAUSE when the body is sent by
// other means.
typedef size_t dk_transfer_body(void *argument, char *out, size_t size);

// The certificate that a server showed first: every later connection must show the same.
struct dk_transfer_certificate {
    bool known;
    uint8_t sha256[DK_SHA256_SIZE];
};

struct dk_transfer {
    CURL *easy; // owned; to be added to the loop
    struct dk_loop *loop;
    const struct dk_server_urls *urls;
    struct dk_mono requested; // the connection was ready, the request about to be sent
    struct dk_mono answered;  // the first line of the answer was read
    bool head;              // the current request is HEAD
    int64_t header_bytes;   // of the current answer
    int64_t body_bytes;     // of the current answer
    int64_t body_max_bytes; // more than this is an error
    struct dk_buf *text;    // takes the body of the current answer; NULL: it is only counted
    int64_t sent_bytes;     // request body handed to libcurl, current request
    dk_transfer_body *body;
    void *body_argument;
    // Called once, when the first bytes of an answer's body were read; may be NULL. True pauses libcurl at the end of
    // what it has read: dk_transfer_take_over() must follow, outside libcurl's callbacks.
    bool (*on_body_begins)(void *argument);
    void *on_body_begins_argument;
    bool body_begun; // of the current answer
    int socket;                     // of the connection in use once an answer or a body began; -1 before
    int64_t tls_record_overhead_bytes; // per 16 KiB record; 0 for plain HTTP
    struct dk_transfer_certificate *certificate; // borrowed, shared by transfers; NULL: may change
    bool refused;                   // the request that ended was answered, and not with 200
    char tls[48];                   // version and cipher; "" for plain HTTP
    char reason[DK_REASON_SIZE];    // why the current request cannot succeed; "" while nothing is wrong
    char error[CURL_ERROR_SIZE];    // libcurl's words
    struct curl_slist *headers;     // owned
};

// Makes ready for requests to plan->urls. `transfer` must not move afterwards. Errors: MEMORY.
enum dk_err dk_transfer_init(struct dk_transfer *transfer, struct dk_loop *loop, const struct dk_plan *plan);

// Puts the request that was set on the loop; callback as dk_loop_add_transfer. Errors: MEMORY, INTERNAL.
enum dk_err dk_transfer_start(struct dk_transfer *transfer, dk_loop_transfer_callback *callback, void *argument);

// The next request is the server's small one, by GET or HEAD as its kind has it; an answer of more than 64 KiB is an
// error. Errors: MEMORY.
enum dk_err dk_transfer_small(struct dk_transfer *transfer);

// The next request is GET of the server's download; an answer of more than it may have is an error. Errors: MEMORY.
enum dk_err dk_transfer_download(struct dk_transfer *transfer);

// The next request is GET of `url`; the answer goes to `text`; one that has no room there is an error. Errors: MEMORY.
enum dk_err dk_transfer_text(struct dk_transfer *transfer, const char *url, struct dk_buf *text);

// Tells the server with each request from now on which run, and which stream of it, this is. Errors: MEMORY.
enum dk_err dk_transfer_identify(struct dk_transfer *transfer, const char *run, size_t stream);

// The next request is POST of nothing to the server's upload, to warm the connection up. Errors: MEMORY.
enum dk_err dk_transfer_upload_nothing(struct dk_transfer *transfer);

// The next request is POST to the server's upload; `body` supplies as many bytes as one request has. Errors: MEMORY.
enum dk_err dk_transfer_upload(struct dk_transfer *transfer, dk_transfer_body *body, void *argument);

// Takes the connection of a GET that on_body_begins paused from libcurl: true when all it had read was counted
// (transfer->body_bytes) and *body_left_bytes are still to come, from the start of a TLS record where there is TLS; the
// request can then only be removed from the loop. False: it cannot be done on this connection, and libcurl goes on.
bool dk_transfer_take_over(struct dk_transfer *transfer, int64_t *body_left_bytes);

// True when the connection of a request that has ended is open, and not all that was sent on it is acknowledged.
bool dk_transfer_is_unacknowledged(const struct dk_transfer *transfer);

// True when the request that ended with `result` got a whole, acceptable 200 answer; else transfer->reason is set.
bool dk_transfer_succeeded(struct dk_transfer *transfer, CURLcode result);

// Makes closing the connection drop what is still queued in the kernel, so that nothing of the test goes on after it.
void dk_transfer_abort_on_close(const struct dk_transfer *transfer);

// Frees it; it must be off the loop. A zeroed transfer is fine.
void dk_transfer_free(struct dk_transfer *transfer);

// Bytes handed to a TCP connection so far, sent or not, each once; on a kernel before 4.19 those acknowledged. −1 when
// it cannot be said.
int64_t dk_tcp_queued_bytes(int socket);

// What the kernel says of a TCP connection; fields it does not know are -1.
void dk_tcp_info(int socket, struct dk_tcp_stream *out);
