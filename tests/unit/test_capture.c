// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "probes/capture/evidence.h"
#include "probes/capture/flows.h"
#include "probes/capture/wire.h"
#include "tests/harness/harness.h"

enum { FRAME_MAX = 400, MS = 1000000 };

static void put_bytes(struct dk_writer *w, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dk_put_u8(w, (uint8_t)bytes[i]);
}

#define PUT(w, text) put_bytes(w, text, sizeof text - 1)

// The layers that the frames of these tests are made of; each writes its header and says nothing of what follows.
static void put_ethernet(struct dk_writer *w, uint16_t type)
{
    PUT(w, "\x02\0\0\0\0\1\x02\0\0\0\0\2");
    dk_put_u16(w, type);
}

static void put_ipv4(struct dk_writer *w, uint8_t protocol, size_t options, size_t payload, uint16_t fragment)
{
    dk_put_u8(w, (uint8_t)(0x45 + options / 4));
    dk_put_u8(w, DK_ECN_ECT0);
    dk_put_u16(w, (uint16_t)(20 + options + payload));
    dk_put_u16(w, 7);
    dk_put_u16(w, fragment);
    dk_put_u8(w, 64);
    dk_put_u8(w, protocol);
    dk_put_u16(w, 0);
    PUT(w, "\x0a\x4d\1\1\x0a\x4d\2\1");
    dk_put_zero(w, options);
}

static void put_ipv6(struct dk_writer *w, uint8_t next, size_t payload)
{
    dk_put_u32(w, UINT32_C(0x60000000) | DK_ECN_CE << 20);
    dk_put_u16(w, (uint16_t)payload);
    dk_put_u8(w, next);
    dk_put_u8(w, 64);
    PUT(w, "\xfd\x77\0\1\0\0\0\0\0\0\0\0\0\0\0\1\xfd\x77\0\2\0\0\0\0\0\0\0\0\0\0\0\2");
}

static const char tcp_options[] = "\x02\x04\x05\xb4\x01\x03\x03\x07\x08\x0a\0\0\x30\x39\0\1\0\2\x04\x02\x05\x0a"
                                  "\0\0\0\x64\0\0\0\xc8\0\0";
enum { TCP_BYTES = 20 + sizeof tcp_options - 1 };

static void put_tcp(struct dk_writer *w)
{
    dk_put_u16(w, 40000);
    dk_put_u16(w, 8080);
    dk_put_u32(w, 1000);
    dk_put_u32(w, 2000);
    dk_put_u8(w, TCP_BYTES / 4 << 4);
    dk_put_u8(w, DK_TCP_ACK | DK_TCP_ECE);
    dk_put_u16(w, 501);
    dk_put_u32(w, 0);
    PUT(w, tcp_options);
}

static void put_udp(struct dk_writer *w, uint16_t length)
{
    dk_put_u16(w, 40000);
    dk_put_u16(w, 8080);
    dk_put_u16(w, length);
    dk_put_u16(w, 0);
}

struct made {
    uint8_t bytes[FRAME_MAX];
    size_t size;    // captured
    size_t headers; // of them: less, and the frame is truncated
};

enum { PAYLOAD = 5, TCP_FRAMES = 9, FRAMES = 14 };

// All that comes before the TCP header, in its many forms.
static enum dk_link_layer put_before_tcp(int number, struct dk_writer *w)
{
    const size_t size = TCP_BYTES + PAYLOAD;

    switch (number) {
    case 0:
        put_ethernet(w, 0x0800);
        put_ipv4(w, 6, 0, size, 0x4000);
        return DK_LINK_ETHERNET;
    case 1: // two VLAN tags, IP options
        put_ethernet(w, 0x88a8);
        PUT(w, "\0\5\x81\0\0\7\x08\0");
        put_ipv4(w, 6, 8, size, 0);
        return DK_LINK_ETHERNET;
    case 2: // PPPoE in a VLAN
        put_ethernet(w, 0x8100);
        PUT(w, "\0\5\x88\x64\x11\0\0\1");
        dk_put_u16(w, 2 + 20 + size);
        dk_put_u16(w, 0x0021);
        put_ipv4(w, 6, 0, size, 0);
        return DK_LINK_ETHERNET;
    case 3: // every extension header
        put_ipv6(w, 0, 8 + 16 + 8 + 8 + 12 + 8 + size);
        PUT(w, "\x2b\0\0\0\0\0\0\0"
               "\x2c\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
               "\x3c\0\0\0\0\0\0\1"
               "\x33\0\0\0\0\0\0\0"
               "\x87\1\0\0\0\0\0\0\0\0\0\0"
               "\6\0\0\0\0\0\0\0");
        return DK_LINK_RAW;
    case 4:
        PUT(w, "\0\4\0\1\0\6\2\0\0\0\0\1\0\0\x86\xdd");
        put_ipv6(w, 6, size);
        return DK_LINK_COOKED;
    case 5:
        PUT(w, "\x08\0\0\0\0\0\0\2\0\1\4\6\2\0\0\0\0\1\0\0");
        put_ipv4(w, 6, 0, size, 0);
        return DK_LINK_COOKED2;
    case 6:
        PUT(w, "\2\0\0\0");
        put_ipv4(w, 6, 0, size, 0);
        return DK_LINK_LOOPBACK;
    case 7:
        PUT(w, "\0\0\0\x1e");
        put_ipv6(w, 6, size);
        return DK_LINK_LOOPBACK;
    default: // what the network card was to cut up says no length
        put_ethernet(w, 0x0800);
        put_ipv4(w, 6, 0, (size_t)0 - 20, 0);
        return DK_LINK_ETHERNET;
    }
}

// What is no TCP packet.
static enum dk_link_layer put_other(int number, struct dk_writer *w, enum dk_packet_kind *kind)
{
    switch (number) {
    case 9:
        put_ethernet(w, 0x0800);
        put_ipv4(w, 17, 0, 8 + PAYLOAD, 0);
        put_udp(w, 13);
        *kind = DK_PACKET_UDP;
        return DK_LINK_ETHERNET;
    case 10:
        put_ethernet(w, 0x0800);
        put_ipv4(w, 6, 0, PAYLOAD, 0x2000);
        *kind = DK_PACKET_FRAGMENT;
        return DK_LINK_ETHERNET;
    case 11:
        put_ipv6(w, 44, 8 + PAYLOAD);
        PUT(w, "\6\0\0\x09\0\0\0\1");
        *kind = DK_PACKET_FRAGMENT;
        return DK_LINK_RAW;
    case 12:
        put_ethernet(w, 0x0800);
        put_ipv4(w, 1, 0, PAYLOAD, 0);
        *kind = DK_PACKET_OTHER_IP;
        return DK_LINK_ETHERNET;
    default:
        put_ethernet(w, 0x0806);
        *kind = DK_PACKET_NOT_IP;
        return DK_LINK_ETHERNET;
    }
}

// Frame `number`, 0 … FRAMES − 1, and what it is.
static enum dk_link_layer make_frame(int number, struct made *out, enum dk_packet_kind *kind)
{
    struct dk_writer w = {out->bytes, sizeof out->bytes, false};
    enum dk_link_layer link = DK_LINK_ETHERNET;

    *kind = DK_PACKET_TCP;
    if (number < TCP_FRAMES) {
        link = put_before_tcp(number, &w);
        put_tcp(&w);
    } else {
        link = put_other(number, &w, kind);
    }
    out->headers = FRAME_MAX - w.left;
    dk_put_zero(&w, PAYLOAD);
    out->size = FRAME_MAX - w.left;
    CU_ASSERT_FALSE(w.failed);
    return link;
}

static void check_tcp(const struct dk_packet *p)
{
    CU_ASSERT_EQUAL(p->source_port, 40000);
    CU_ASSERT_EQUAL(p->destination_port, 8080);
    CU_ASSERT_EQUAL(p->sequence, 1000);
    CU_ASSERT_EQUAL(p->acknowledgement, 2000);
    CU_ASSERT_EQUAL(p->flags, DK_TCP_ACK | DK_TCP_ECE);
    CU_ASSERT_EQUAL(p->window, 501);
    CU_ASSERT_EQUAL(p->payload_bytes, 5);
    CU_ASSERT_EQUAL(p->mss_bytes, 1460);
    CU_ASSERT_EQUAL(p->window_shift, 7);
    CU_ASSERT_TRUE(p->sack_permitted && p->has_timestamps);
    CU_ASSERT_EQUAL(p->timestamp, 12345);
    CU_ASSERT_EQUAL(p->timestamp_echo, 65538);
    CU_ASSERT_EQUAL(p->sack_count, 1);
    CU_ASSERT_EQUAL(p->sack_left[0], 100);
    CU_ASSERT_EQUAL(p->sack_right[0], 200);
}

// Reads a frame from memory of exactly its size, so that ASan and valgrind see a read past its end.
static enum dk_packet_kind read_exact(enum dk_link_layer link, const uint8_t *bytes, size_t captured, size_t wire,
                                      struct dk_packet *out)
{
    uint8_t *copy = malloc(captured + 1);

    if (captured > 0)
        memcpy(copy + 1, bytes, captured);

    struct dk_frame frame = {copy + 1, captured, (int64_t)wire, 1};
    enum dk_packet_kind kind = dk_packet_read(link, &frame, out);

    free(copy);
    return kind;
}

static void frames_of_every_link_layer_are_read(void)
{
    struct made made;
    enum dk_packet_kind kind;

    for (int number = 0; number < FRAMES; number++) {
        enum dk_link_layer link = make_frame(number, &made, &kind);
        struct dk_packet packet;

        CU_ASSERT_EQUAL(read_exact(link, made.bytes, made.size, made.size, &packet), kind);
        CU_ASSERT_EQUAL(packet.header_bytes, made.headers);
        if (kind == DK_PACKET_TCP)
            check_tcp(&packet);
        if (kind != DK_PACKET_NOT_IP) {
            bool six = packet.ip_version == 6;

            CU_ASSERT_EQUAL(packet.ecn, six ? DK_ECN_CE : DK_ECN_ECT0);
            CU_ASSERT_EQUAL(memcmp(packet.source, six ? "\xfd\x77\0\1" : "\x0a\x4d\1\1", 4), 0);
            CU_ASSERT_EQUAL(memcmp(packet.destination, six ? "\xfd\x77\0\2" : "\x0a\x4d\2\1", 4), 0);
            CU_ASSERT(packet.ip_bytes > 0 && packet.ip_bytes <= (int64_t)made.size);
        }
        // The padding that Ethernet adds is no payload.
        if (kind == DK_PACKET_TCP && number != TCP_FRAMES - 1) {
            CU_ASSERT_EQUAL(read_exact(link, made.bytes, made.size + 9, made.size + 9, &packet), kind);
            CU_ASSERT_EQUAL(packet.payload_bytes, 5);
        }
    }
}

// Frames in, a file out; the same bytes on every machine.
static void evidence_is_a_pcap_file_of_headers(void)
{
    static const uint8_t expected[] = "\xa1\xb2\x3c\x4d\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\xa0\0\0\0\x65"
                                      "\0\0\0\2\0\0\0\3\0\0\0\3\0\0\5\xdc"
                                      "abc";
    dk_auto_buf struct dk_buf file = dk_buf_make(sizeof expected + 16);
    const struct dk_frame frame = {(const uint8_t *)"abcdef", 6, 1500, 2 * DK_NS_PER_S + 3};

    CU_ASSERT_EQUAL(dk_evidence_begin(DK_LINK_RAW, 160, &file), DK_OK);
    CU_ASSERT_EQUAL(dk_evidence_add(&frame, 3, &file), DK_OK);
    // One more has no room, and nothing of it is there.
    CU_ASSERT_EQUAL(dk_evidence_add(&frame, 3, &file), DK_ERR_DATA);
    CU_ASSERT_EQUAL_FATAL(file.len, sizeof expected - 1);
    CU_ASSERT_EQUAL(memcmp(file.data, expected, file.len), 0);
}

static void what_was_cut_is_truncated_and_what_contradicts_itself_malformed(void)
{
    struct made made;
    enum dk_packet_kind kind;
    struct dk_packet packet;

    for (int number = 0; number < FRAMES; number++) {
        enum dk_link_layer link = make_frame(number, &made, &kind);

        for (size_t captured = 0; captured <= made.size; captured++) {
            bool whole = captured >= made.headers;
            enum dk_packet_kind got = read_exact(link, made.bytes, captured, made.size, &packet);

            CU_ASSERT_EQUAL(got, whole ? kind : DK_PACKET_TRUNCATED);
            // A frame that was no longer on the wire than this is not truncated but wrong.
            if (!whole && number != TCP_FRAMES - 1)
                CU_ASSERT_EQUAL(read_exact(link, made.bytes, captured, captured, &packet), DK_PACKET_MALFORMED);
        }
    }

    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{14, 0x44}, {14, 0x65}, {17, 10}, {17, 250}, {46, 0x40}, {46, 0xf0}, {55, 0}, {55, 1}, {55, 40}};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        (void)make_frame(0, &made, &kind);
        made.bytes[wrong[i].at] = wrong[i].value;
        CU_ASSERT_EQUAL(read_exact(DK_LINK_ETHERNET, made.bytes, made.size, made.size, &packet),
                        DK_PACKET_MALFORMED);
    }
}

static void no_byte_behind_the_capture_is_read(void)
{
    struct made made;
    enum dk_packet_kind kind;

    for (int round = 0; round < 20000; round++) {
        enum dk_link_layer link = make_frame((int)dk_random_between(0, FRAMES - 1), &made, &kind);
        struct dk_packet packet;

        for (int64_t changes = dk_random_between(0, 4); changes > 0; changes--)
            made.bytes[dk_random_between(0, (int64_t)made.size - 1)] = (uint8_t)dk_random();

        size_t captured = (size_t)dk_random_between(0, (int64_t)made.size);
        size_t wire = captured + (size_t)dk_random_between(0, 2000);

        kind = read_exact(link, made.bytes, captured, wire, &packet);
        CU_ASSERT(kind < DK_PACKET_KINDS);
        CU_ASSERT(packet.ip_bytes <= (int64_t)wire && packet.payload_bytes >= 0 &&
                  packet.payload_bytes <= packet.ip_bytes);
    }
}

static void link_layers_have_their_numbers(void)
{
    static const struct {
        int number, link; // -1: unknown
    } cases[] = {{1, DK_LINK_ETHERNET},
                 {113, DK_LINK_COOKED},
                 {276, DK_LINK_COOKED2},
                 {12, DK_LINK_RAW},
                 {101, DK_LINK_RAW},
                 {0, DK_LINK_LOOPBACK},
                 {108, DK_LINK_LOOPBACK},
                 {105, -1},
                 {-1, -1}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum dk_link_layer link = DK_LINK_RAW;

        CU_ASSERT_EQUAL(dk_link_layer_find(cases[i].number, &link), cases[i].link >= 0);
        if (cases[i].link >= 0)
            CU_ASSERT_EQUAL((int)link, cases[i].link);
    }
}

// One segment of a told flow: from the client ('c') or the server ('s').
struct told {
    int64_t time_ms;
    char from;
    uint8_t flags;
    uint32_t sequence, acknowledgement;
    size_t payload;
    uint32_t timestamp, echo; // without the option when timestamp is 0
    uint16_t window;          // 0: 500
};

static void tell(struct dk_flows *flows, const struct told *t)
{
    uint8_t bytes[FRAME_MAX];
    struct dk_writer w = {bytes, sizeof bytes, false};
    size_t options = t->timestamp != 0 ? 12 : 0;
    bool client = t->from == 'c';

    put_ipv4(&w, 6, 0, 20 + options + t->payload, 0);
    if (!client)
        memcpy(bytes + 12, "\x0a\x4d\2\1\x0a\x4d\1\1", 8);
    dk_put_u16(&w, client ? 40000 : 8080);
    dk_put_u16(&w, client ? 8080 : 40000);
    dk_put_u32(&w, t->sequence);
    dk_put_u32(&w, t->acknowledgement);
    dk_put_u8(&w, (uint8_t)((20 + options) / 4 << 4));
    dk_put_u8(&w, t->flags);
    dk_put_u16(&w, t->window != 0 ? t->window : 500);
    dk_put_u32(&w, 0);
    if (options > 0) {
        PUT(&w, "\1\1\x08\x0a");
        dk_put_u32(&w, t->timestamp);
        dk_put_u32(&w, t->echo);
    }
    // The payload itself was not captured.
    struct dk_frame frame = {bytes, FRAME_MAX - w.left, (int64_t)(FRAME_MAX - w.left + t->payload),
                             t->time_ms * MS};

    CU_ASSERT_EQUAL_FATAL(dk_flows_add(flows, DK_LINK_RAW, &frame), DK_OK);
}

#define T(time, end, bits, number, ack, size, ...)                                                                \
    {                                                                                                             \
        .time_ms = time, .from = end, .flags = bits, .sequence = number, .acknowledgement = ack, .payload = size, \
        __VA_ARGS__                                                                                               \
    }
enum { S = DK_TCP_SYN, A = DK_TCP_ACK, F = DK_TCP_FIN };

// 20 ms from the client to the server and back; the capture is at the client.
#define HANDSHAKE T(0, 'c', S, 99, 0, 0), T(20, 's', S | A, 999, 100, 0), T(21, 'c', A, 100, 1000, 0)

static const struct {
    const char *what;
    struct told told[16];
    int64_t client[3], server[3]; // sent again, out of order, duplicate ACKs
    int64_t samples[2], left_out[2];
} judged[] = {
    {"in order",
     {HANDSHAKE, T(22, 's', A, 1000, 100, 100), T(23, 's', A, 1100, 100, 100), T(23, 'c', A, 100, 1200, 0)},
     {0}, {0}, {1, 2}, {0}},
    {"sent again, seen twice, and what its ACK says is unclear",
     {HANDSHAKE, T(30, 'c', A, 100, 1000, 50), T(60, 'c', A, 100, 1000, 50), T(81, 's', A, 1000, 150, 0)},
     {1, 0, 0}, {0}, {1, 1}, {1, 0}},
    {"a part of it seen twice",
     {HANDSHAKE, T(30, 'c', A, 100, 1000, 50), T(60, 'c', A, 140, 1000, 50)},
     {1, 0, 0}, {0}, {1, 1}, {0}},
    {"a gap filled sooner than the server can have heard of it",
     {HANDSHAKE, T(30, 's', A, 1100, 100, 100), T(30, 'c', A, 100, 1000, 0), T(35, 's', A, 1000, 100, 100),
      T(35, 'c', A, 100, 1200, 0)},
     {0, 0, 1}, {0, 1, 0}, {1, 1}, {0, 1}},
    {"a gap filled a round trip later",
     {HANDSHAKE, T(30, 's', A, 1100, 100, 100), T(30, 'c', A, 100, 1000, 0), T(50, 's', A, 1000, 100, 100),
      T(50, 'c', A, 100, 1200, 0)},
     {0, 0, 1}, {1, 0, 0}, {1, 1}, {0, 1}},
    {"a gap filled bit by bit, then once more",
     {HANDSHAKE, T(30, 's', A, 1300, 100, 10), T(31, 's', A, 1100, 100, 100), T(32, 's', A, 1200, 100, 100),
      T(33, 's', A, 1000, 100, 100), T(34, 's', A, 1050, 100, 10)},
     {0}, {1, 3, 0}, {1, 1}, {0}},
    {"SYN and SYN-ACK sent again",
     {T(0, 'c', S, 99, 0, 0), T(5, 'c', S, 99, 0, 0), T(20, 's', S | A, 999, 100, 0),
      T(25, 's', S | A, 999, 100, 0)},
     {1, 0, 0}, {1, 0, 0}, {0}, {1, 0}},
    {"duplicate ACKs; not those with another window or with data",
     {HANDSHAKE, T(30, 'c', A, 100, 1000, 0), T(31, 'c', A, 100, 1000, 0),
      T(32, 'c', A, 100, 1000, 0, .window = 400), T(33, 'c', A, 100, 1000, 1, .window = 400),
      T(34, 'c', A | F, 101, 1000, 0, .window = 400)},
     {0, 0, 2}, {0}, {1, 1}, {0}},
    {"a kept-alive connection",
     {HANDSHAKE, T(30, 'c', A, 99, 1000, 0), T(50, 's', A, 1000, 100, 0), T(60, 'c', A, 99, 1000, 1),
      T(80, 's', A, 1000, 100, 0)},
     {0}, {0}, {1, 1}, {0}},
    {"a gap in the capture: what was acknowledged can only be sent again",
     {HANDSHAKE, T(30, 's', A, 1100, 100, 100), T(31, 'c', A, 100, 1200, 0), T(32, 's', A, 1000, 100, 100)},
     {0}, {1, 0, 0}, {1, 2}, {0}},
    {"one byte overtaken by an ACK is no keep-alive",
     {HANDSHAKE, T(30, 's', A, 1001, 100, 0), T(31, 's', A, 1000, 100, 1)},
     {0}, {0, 1, 0}, {1, 1}, {0}},
    {"one byte that an ACK told of, sent again",
     {HANDSHAKE, T(30, 's', A, 1001, 100, 0), T(60, 's', A, 1000, 100, 1)},
     {0}, {1, 0, 0}, {1, 1}, {0}},
    {"probes of a closed window",
     {HANDSHAKE, T(30, 's', A, 1000, 100, 10), T(31, 'c', A, 100, 1010, 0, .window = 1)},
     {0}, {0}, {1, 2}, {0}},
    {"numbers that wrap",
     {T(0, 'c', S, UINT32_MAX - 1, 0, 0), T(20, 's', S | A, UINT32_MAX, UINT32_MAX, 0),
      T(21, 'c', A, UINT32_MAX, 0, 0), T(22, 'c', A, UINT32_MAX, 0, 10), T(23, 'c', A, 9, 0, 10),
      T(45, 's', A, 0, 19, 0), T(46, 'c', A, 9, 0, 10)},
     {1, 0, 0}, {0}, {2, 1}, {0}},
    {"begun before the capture",
     {T(0, 's', A, 5000, 1, 100), T(1, 's', A, 4900, 1, 100), T(9, 's', A, 4800, 1, 100)},
     {1, 1, 0}, {0}, {0}, {0}},
};

static void flows_are_judged(void)
{
    for (size_t i = 0; i < sizeof judged / sizeof judged[0]; i++) {
        struct dk_flows flows = {0};

        CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 4, NULL, NULL), DK_OK);
        for (size_t k = 0; k < 16 && judged[i].told[k].from != '\0'; k++)
            tell(&flows, &judged[i].told[k]);
        CU_ASSERT_EQUAL_FATAL(flows.count, 1);
        for (int end = 0; end < 2; end++) {
            const struct dk_direction *d = &flows.flows[0].from[end];
            const int64_t *expected = end == 0 ? judged[i].client : judged[i].server;
            const int64_t got[5] = {d->retransmissions, d->out_of_order, d->duplicate_acks, d->rtt_ack.count,
                                    d->rtt_ack.left_out};
            const int64_t wanted[5] = {expected[0], expected[1], expected[2], judged[i].samples[end],
                                       judged[i].left_out[end]};

            if (memcmp(got, wanted, sizeof got) != 0) {
                printf("\n%s, end %d: again %d, out of order %d, duplicate ACKs %d, samples %d, left out %d\n",
                       judged[i].what, end, (int)got[0], (int)got[1], (int)got[2], (int)got[3], (int)got[4]);
                CU_FAIL("a flow is judged otherwise");
            }
        }
        CU_ASSERT_EQUAL(flows.totals.frames, flows.totals.kinds[DK_PACKET_TCP]);
        dk_flows_free(&flows);
    }
}

static void round_trips_are_timed(void)
{
    static const struct told told[] = {
        T(0, 'c', S, 99, 0, 0, .timestamp = 1),
        T(20, 's', S | A, 999, 100, 0, .timestamp = 700, .echo = 1),
        T(23, 'c', A, 100, 1000, 0, .timestamp = 21, .echo = 700),
        T(30, 'c', A, 100, 1000, 50, .timestamp = 30, .echo = 700),
        T(34, 'c', A, 150, 1000, 50, .timestamp = 34, .echo = 700),
        T(60, 's', A, 1000, 200, 0, .timestamp = 740,
          .echo = 30), // one ACK for both: 26 ms by the second, 30 by its echo
        T(61, 's', A, 1000, 200, 0, .timestamp = 741, .echo = 34), // no news, no sample
    };
    struct dk_flows flows = {0};
    struct dk_rtt_figures figures;

    CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 4, "10.77.2.1", NULL), DK_OK);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        tell(&flows, &told[i]);

    struct dk_flow *flow = &flows.flows[0];

    CU_ASSERT_TRUE(flow->begun);
    CU_ASSERT_EQUAL(flow->syn_ns, 20 * MS);
    CU_ASSERT_EQUAL(flow->handshake_ns, 23 * MS);
    dk_rtt_figures(&flow->from[0].rtt_ack, &figures);
    CU_ASSERT_EQUAL(figures.count, 2);
    CU_ASSERT_EQUAL(figures.min_ns, 20 * MS);
    CU_ASSERT_EQUAL(figures.median_ns, 23 * MS);
    CU_ASSERT_EQUAL(figures.max_ns, 26 * MS);
    dk_rtt_figures(&flow->from[0].rtt_timestamp, &figures);
    CU_ASSERT_EQUAL(figures.count, 2);
    CU_ASSERT_EQUAL(figures.min_ns, 20 * MS);
    CU_ASSERT_EQUAL(figures.max_ns, 30 * MS);
    dk_rtt_figures(&flow->from[1].rtt_timestamp, &figures);
    CU_ASSERT_EQUAL(figures.count, 1);
    CU_ASSERT_EQUAL(figures.median_ns, 3 * MS);
    CU_ASSERT_EQUAL(flows.totals.server_bytes, flows.totals.ip_bytes);
    CU_ASSERT_EQUAL(flow->from[0].ip_bytes, 4 * 52 + 100);
    CU_ASSERT_EQUAL(flow->from[0].payload_bytes, 100);
    dk_flows_free(&flows);
}

static void a_handshake_sent_twice_has_no_time(void)
{
    static const struct told told[] = {T(0, 'c', S, 99, 0, 0), T(5, 'c', S, 99, 0, 0), T(20, 's', S | A, 999, 100, 0),
                                       T(21, 'c', A, 100, 1000, 0), T(25, 's', S | A, 999, 100, 0)};
    // From the first SYN or the second, to the first SYN-ACK or the second.
    for (size_t first = 0; first < 2; first++)
        for (size_t count = 3 + first; count <= 5; count++) {
            bool twice = first == 0 || count == 5;
            struct dk_flows flows = {0};

            CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 1, NULL, NULL), DK_OK);
            for (size_t i = first; i < count; i++)
                tell(&flows, &told[i]);
            CU_ASSERT_EQUAL(flows.flows[0].syn_ns, twice ? -1 : 15 * MS);
            CU_ASSERT_EQUAL(flows.flows[0].handshake_ns, twice ? -1 : 16 * MS);
            dk_flows_free(&flows);
        }
}

static void ports_used_again_are_a_new_flow(void)
{
    static const struct told told[] = {HANDSHAKE,
                                       T(30, 'c', A | F, 100, 1000, 0),
                                       T(40, 'c', S, 99, 0, 0),
                                       T(60, 's', S | A, 5000, 100, 0),
                                       T(70, 'c', S, 7777, 0, 0),
                                       T(90, 'c', A, 7778, 1, 0)};
    struct dk_flows flows = {0};

    CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 3, "2001:db8::1", NULL), DK_OK);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        tell(&flows, &told[i]);
    CU_ASSERT_EQUAL_FATAL(flows.count, 3);
    CU_ASSERT_EQUAL(flows.flows[0].from[0].packets, 3);
    CU_ASSERT_EQUAL(flows.flows[1].from[0].packets, 1);
    CU_ASSERT_EQUAL(flows.flows[1].from[1].packets, 1);
    CU_ASSERT_EQUAL(flows.flows[2].from[0].packets, 2);
    CU_ASSERT_EQUAL(flows.totals.server_bytes, 0);
    // There is no room for a fourth.
    tell(&flows, &(struct told)T(100, 'c', S, 12, 0, 0));
    CU_ASSERT_EQUAL(flows.count, 3);
    CU_ASSERT_EQUAL(flows.totals.untracked_packets, 1);
    dk_flows_free(&flows);
    CU_ASSERT_EQUAL(dk_flows_init(&flows, 3, "server", NULL), DK_ERR_USAGE);
}

// Whatever arrives in whatever order: each byte is new, fills a gap, or came again. The same by a map of all
// bytes.
static void sent_again_agrees_with_a_map_of_bytes(void)
{
    for (int round = 0; round < 300; round++) {
        struct dk_flows flows = {0};
        bool seen[2000] = {false};
        int64_t again = 0, below = 0, highest = 0;

        CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 1, NULL, NULL), DK_OK);
        tell(&flows, &(struct told)T(0, 'c', S, 99, 0, 0));
        for (int64_t i = 0; i < 100; i++) {
            int64_t start = dk_random_between(highest > 300 ? highest - 300 : 0, highest + 100);
            int64_t size = dk_random_between(2, 60);
            bool any = false;

            if (start + size > 2000)
                break;
            for (int64_t k = start; k < start + size; k++) {
                any |= seen[k];
                seen[k] = true;
            }
            again += any;
            below += start < highest;
            highest = start + size > highest ? start + size : highest;
            // All within 3 ms: only what was seen can have come again.
            tell(&flows, &(struct told)T(1, 'c', A, 100 + (uint32_t)start, 1, (size_t)size));
        }
        CU_ASSERT_EQUAL(flows.flows[0].from[0].retransmissions, again);
        CU_ASSERT_EQUAL(flows.flows[0].from[0].retransmissions + flows.flows[0].from[0].out_of_order, below);
        dk_flows_free(&flows);
    }
}

static void flows_with_the_server_are_summed(void)
{
    static const struct told told[] = {
        HANDSHAKE,
        T(30, 'c', A, 100, 1000, 50, .timestamp = 30),
        T(60, 'c', A, 100, 1000, 50, .timestamp = 60),
        T(90, 's', A, 1000, 150, 70, .timestamp = 7, .echo = 30),
        // Another flow between the same ends.
        T(100, 'c', S, 7777, 0, 0),
        T(140, 's', S | A, 8888, 7778, 0),
        T(141, 's', A, 9000, 7778, 10),
        T(142, 's', A, 8889, 7778, 111),
    };
    struct dk_flows flows = {0};
    struct dk_wire wire = {.dropped = 5};

    CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 4, "10.77.2.1", NULL), DK_OK);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        tell(&flows, &told[i]);
    CU_ASSERT_EQUAL_FATAL(dk_wire_sum(&flows, &wire), DK_OK);
    CU_ASSERT_EQUAL(wire.dropped, 5);
    CU_ASSERT_EQUAL(wire.frames, 10);
    CU_ASSERT_EQUAL(wire.flows, 2);
    CU_ASSERT_EQUAL(wire.up.packets, 5);
    CU_ASSERT_EQUAL(wire.up.payload_bytes, 100);
    CU_ASSERT_EQUAL(wire.up.retransmissions, 1);
    CU_ASSERT_EQUAL(wire.up.retransmitted_bytes, 50);
    CU_ASSERT_EQUAL(wire.down.packets, 5);
    CU_ASSERT_EQUAL(wire.down.payload_bytes, 191);
    CU_ASSERT_EQUAL(wire.down.out_of_order, 1);
    CU_ASSERT_EQUAL(wire.down.retransmissions, 0);
    CU_ASSERT_EQUAL(wire.syn.count, 2);
    CU_ASSERT_EQUAL(wire.syn.min_ns, 20 * MS);
    CU_ASSERT_EQUAL(wire.syn.median_ns, 30 * MS);
    CU_ASSERT_EQUAL(wire.syn.max_ns, 40 * MS);
    CU_ASSERT_EQUAL(wire.rtt_ack.count, 2);
    CU_ASSERT_EQUAL(wire.rtt_timestamp.count, 0);
    CU_ASSERT_EQUAL(wire.rtt_timestamp.median_ns, -1);
    dk_flows_free(&flows);

    // The server as the one that opened the flow, and a server that none of them is with.
    static const struct {
        const char *server;
        int64_t up, down;
    } rows[] = {{"10.77.1.1", 5, 5}, {"10.77.9.9", 0, 0}};

    for (size_t k = 0; k < 2; k++) {
        CU_ASSERT_EQUAL_FATAL(dk_flows_init(&flows, 4, rows[k].server, NULL), DK_OK);
        for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
            tell(&flows, &told[i]);
        CU_ASSERT_EQUAL_FATAL(dk_wire_sum(&flows, &wire), DK_OK);
        CU_ASSERT_EQUAL(wire.up.packets, rows[k].up);
        CU_ASSERT_EQUAL(wire.down.packets, rows[k].down);
        CU_ASSERT_EQUAL(wire.up.payload_bytes, rows[k].up > 0 ? 191 : 0);
        dk_flows_free(&flows);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(frames_of_every_link_layer_are_read),
        DK_CASE(evidence_is_a_pcap_file_of_headers),
        DK_CASE(what_was_cut_is_truncated_and_what_contradicts_itself_malformed),
        DK_CASE(no_byte_behind_the_capture_is_read),
        DK_CASE(link_layers_have_their_numbers),
        DK_CASE(flows_are_judged),
        DK_CASE(round_trips_are_timed),
        DK_CASE(a_handshake_sent_twice_has_no_time),
        DK_CASE(ports_used_again_are_a_new_flow),
        DK_CASE(flows_with_the_server_are_summed),
        DK_CASE(sent_again_agrees_with_a_map_of_bytes),
        {0},
    };

    return dk_harness_main(argc, argv, "capture", cases);
}
