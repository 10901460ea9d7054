// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

enum {
    ANSWER_MIN_BYTES = 1 << 20,  // a server that has less cannot be measured with: requests would dominate
    // A connection that was taken from libcurl cannot be used for another request: the body has to be worth it.
    CHEAP_MIN_BYTES = 90 << 20,
    COSTLY_MIN_BYTES = 1 << 20, // libcurl reads the beginning of every body
    CONNECTION_MIN_BYTES = 16 << 20, // a connection has to last: opening new ones would be measured
    TLS_RECORD_BYTES = 16384, // of payload, when full
};

// Ends what was done on the connection in libcurl's place.
void dk_stream_give_back(struct dk_stream *stream)
{
    if (stream->draining || stream->feeding)
        stream->run->cheap++;
    else if (stream->run->phase == PHASE_TIMED &&
             stream->transfer.sent_bytes + stream->transfer.body_bytes > COSTLY_MIN_BYTES)
        stream->run->costly++;
    if (stream->draining)
        dk_loop_unwatch(stream->run->loop, stream->drain.fd);
    if (stream->feeding)
        dk_loop_unwatch(stream->run->loop, stream->feed.fd);
    dk_loop_clear_timer(stream->run->loop, stream);
    stream->draining = stream->feeding = false;
}

// The share of payload in `bytes` of a connection, in full TLS records (SSL_write splits at 16 KiB).
static int64_t payload_share(const struct dk_stream *stream, int64_t bytes)
{
    return bytes * TLS_RECORD_BYTES / (TLS_RECORD_BYTES + stream->transfer.tls_record_overhead_bytes);
}

// Payload this stream has moved since the common start: handed up by TCP, or acknowledged by the receiver's.
static int64_t moved_bytes(struct dk_stream *stream)
{
    struct dk_transfer *transfer = &stream->transfer;

    if (!stream->run->upload)
        return stream->before_bytes + (stream->on_loop ? transfer->body_bytes : 0) +
               (stream->draining ? dk_drain_payload_bytes(&stream->drain) : 0);
    if (!stream->on_loop)
        return stream->before_bytes;

    struct dk_tcp_stream tcp;

    dk_tcp_info(transfer->socket, &tcp);
    if (tcp.acked_bytes < 0 || stream->tcp_base_bytes < 0)
        return stream->before_bytes;

    int64_t acked_bytes = tcp.acked_bytes - stream->tcp_base_bytes;

    // What the receiver has behind a gap came through too.
    if (tcp.sacked_segments > 0)
        acked_bytes += tcp.sacked_segments * tcp.mss_bytes;
    acked_bytes = payload_share(stream, acked_bytes);
    if (acked_bytes < 0)
        acked_bytes = 0;

    int64_t sent_bytes =
        stream->feeding ? transfer->urls->upload_bytes - stream->feed.left_bytes : transfer->sent_bytes;

    if (acked_bytes > sent_bytes)
        acked_bytes = sent_bytes;
    return stream->before_bytes + acked_bytes;
}

struct dk_moved dk_stream_moved(struct dk_stream *stream)
{
    struct dk_moved moved = {moved_bytes(stream), stream->excess_bytes, 0};
    struct dk_tcp_stream tcp;

    // Of an upload the receiver tells what it holds behind a gap; of a download we are the receiver.
    if (stream->run->upload || !stream->on_loop)
        return moved;
    dk_tcp_info(stream->transfer.socket, &tcp);
    moved.held_bytes = payload_share(stream, dk_held_look(&stream->held, tcp.data_segments_in, tcp.out_of_order_in,
                                                          tcp.received_bytes, tcp.receive_mss_bytes));
    moved.excess_bytes += payload_share(stream, stream->held.excess_bytes);
    return moved;
}

static void on_writable(void *argument, short events)
{
    struct dk_stream *stream = argument;

    (void)events;
    switch (dk_feed_write(&stream->feed)) {
    case DK_FEED_WAITING:
        break;
    case DK_FEED_WHOLE:
        // look() asks again when the receiver has it all.
        dk_loop_unwatch(stream->run->loop, stream->feed.fd);
        break;
    case DK_FEED_FAILED:
        dk_run_fail(stream->run, "a connection broke: %s", strerror(errno));
        break;
    }
}

// Without TLS the payload goes from a file to the connection and is never copied. libcurl has sent the request's
// headers by now, and goes on watching for the answer.
static bool feed(struct dk_stream *stream)
{
    struct dk_probe_run *run = stream->run;

    if (run->payload.file < 0 || stream->transfer.urls->upload_bytes < CHEAP_MIN_BYTES ||
        stream->transfer.socket < 0 || stream->transfer.tls[0] != '\0' ||
        dk_loop_watch(run->loop, stream->transfer.socket, POLLOUT, on_writable, stream) != DK_OK)
        return false;
    stream->feed = (struct dk_feed){
        .fd = stream->transfer.socket,
        .file = run->payload.file,
        .file_bytes = DK_PAYLOAD_BYTES,
        .at = stream->payload_at,
        .left_bytes = stream->transfer.urls->upload_bytes,
    };
    stream->feeding = true;
    return true;
}

static size_t give_payload(void *argument, char *out, size_t size)
{
    struct dk_stream *stream = argument;

    // The connection is known from here on: the request's headers are on it, its body is not.
    if (stream->tcp_base_bytes < 0) {
        stream->tcp_base_bytes = dk_tcp_queued_bytes(stream->transfer.socket);
        if (feed(stream))
            return CURL_READFUNC_PAUSE;
    }
    dk_payload_copy(&stream->run->payload, &stream->payload_at, out, size);
    return size;
}

static void on_transfer_end(void *argument, CURL *easy, CURLcode result);

static bool on_body_begins(void *argument);

enum dk_err dk_stream_request(struct dk_stream *stream)
{
    struct dk_probe_run *run = stream->run;
    enum dk_err err;

    stream->answered = false;
    stream->excess_bytes += payload_share(stream, stream->held.excess_bytes);
    stream->held = (struct dk_held){0};
    // Each stream opens its own: one that had its answer already would lend its connection to the next.
    curl_easy_setopt(stream->transfer.easy, CURLOPT_FRESH_CONNECT, stream->warming ? 1L : 0L);
    if (stream->warming) {
        err = run->upload ? dk_transfer_upload_nothing(&stream->transfer) : dk_transfer_small(&stream->transfer);
    } else if (run->upload) {
        stream->tcp_base_bytes = -1;
        err = dk_transfer_upload(&stream->transfer, give_payload, stream);
    } else {
        stream->transfer.on_body_begins = on_body_begins;
        stream->transfer.on_body_begins_argument = stream;
        err = dk_transfer_download(&stream->transfer);
    }
    if (err == DK_OK)
        err = dk_transfer_start(&stream->transfer, on_transfer_end, stream);
    stream->on_loop = err == DK_OK;
    return err;
}

// For a request of the timed phase, at its end or the test's. False when connections were opened under the test.
bool dk_stream_is_kept(struct dk_stream *stream)
{
    const struct dk_transfer *transfer = &stream->transfer;
    long opened = 0;

    // Of a request that has not begun libcurl still tells what the one before did.
    if (!stream->draining && !stream->feeding && transfer->body_bytes == 0 && transfer->sent_bytes == 0)
        return true;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &opened);
    if (opened > 0 && !stream->used_up && stream->connection_bytes < CONNECTION_MIN_BYTES) {
        dk_run_fail(stream->run, "the server does not keep connections open");
        return false;
    }
    stream->connection_bytes = (opened > 0 ? 0 : stream->connection_bytes) + transfer->body_bytes +
                               transfer->sent_bytes;
    stream->used_up = false;
    return true;
}

// The connection is used up: what it moved is kept, and the stream asks again on a new one.
void dk_stream_request_again(struct dk_stream *stream)
{
    if (!dk_stream_is_kept(stream))
        return;
    stream->before_bytes = moved_bytes(stream);
    stream->used_up = stream->draining || stream->feeding;
    dk_stream_give_back(stream);
    dk_loop_remove_transfer(stream->run->loop, stream->transfer.easy);
    stream->on_loop = false;
    if (dk_stream_request(stream) != DK_OK)
        dk_run_fail(stream->run, "out of memory");
}

void dk_stream_pump(struct dk_stream *stream)
{
    switch (dk_drain_read(&stream->drain)) {
    case DK_DRAIN_WAITING:
        dk_drain_set_low_water(&stream->drain);
        break;
    case DK_DRAIN_LOST:
        stream->run->drain_lost = true;
        [[fallthrough]];
    case DK_DRAIN_WHOLE:
        dk_stream_request_again(stream);
        break;
    case DK_DRAIN_CLOSED:
        dk_run_fail(stream->run, "the server closed a connection with %" PRId64 " bytes still to come",
             stream->drain.body_left_bytes);
        break;
    case DK_DRAIN_FAILED:
        dk_run_fail(stream->run, "a connection broke: %s", strerror(errno));
        break;
    }
}

static void on_readable(void *argument, short events)
{
    (void)events;
    dk_stream_pump(argument);
}

// Between two turns of libcurl, which is paused.
static void take_over(void *argument, struct dk_mono now)
{
    struct dk_stream *stream = argument;
    struct dk_probe_run *run = stream->run;
    int64_t body_left_bytes = 0;

    (void)now;
    if (run->phase != PHASE_TIMED || !stream->on_loop || !dk_transfer_take_over(&stream->transfer, &body_left_bytes))
        return;
    dk_drain_begin(&stream->drain, stream->transfer.socket, body_left_bytes,
                   stream->transfer.tls_record_overhead_bytes);
    stream->draining = true;
    if (dk_loop_watch(run->loop, stream->drain.fd, POLLIN, on_readable, stream) != DK_OK)
        dk_run_fail(run, "the loop is full");
    else
        dk_stream_pump(stream);
}

static bool on_body_begins(void *argument)
{
    struct dk_stream *stream = argument;
    curl_off_t length_bytes = -1;

    curl_easy_getinfo(stream->transfer.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length_bytes);
    // Without room for the timer libcurl simply goes on reading.
    return stream->run->phase == PHASE_TIMED && length_bytes >= CHEAP_MIN_BYTES && !stream->run->drain_lost &&
           dk_loop_set_timer(stream->run->loop, dk_mono_now(), take_over, stream) == DK_OK;
}

static void on_transfer_end(void *argument, CURL *easy, CURLcode result)
{
    struct dk_stream *stream = argument;
    struct dk_probe_run *run = stream->run;

    (void)easy;
    bool succeeded = dk_transfer_succeeded(&stream->transfer, result);

    if (!succeeded)
        run->refused = stream->transfer.refused;
    if (stream->warming) {
        stream->on_loop = false;
        stream->warming = !succeeded;
        dk_run_warmed_up(run, succeeded ? NULL : stream->transfer.reason);
        return;
    }
    if (!succeeded) {
        stream->on_loop = false;
        dk_run_fail(run, "%s", stream->transfer.reason);
        return;
    }
    if (!dk_stream_is_kept(stream))
        return;
    if (run->upload) {
        if (stream->transfer.sent_bytes < stream->transfer.urls->upload_bytes) {
            dk_run_fail(run, "the server answered before it had the whole upload");
            return;
        }
        // A server may answer before it reads (nginx does): look() asks again when the receiver has it all.
        stream->answered = dk_transfer_is_unacknowledged(&stream->transfer);
        if (stream->answered)
            return;
        stream->before_bytes += stream->transfer.sent_bytes;
    } else {
        stream->before_bytes += stream->transfer.body_bytes;
        if (stream->transfer.body_bytes < ANSWER_MIN_BYTES) {
            dk_run_fail(run, "the server sent %" PRId64 " bytes where at least %d are needed",
                 stream->transfer.body_bytes, (int)ANSWER_MIN_BYTES);
            return;
        }
    }
    stream->on_loop = false;
    if (dk_stream_request(stream) != DK_OK)
        dk_run_fail(run, "out of memory");
}
