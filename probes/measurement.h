// SPDX-License-Identifier: Apache-2.0
//
// What the probes measured: a value, handed from the pipeline to the judge, the record and the reports.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/terms.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DK_REASON_SIZE = 200,
    DK_STREAMS_MAX = 32,
    DK_ADDRESS_SIZE = INET6_ADDRSTRLEN,
    DK_RUN_ID_SIZE = 23, // 128 bits in base64url
    DK_WORD_SIZE = 4096, // of a server's word, as JWS
    DK_DNS_TEXT_SIZE = 254,
};

// Payload bytes per interval and stream. Row s, column i (bytes[s * count + i]) holds what stream s moved between
// i * interval_ns and (i + 1) * interval_ns after the common start.
struct dk_series {
    int64_t interval_ns;
    size_t streams;
    size_t count;
    int64_t *bytes; // streams * count values, owned by the measurement; NULL when count is 0
    int64_t joined_ns[DK_STREAMS_MAX]; // when each stream began, from the common start; 0: with it
};

// What the kernel said of one stream's TCP connection when the timed phase ended (tcp(7), TCP_INFO). A figure the
// kernel does not give is -1.
struct dk_tcp_stream {
    int64_t rtt_ns, rtt_variation_ns, rtt_min_ns;
    int64_t retransmitted_segments;
    int64_t mss_bytes;
    int64_t acked_bytes, received_bytes; // since the connection was opened, TCP payload, TLS and headers included
    int64_t sent_bytes; // since the connection was opened, what was sent again included
    int64_t segments_in, segments_out;
    int64_t busy_ns; // there was something to send or to be acknowledged
    int64_t receive_window_limited_ns, send_buffer_limited_ns;
    int64_t receive_window_bytes; // the most this side would offer just now (tcpi_rcv_ssthresh)
    int64_t send_buffer_bytes;    // SO_SNDBUF
    int64_t sacked_segments;      // sent, and behind a gap at the receiver (SACK)
    int64_t data_segments_in, out_of_order_in; // with data; of them behind a gap
    int64_t receive_mss_bytes;    // payload of a full segment that is received
    int64_t receive_rtt_ns;       // as a receiver sees it, smoothed
    char congestion_control[16];
};

// A look later than this came when the program could not run: busy processors delay one that can by a few ms
// (docs/methodology.md, "Conditions").
enum { DK_LATE_LOOK_MS = 20 };

// The conditions under which one direction was timed (probes/conditions.h). What is not known is -1.
struct dk_conditions {
    int64_t duration_ns;                 // that was looked at; 0: nothing was, and the rest means nothing
    int64_t looks, looks_late;           // at the streams, every 50 ms; of them, more than DK_LATE_LOOK_MS late
    int64_t late_max_ns;
    int64_t agent_cpu_ns;                // this process, user and system
    int64_t agent_wait_ns;               // this process was ready to run and did not
    int64_t cpu_busiest_ppm;             // of its time, the CPU that was idle least
    int64_t cpu_interrupts_ppm;          // of its time, the CPU that served interrupts most
    int64_t windows_closed;              // times that TCP here had no more room to receive, all connections
    char interface[IF_NAMESIZE];         // whose bytes these are; "" when not known
    int64_t received_bytes, sent_bytes;  // by the interface's counters
    int64_t own_received_bytes, own_sent_bytes; // of them the test's own, at most
};

// Whether the line had one level (docs/methodology.md, "Steadiness").
struct dk_steadiness {
    bool unsteady;           // the steady part has no one level
    bool changes;            // … because it has two; else its interval is too wide
    int64_t level_first_bps; // before and after the clearest change of the steady part
    int64_t level_last_bps;
    int64_t burst_bps; // the rate of what is left out at the beginning when it was faster than the rest; 0: it was not
    int64_t cautious_bps; // half of the interval, were neighbouring samples as correlated as they may be
    int64_t settled_ns; // when TCP had found the line's rate
    bool brief;        // so short, with so little moved, that all of it may have been a burst
};

// Download or upload. With a status other than OK only `reason` and what was seen (bytes, duration, series) count.
struct dk_throughput {
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    bool refused;           // FAILED: the server answered something else than 200 before a sample had payload
    int64_t rate_bps;       // steady rate: ramp-up excluded (docs/methodology.md)
    int64_t rate_whole_bps; // bytes / time of the whole transfer, ramp-up included (the QCVN definition)
    int64_t rate_low_bps;   // 95 % confidence interval of rate_bps
    int64_t rate_high_bps;
    int64_t bytes;          // payload, all streams, from the common start to the earliest last sample
    int64_t duration_ns;    // from the common start to the earliest last sample
    int64_t ramp_up_ns;     // how much of the beginning rate_bps leaves out
    struct dk_steadiness steadiness;
    int64_t streams;
    enum dk_stop stop;
    enum dk_path path;
    struct dk_series series;
    struct dk_conditions conditions;
    struct dk_tcp_stream tcp[DK_STREAMS_MAX]; // the first `streams` are filled
};

// Round-trip times of one phase. sent = received + lost. A duplicate is a further answer to a packet already
// answered; late answers (after timeout_ns) count as lost. RFC 6673 (loss), RFC 3393 (IPDV), RFC 5481 (PDV).
struct dk_latency {
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    enum dk_method method;
    enum dk_timestamps timestamps; // of the round trips that count; USER when there are none
    int64_t sent, received, lost, duplicate, reordered; // packets, or requests
    int64_t late;    // of the lost: answers that came after timeout_ns
    bool directed;   // the reflector counted, so these two are known
    int64_t lost_forward, lost_return; // of the lost: on the way to the reflector, and back
    char reflector_clock[16];      // what the reflector's clock is set by, as it says; "" when it does not
    char reflector_timestamps[16]; // who takes its timestamps, likewise
    int64_t foreign; // datagrams that answer nothing we sent, or are malformed: counted, never believed
    enum dk_sampling sampling;
    int64_t interval_ns; // between sendings; POISSON: the mean
    int64_t timeout_ns;                                 // after which an answer counts as lost
    int64_t send_late_median_ns, send_late_max_ns; // sent later than planned: the instrument's own lateness
    int64_t rtt_min_ns, rtt_median_ns, rtt_p95_ns, rtt_p99_ns, rtt_max_ns;
    int64_t pdv_p95_ns;   // RTT p95 − RTT min
    int64_t *series_ns;   // the RTT of each of the `sent`, −1 = lost; owned by the measurement; may be NULL
    int64_t ipdv_mean_ns; // mean of |RTT(i) − RTT(i−1)| over consecutive sequence numbers
};

// A connection opened beside a load, with one small request, that was answered.
struct dk_foreign {
    int64_t done_ns; // from the common start of the load
    int64_t tcp_ns;  // its TCP handshake
    int64_t tls_ns;  // of its TLS handshake, by the number of round trips that has; -1 without TLS
    int64_t http_ns; // its request, to the end of the answer
};

// What the streams of a load say of their own round-trip time, one of them at a time.
struct dk_self {
    int64_t interval_ns; // sample k was taken between k and k + 1 intervals after the common start
    size_t count;
    int64_t *rtt_ns; // -1: not known; owned by the measurement; NULL when count is 0
};

// Responsiveness under a load, in round trips a minute (docs/methodology.md, "Responsiveness"). Figures that have no
// value are -1.
struct dk_responsiveness {
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    enum dk_confidence confidence;
    int64_t rpm, foreign_rpm, self_rpm;
    int64_t tcp_ns, tls_ns, http_ns, self_ns; // trimmed means of what the figures are made of
    int64_t end_ns;       // of the last interval that is in them, from the common start
    int64_t interval_ns;  // between two foreign connections
    int64_t sent, completed, failed, unfinished; // foreign connections: sent = completed + failed + unfinished
    int64_t bytes;        // that they cost at most, both directions
    struct dk_foreign *foreign; // [completed], in the order of their end; owned by the measurement; may be NULL
    struct dk_self self;
};

// What a server's word says of the server itself in one direction (docs/methodology.md, "The server's word"). A claim.
struct dk_server_hint {
    int64_t duration_ns; // that it is about; 0: the server says nothing
    size_t streams;
    int64_t bytes[DK_STREAMS_MAX]; // payload of each
    int64_t others_bytes; // that it moved meanwhile in this direction beside the run; -1 when it does not say
    int64_t line_bps;     // what its own line carries, as its operator states; 0 when nobody does
    // Download only; -1 when it does not say.
    int64_t idle_ns;           // its TCP had nothing to send or to be acknowledged; mean over the streams
    int64_t send_buffer_bytes; // the largest of a stream
    int64_t rtt_min_ns;        // the shortest that its TCP had
};

// The reference server as it was reached.
struct dk_server {
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    char address[DK_ADDRESS_SIZE]; // numeric; "" when it was never reached
    int64_t connect_ns;            // TCP connect time of the first connection; -1 when not reached
    // Of that connection: finding the address, the TLS handshake, the wait for the answer's first byte, and all from
    // the look-up to that byte. 0: not known, or there was none.
    int64_t resolve_ns, tls_ns, first_byte_ns, access_ns;
    char tls[48];                  // "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" for plain HTTP
    enum dk_server_kind kind;      // how it was asked; AUTO when none is configured
};

// One of several servers that the run could have used. The texts are borrowed from the settings.
enum { DK_CANDIDATES_MAX = 17 };
struct dk_candidate {
    const char *name, *url;
    enum dk_status status;       // OK: it answered, and was not left
    char reason[DK_REASON_SIZE]; // why it did not, or why the run went on to the next
    int64_t connect_ns;          // median TCP connect time; -1 without any
    int64_t connects;            // that it is the median of
};

// What one end of the test's TCP connections sent, as it went over the wire (docs/methodology.md, "The wire").
struct dk_wire_direction {
    int64_t packets, ip_bytes, payload_bytes;
    int64_t retransmissions, retransmitted_bytes, out_of_order, duplicate_acks;
    int64_t ce_packets;
};

// Round-trip times of what the device sent; -1 each, and count 0, without any.
struct dk_wire_rtt {
    int64_t count, min_ns, median_ns, p95_ns, max_ns;
};

// The headers of the captured packets, kept as a file.
struct dk_wire_evidence {
    struct dk_buf pcap; // the file; owned by the measurement; empty when none was asked for
    int64_t packets;    // in it
    bool complete;      // all that were captured
    // Of the file, once it is kept: its name in the folder of evidence, its hash in hexadecimal. "" before.
    char file[48];
    char sha256[65];
};

// The test's own packets, captured. NOT_MEASURED without a reason: nobody asked.
struct dk_wire {
    enum dk_status status;
    char reason[DK_REASON_SIZE];
    char interface[IF_NAMESIZE];
    int64_t duration_ns;
    int64_t frames, truncated, malformed; // to and from the server; of them
    int64_t frame_bytes;                  // of the frames, link headers and all
    int64_t other_packets, other_bytes;   // that the interface carried meanwhile, not to or from the server
    int64_t dropped;                      // for which the kernel had no room; -1 when it does not say
    int64_t flows;                        // TCP
    int64_t acks_of_unseen;               // ACKs of data that was not captured
    struct dk_wire_direction up, down;    // by the device, by the server
    struct dk_wire_rtt syn, rtt_ack, rtt_timestamp;
    struct dk_wire_evidence evidence;
};

// Of all that the interface carried, what was not to or from the server, in millionths; 0 when it carried nothing.
int64_t dk_wire_other_ppm(const struct dk_wire *wire);

// One question to one resolver. OK: it was answered, whatever the answer is.
struct dk_dns_query {
    char server[DK_ADDRESS_SIZE]; // numeric
    int64_t port;
    bool configured;              // by the settings, not by the system
    char name[DK_DNS_TEXT_SIZE];
    bool ipv6;                    // AAAA, not A
    enum dk_transport transport;
    enum dk_status status;
    enum dk_dns_failure failure;  // NONE when OK
    int64_t response_ns;          // over TCP, the handshake included; from here on 0 without an answer
    int64_t rcode;                // 0 … 4095, as IANA lists them
    bool truncated, authenticated; // TC, AD
    int64_t answers;              // addresses
    int64_t unrelated;            // records about something else
    // Counted, never believed: what was no message, and messages that answer something else.
    int64_t malformed, mismatched;
};

struct dk_dns {
    enum dk_status status; // OK: at least one query was answered
    char reason[DK_REASON_SIZE];
    int64_t timeout_ns;
    size_t count;
    struct dk_dns_query *queries; // `count` of them, owned by the measurement; NULL when there are none
};

enum { DK_PATH_MTU_MAX_BYTES = 9216 }; // longer packets are not tried

// The longest IP packet that passes to the server in one piece (docs/methodology.md, "The way").
struct dk_path_mtu {
    enum dk_status status; // OK: at least one packet was answered
    char reason[DK_REASON_SIZE];
    int64_t kernel_bytes;   // what the kernel takes for it; -1 when it does not say
    int64_t answered_bytes; // the longest packet that was answered: the path MTU, or, at least, a lower bound
    int64_t passed_not_bytes; // the shortest that did not pass; 0: none, it is the link's own MTU
    bool told;       // a router said that packets were too big
    bool black_hole; // longer packets vanish, and no router says so
};

// What answers at a distance of so many routers.
enum { DK_HOPS_MAX = 30, DK_HOP_PROBES = 3 };
struct dk_hop {
    char address[DK_ADDRESS_SIZE]; // the first that answered; "" when none did
    bool several;                  // others have answered too
    int64_t rtt_ns[DK_HOP_PROBES]; // -1: no answer
};

struct dk_route {
    enum dk_status status; // OK: at least one hop answered
    char reason[DK_REASON_SIZE];
    bool reached;     // the last hop is the server
    bool unreachable; // the last hop says that there is no way on
    size_t count;     // of the hops, to the last that answered
    struct dk_hop hops[DK_HOPS_MAX];
};

struct dk_way_found {
    bool asked;                 // false: the rest means nothing
    enum dk_path_method method; // AUTO: none
    struct dk_path_mtu mtu;
    struct dk_route route;
};

struct dk_measurement {
    struct dk_server server;
    size_t candidate_count; // 0: there was no choice
    struct dk_candidate candidates[DK_CANDIDATES_MAX];
    struct dk_throughput download, upload;
    struct dk_latency latency_idle, latency_download, latency_upload;
    struct dk_latency latency_gateway; // the first part of the way, idle; the others go all of it
    struct dk_dns dns;
    struct dk_way_found path;
    struct dk_responsiveness responsiveness_download, responsiveness_upload;
    struct dk_wire wire;
    char word[DK_WORD_SIZE]; // what the server answered when it was asked for its word; "" when it gave none
    struct dk_server_hint hint_download, hint_upload; // what that says of the server itself
    int64_t data_used_bytes; // both directions, all probes
};

// What the line does while round-trip times are taken, and to where.
enum dk_phase {
    DK_PHASE_IDLE,
    DK_PHASE_DOWNLOAD,
    DK_PHASE_UPLOAD,
    DK_PHASE_GATEWAY, // idle, and to the gateway only
};

// Makes `latency`, with its series, that of the phase; what the phase had before is freed.
void dk_measurement_take_latency(struct dk_measurement *measurement, enum dk_phase phase,
                                 const struct dk_latency *latency);

// The latency of that phase, in `measurement`.
struct dk_latency *dk_measurement_latency(struct dk_measurement *measurement, enum dk_phase phase);

// By how much the median round trip of `loaded`, taken under load, is longer than the idle one; less than 0: it is
// shorter. False when one of them was not measured, or by another method.
bool dk_measurement_loaded_minus_idle_ns(const struct dk_measurement *measurement, const struct dk_latency *loaded,
                                         int64_t *out);

// The responsiveness of that phase, DOWNLOAD or UPLOAD, in `measurement`.
struct dk_responsiveness *dk_measurement_responsiveness(struct dk_measurement *measurement, enum dk_phase phase);

// The range that a threshold must not lie in for a finding about the steady rate: its 95 % interval; when the line was
// unsteady, also both levels and the whole rate.
struct dk_range {
    int64_t low_bps, high_bps;
};
struct dk_range dk_throughput_range(const struct dk_throughput *throughput);

// Frees the series and zeroes the measurement.
void dk_measurement_free(struct dk_measurement *measurement);
