// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// The limits of docs/methodology.md, "Conditions".
enum {
    LATE_PERCENT = 10,     // of the looks
    IDLE_PERCENT = 10,     // of the time, nothing to send
    CPU_PERCENT = 90,      // of one processor
    BUFFER_PERCENT = 70,   // of a buffer, moved in the shortest round trip
    WINDOW_PERCENT = 20,   // of the time, held back by the server's receive window
    SERVER_IDLE_PERCENT = 20, // of the time, the server had nothing to send
    LINE_PERCENT = 90,     // of the server's line, full
    PAYLOAD_BYTES = 1448,  // of an Ethernet frame …
    FRAME_BYTES = 1514,    // … of so many bytes
    FOREIGN_PERCENT = 5,   // of the interface's bytes
    FOREIGN_MIN_BYTES = 100000,
    // Of a round-trip time taken meanwhile, both directions.
    HTTP_EXCHANGE_BYTES = 2048,
    PACKET_EXCHANGE_BYTES = 256,
    // What the capture may have less than TCP, and more.
    CAPTURE_LESS_PERCENT = 1,
    CAPTURE_LESS_BYTES = 65536,
    CAPTURE_MORE_PERCENT = 10,
    CAPTURE_MORE_BYTES = 1000000,
    CAPTURE_AGAIN_PERCENT = 20,
    CAPTURE_AGAIN_SEGMENTS = 50,
};
static const int64_t queue_min_ns = 500 * DK_NS_PER_US;

__attribute__((format(printf, 4, 5))) static void flag(struct dk_validity *validity, enum dk_flag_code code,
                                                       enum dk_flag_figure figure, const char *format, ...)
{
    if (validity->count == DK_FLAGS_MAX)
        return;

    struct dk_flag *to = &validity->flags[validity->count++];
    va_list arguments;

    to->code = code;
    to->figure = figure;
    va_start(arguments, format);
    vsnprintf(to->detail, sizeof to->detail, format, arguments);
    va_end(arguments);
    validity->state = DK_VALIDITY_SUSPECT;
}

static void flag_steadiness(struct dk_validity *validity, enum dk_flag_figure figure, const struct dk_throughput *rate)
{
    const struct dk_steadiness *steadiness = &rate->steadiness;
    const char *direction = dk_flag_figure_text(figure);
    char first[DK_AMOUNT_SIZE], last[DK_AMOUNT_SIZE];

    if (steadiness->unsteady && steadiness->changes) {
        dk_rate_amount(steadiness->level_first_bps, first);
        dk_rate_amount(steadiness->level_last_bps, last);
        flag(validity, DK_FLAG_UNSTEADY, figure, "%s: %s, then %s", direction, first, last);
    } else if (steadiness->unsteady) {
        dk_rate_amount(rate->rate_low_bps, first);
        dk_rate_amount(rate->rate_high_bps, last);
        flag(validity, DK_FLAG_UNSTEADY, figure, "%s: anything from %s to %s", direction, first, last);
    }
    if (steadiness->burst_bps > 0) {
        dk_rate_amount(steadiness->burst_bps, first);
        flag(validity, DK_FLAG_BURST, figure, "%s: it began at %s, which the line did not hold; that is left out",
             direction, first);
    }
    if (steadiness->brief)
        flag(validity, DK_FLAG_BRIEF, figure, "%s: so short that all of it may have been a burst", direction);
}

static int64_t percent_of(int64_t part, int64_t whole)
{
    return whole > 0 ? part / (whole / 100 + 1) : 0;
}

// Of the time, over all streams: TCP had something to send, and was held back by the server's window. −1: not known.
struct shares {
    int64_t busy_percent, window_percent;
};

static struct shares shares_of(const struct dk_throughput *rate)
{
    int64_t busy_ns = 0, window_ns = 0, time_ns = rate->streams * rate->conditions.duration_ns;

    for (int64_t i = 0; i < rate->streams && i < DK_STREAMS_MAX; i++) {
        const struct dk_tcp_stream *stream = &rate->tcp[i];

        if (stream->busy_ns < 0 || stream->receive_window_limited_ns < 0)
            return (struct shares){-1, -1};
        busy_ns += stream->busy_ns;
        window_ns += stream->receive_window_limited_ns;
    }
    return (struct shares){percent_of(busy_ns, time_ns), percent_of(window_ns, time_ns)};
}

// The round-trip times do not show packets waiting on the way: what limits the rate is not the line.
static bool has_no_queue(const struct dk_throughput *rate)
{
    for (int64_t i = 0; i < rate->streams && i < DK_STREAMS_MAX; i++) {
        const struct dk_tcp_stream *stream = &rate->tcp[i];
        int64_t most_ns = stream->rtt_min_ns / 2 > queue_min_ns ? stream->rtt_min_ns / 2 : queue_min_ns;

        if (stream->rtt_ns < 0 || stream->rtt_min_ns < 0 || stream->rtt_ns - stream->rtt_min_ns > most_ns)
            return false;
    }
    return true;
}

// What a stream moved in the shortest round trip fills its buffer: nothing waited on the way, and no more could go.
static bool fills_buffer(int64_t duration_ns, int64_t rtt_min_ns, int64_t moved_bytes, int64_t buffer_bytes)
{
    if (rtt_min_ns < 0 || buffer_bytes <= 0 || moved_bytes < 0)
        return false;

    // What a server says of itself may be anything.
    __extension__ __int128 bytes = (__int128)moved_bytes * rtt_min_ns / duration_ns;

    return bytes * 100 >= buffer_bytes * BUFFER_PERCENT;
}

static void flag_small_buffer(struct dk_validity *validity, enum dk_flag_figure figure,
                              const struct dk_throughput *rate)
{
    bool upload = figure == DK_FLAG_FIGURE_UPLOAD;
    int64_t filled = 0, buffer_bytes = 0;

    for (int64_t i = 0; i < rate->streams && i < DK_STREAMS_MAX; i++) {
        const struct dk_tcp_stream *stream = &rate->tcp[i];
        int64_t bytes = upload ? stream->send_buffer_bytes : stream->receive_window_bytes;

        if (fills_buffer(rate->conditions.duration_ns, stream->rtt_min_ns,
                         upload ? stream->acked_bytes : stream->received_bytes, bytes)) {
            filled++;
            buffer_bytes = bytes;
        }
    }
    if (filled * 2 > rate->streams)
        flag(validity, DK_FLAG_HOST_LIMITED, figure,
             "%s: %" PRId64 " of %" PRId64 " streams filled their %s of %" PRId64 " kB in every round trip "
             "(net.ipv4.%s)",
             dk_flag_figure_text(figure), filled, rate->streams, upload ? "send buffer" : "receive window",
             buffer_bytes / 1000, upload ? "tcp_wmem" : "tcp_rmem");
}

// One reason is enough; the record has all the numbers.
static void flag_host_limited(struct dk_validity *validity, enum dk_flag_figure figure,
                              const struct dk_throughput *rate)
{
    const struct dk_conditions *c = &rate->conditions;
    const char *name = dk_flag_figure_text(figure);
    bool starved = c->looks > 0 && c->looks_late * 100 >= c->looks * LATE_PERCENT;
    int64_t busy = shares_of(rate).busy_percent;
    int64_t agent = percent_of(c->agent_cpu_ns, c->duration_ns), interrupts = c->cpu_interrupts_ppm / 10000;

    if (agent >= CPU_PERCENT)
        flag(validity, DK_FLAG_HOST_LIMITED, figure, "%s: dokiem itself kept a processor busy for %" PRId64 " %%",
             name, agent);
    else if (interrupts >= CPU_PERCENT)
        flag(validity, DK_FLAG_HOST_LIMITED, figure, "%s: interrupts kept a processor busy for %" PRId64 " %%", name,
             interrupts);
    else if (starved && figure == DK_FLAG_FIGURE_DOWNLOAD && c->windows_closed > 0)
        flag(validity, DK_FLAG_HOST_LIMITED, figure,
             "download: %" PRId64 " of %" PRId64 " looks came more than %d ms late, and TCP had no more room to "
             "receive %" PRId64 " times",
             c->looks_late, c->looks, (int)DK_LATE_LOOK_MS, c->windows_closed);
    else if (starved && figure == DK_FLAG_FIGURE_UPLOAD && busy >= 0 && busy < 100 - IDLE_PERCENT)
        flag(validity, DK_FLAG_HOST_LIMITED, figure,
             "upload: %" PRId64 " of %" PRId64 " looks came more than %d ms late, and TCP had something to send for "
             "only %" PRId64 " %% of the time",
             c->looks_late, c->looks, (int)DK_LATE_LOOK_MS, busy);
    else
        flag_small_buffer(validity, figure, rate);
}

static int64_t above_zero(int64_t value)
{
    return value > 0 ? value : 0;
}

// Of the server's line, in percent, what so much payload in the time of the hint takes with its headers.
static int64_t line_percent(const struct dk_server_hint *hint, int64_t bytes)
{
    __extension__ __int128 bits = (__int128)bytes * 8 * FRAME_BYTES / PAYLOAD_BYTES;
    __extension__ __int128 percent = bits * DK_NS_PER_S / hint->duration_ns * 100 / hint->line_bps;

    return percent > 1000 ? 1000 : (int64_t)percent;
}

static void flag_full_server(struct dk_validity *validity, enum dk_flag_figure figure,
                             const struct dk_server_hint *hint)
{
    char line[DK_AMOUNT_SIZE];
    int64_t own_bytes = 0;

    for (size_t s = 0; s < hint->streams; s++)
        own_bytes += hint->bytes[s];
    if (hint->line_bps <= 0 || hint->others_bytes < 0 ||
        line_percent(hint, own_bytes + hint->others_bytes) < LINE_PERCENT)
        return;
    dk_rate_amount(hint->line_bps, line);
    flag(validity, DK_FLAG_SERVER_LIMITED, figure,
         "%s: by its own word the server's line of %s was full: %" PRId64 " %% by this test and %" PRId64
         " %% by others",
         dk_flag_figure_text(figure), line, line_percent(hint, own_bytes), line_percent(hint, hint->others_bytes));
}

// By the server's own word; one reason is enough. An idle TCP has nothing on the way: whatever the line is, it was not
// full of this test.
static void flag_by_hint(struct dk_validity *validity, enum dk_flag_figure figure, const struct dk_server_hint *hint)
{
    int64_t idle = percent_of(above_zero(hint->idle_ns), hint->duration_ns);
    size_t filled = 0;

    for (size_t s = 0; s < hint->streams; s++)
        filled += fills_buffer(hint->duration_ns, hint->rtt_min_ns, hint->bytes[s], hint->send_buffer_bytes);
    if (idle >= SERVER_IDLE_PERCENT)
        flag(validity, DK_FLAG_SERVER_LIMITED, figure,
             "%s: by its own word the server's TCP had nothing to send for %" PRId64 " %% of the time",
             dk_flag_figure_text(figure), idle);
    else if (filled * 2 > hint->streams)
        flag(validity, DK_FLAG_SERVER_LIMITED, figure,
             "%s: by the server's own word %zu of %zu streams filled its send buffer of %" PRId64
             " kB in every round trip",
             dk_flag_figure_text(figure), filled, hint->streams, hint->send_buffer_bytes / 1000);
    else
        flag_full_server(validity, figure, hint);
}

static void flag_server_limited(struct dk_validity *validity, enum dk_flag_figure figure,
                                const struct dk_throughput *rate, const struct dk_server_hint *hint,
                                enum dk_medium medium)
{
    int64_t limited = shares_of(rate).window_percent;

    if (figure == DK_FLAG_FIGURE_UPLOAD && limited >= WINDOW_PERCENT && has_no_queue(rate))
        flag(validity, DK_FLAG_SERVER_LIMITED, figure,
             "upload: the server's receive window held the streams back for %" PRId64 " %% of the time", limited);
    else if (medium != DK_MEDIUM_LOOPBACK && hint->duration_ns > 0)
        flag_by_hint(validity, figure, hint);
}

static void flag_cross_traffic(struct dk_validity *validity, enum dk_flag_figure figure,
                               const struct dk_conditions *c, const struct dk_latency *beside,
                               const struct dk_responsiveness *also_beside)
{
    int64_t foreign =
        above_zero(c->received_bytes - c->own_received_bytes) + above_zero(c->sent_bytes - c->own_sent_bytes);

    foreign -= beside->sent * (beside->method == DK_METHOD_HTTP ? HTTP_EXCHANGE_BYTES : PACKET_EXCHANGE_BYTES);
    foreign -= also_beside->bytes;

    int64_t percent = percent_of(foreign, c->received_bytes + c->sent_bytes);

    if (c->received_bytes < 0 || c->sent_bytes < 0 || foreign < FOREIGN_MIN_BYTES || percent < FOREIGN_PERCENT)
        return;
    flag(validity, DK_FLAG_CROSS_TRAFFIC, figure,
         "%s: at least %" PRId64 " kB, %" PRId64 " %% of what %s carried, were not the test's own",
         dk_flag_figure_text(figure), foreign / 1000, percent, c->interface);
}

static void flag_rate(struct dk_validity *validity, enum dk_flag_figure figure, const struct dk_throughput *rate,
                      const struct dk_latency *beside, const struct dk_responsiveness *also_beside,
                      const struct dk_server_hint *hint, enum dk_medium medium)
{
    if (rate->status != DK_STATUS_OK)
        return;
    flag_steadiness(validity, figure, rate);
    if (rate->conditions.duration_ns <= 0)
        return;
    flag_host_limited(validity, figure, rate);
    flag_server_limited(validity, figure, rate, hint, medium);
    // On loopback every byte passes twice, and there is no line.
    if (medium != DK_MEDIUM_LOOPBACK)
        flag_cross_traffic(validity, figure, &rate->conditions, beside, also_beside);
}

// IPv6 addresses of one network come and go (RFC 8981); the line is the same.
static bool same_network(const char *a, const char *b)
{
    struct in6_addr a6, b6;

    if (inet_pton(AF_INET6, a, &a6) == 1 && inet_pton(AF_INET6, b, &b6) == 1)
        return memcmp(&a6, &b6, 8) == 0;
    return strcmp(a, b) == 0;
}

static void flag_link(struct dk_validity *validity, const struct dk_link *before, const struct dk_link *after)
{
    int64_t carrier = before->carrier_changes >= 0 ? after->carrier_changes - before->carrier_changes : 0;

    if (strcmp(before->interface, after->interface) != 0)
        flag(validity, DK_FLAG_LINK_CHANGED, DK_FLAG_FIGURE_ALL,
             "the route to the server left by %s before and %s after",
             before->interface[0] != '\0' ? before->interface : "nothing",
             after->interface[0] != '\0' ? after->interface : "nothing");
    else if (before->index != after->index || before->medium != after->medium)
        flag(validity, DK_FLAG_LINK_CHANGED, DK_FLAG_FIGURE_ALL, "%s was taken away and came back as another",
             after->interface);
    else if (carrier > 0)
        flag(validity, DK_FLAG_LINK_CHANGED, DK_FLAG_FIGURE_ALL,
             "%s lost or found its carrier %" PRId64 " times", after->interface, carrier);
    else if (strcmp(before->state, after->state) != 0)
        flag(validity, DK_FLAG_LINK_CHANGED, DK_FLAG_FIGURE_ALL, "%s was '%s' before and '%s' after", after->interface,
             before->state, after->state);
    else if (!same_network(before->local_address, after->local_address))
        flag(validity, DK_FLAG_LINK_CHANGED, DK_FLAG_FIGURE_ALL, "%s has another address than before",
             after->interface);
    if (before->technology != after->technology)
        flag(validity, DK_FLAG_TECHNOLOGY_CHANGED, DK_FLAG_FIGURE_ALL, "%s before and %s after",
             dk_technology_text(before->technology), dk_technology_text(after->technology));
}

// What TCP counted on the streams, of one direction over the wire.
struct counted {
    int64_t bytes;
    int64_t later_bytes; // that may have come after TCP was asked
    bool known;
};

static struct counted count_bytes(const struct dk_measurement *m, bool up)
{
    const struct dk_throughput *rates[] = {&m->download, &m->upload};
    struct counted counted = {0};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        for (int64_t s = 0; rates[i]->status == DK_STATUS_OK && s < rates[i]->streams && s < DK_STREAMS_MAX; s++) {
            const struct dk_tcp_stream *stream = &rates[i]->tcp[s];
            int64_t bytes = up ? stream->acked_bytes : stream->received_bytes;

            if (bytes < 0)
                return (struct counted){0};
            counted.known = true;
            counted.bytes += bytes;
            counted.later_bytes += above_zero(up ? stream->send_buffer_bytes : stream->receive_window_bytes);
        }
    return counted;
}

static bool flag_bytes_captured(struct dk_validity *validity, const struct dk_measurement *m, bool up)
{
    const struct dk_wire_direction *wire = up ? &m->wire.up : &m->wire.down;
    const struct dk_latency *beside[] = {&m->latency_idle, &m->latency_download, &m->latency_upload};
    const struct counted tcp = count_bytes(m, up);
    bool complete = m->download.status != DK_STATUS_FAILED && m->upload.status != DK_STATUS_FAILED;
    int64_t seen = wire->payload_bytes - wire->retransmitted_bytes;
    int64_t less = tcp.bytes / 100 * CAPTURE_LESS_PERCENT + CAPTURE_LESS_BYTES;
    int64_t more = tcp.bytes / 100 * CAPTURE_MORE_PERCENT + CAPTURE_MORE_BYTES + tcp.later_bytes;

    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
        more += above_zero(beside[i]->sent) * HTTP_EXCHANGE_BYTES;
    more += above_zero(m->responsiveness_download.bytes) + above_zero(m->responsiveness_upload.bytes);
    if (!tcp.known || (seen >= tcp.bytes - less && (!complete || seen <= tcp.bytes + more)))
        return false;
    flag(validity, DK_FLAG_CAPTURE_DISAGREES, DK_FLAG_FIGURE_ALL,
         "%s: the capture has %" PRId64 " kB of payload, and TCP on the test's streams %" PRId64 " kB",
         up ? "upwards" : "downwards", seen / 1000, tcp.bytes / 1000);
    return true;
}

// Of what the device sent again, TCP and the capture both know.
static void flag_sent_again(struct dk_validity *validity, const struct dk_measurement *m)
{
    const struct dk_throughput *upload = &m->upload;
    int64_t segments = 0;

    if (upload->status != DK_STATUS_OK || upload->streams < 1 || upload->tcp[0].mss_bytes <= 0)
        return;
    for (int64_t s = 0; s < upload->streams && s < DK_STREAMS_MAX; s++) {
        if (upload->tcp[s].retransmitted_segments < 0)
            return;
        segments += upload->tcp[s].retransmitted_segments;
    }

    int64_t seen = m->wire.up.retransmitted_bytes / upload->tcp[0].mss_bytes;
    int64_t apart = seen > segments ? seen - segments : segments - seen;

    if (apart > segments / 100 * CAPTURE_AGAIN_PERCENT + CAPTURE_AGAIN_SEGMENTS)
        flag(validity, DK_FLAG_CAPTURE_DISAGREES, DK_FLAG_FIGURE_ALL,
             "upwards: the capture has %" PRId64 " segments sent again, and TCP %" PRId64, seen, segments);
}

static void flag_capture(struct dk_validity *validity, const struct dk_measurement *m)
{
    if (m->wire.status != DK_STATUS_OK)
        return;
    if (m->wire.dropped > 0)
        flag(validity, DK_FLAG_CAPTURE_DROPPED, DK_FLAG_FIGURE_ALL,
             "the kernel had no room for %" PRId64 " of the packets to be captured: the figures of the wire have gaps",
             m->wire.dropped);
    // One reason is enough; the record has all the numbers.
    if (!flag_bytes_captured(validity, m, false) && !flag_bytes_captured(validity, m, true))
        flag_sent_again(validity, m);
}

void dk_judge_validity(const struct dk_measurement *measurement, const struct dk_context *context,
                       struct dk_validity *out)
{
    const struct dk_link *link = &context->link;

    *out = (struct dk_validity){.state = DK_VALIDITY_VALID};
    if (context->clock.state == DK_CLOCK_UNSYNCHRONISED)
        flag(out, DK_FLAG_CLOCK_UNSYNCHRONISED, DK_FLAG_FIGURE_ALL,
             "the kernel holds the clock to be unsynchronised; start and end may be wrong");
    if (link->medium == DK_MEDIUM_TUNNEL)
        flag(out, DK_FLAG_TUNNEL, DK_FLAG_FIGURE_ALL, "the route to the server leaves by the tunnel %s",
             link->interface);
    if (link->medium == DK_MEDIUM_LOOPBACK)
        flag(out, DK_FLAG_LOOPBACK, DK_FLAG_FIGURE_ALL,
             "the server is on this machine; the figures say nothing about a line");
    flag_capture(out, measurement);
    if (context->has_link_after)
        flag_link(out, link, &context->link_after);
    flag_rate(out, DK_FLAG_FIGURE_DOWNLOAD, &measurement->download, &measurement->latency_download,
              &measurement->responsiveness_download, &measurement->hint_download, link->medium);
    flag_rate(out, DK_FLAG_FIGURE_UPLOAD, &measurement->upload, &measurement->latency_upload,
              &measurement->responsiveness_upload, &measurement->hint_upload, link->medium);
}
