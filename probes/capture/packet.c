// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/packet.h"

#include "agent/base/bytes.h"

#include <string.h>

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_PPPOE = 0x8864 };
enum { PPP_IPV4 = 0x0021, PPP_IPV6 = 0x0057 };
enum { NEXT_HOP_BY_HOP = 0, NEXT_TCP = 6, NEXT_UDP = 17, NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, NEXT_AH = 51,
       NEXT_DESTINATION = 60, NEXT_MOBILITY = 135 };
enum { TCP_HEADER_BYTES = 20, UDP_HEADER_BYTES = 8, IPV4_HEADER_BYTES = 20, IPV6_HEADER_BYTES = 40 };

// A frame on its way through the layers: what was captured, and what the wire carried from there on.
struct cursor {
    struct dk_reader reader;
    int64_t wire_left; // bytes; less than reader.left only by the padding that the IP length cuts off
};

static enum dk_packet_kind short_of(const struct cursor *c, int64_t needed)
{
    return c->wire_left < needed ? DK_PACKET_MALFORMED : DK_PACKET_TRUNCATED;
}

static bool take(struct cursor *c, size_t count)
{
    return !c->reader.failed && c->reader.left >= count && c->wire_left >= (int64_t)count;
}

static void passed(struct cursor *c, size_t count)
{
    c->wire_left -= (int64_t)count;
}

static void skip(struct cursor *c, size_t count)
{
    dk_get_skip(&c->reader, count);
    passed(c, count);
}

bool dk_link_layer_find(int number, enum dk_link_layer *out)
{
    // 12, 14 and 101 are all "raw IP", by system and by file; 228 and 229 name the version, which the packet says too.
    static const struct {
        int number;
        enum dk_link_layer layer;
    } rows[] = {{1, DK_LINK_ETHERNET}, {113, DK_LINK_COOKED}, {276, DK_LINK_COOKED2}, {12, DK_LINK_RAW},
                {14, DK_LINK_RAW},     {101, DK_LINK_RAW},    {228, DK_LINK_RAW},     {229, DK_LINK_RAW},
                {0, DK_LINK_LOOPBACK}, {108, DK_LINK_LOOPBACK}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].number == number) {
            *out = rows[i].layer;
            return true;
        }
    return false;
}

// One option after another, up to `length` bytes. False when their lengths contradict each other.
static bool read_options(struct dk_reader r, size_t length, struct dk_packet *out)
{
    r.left = length;
    while (r.left > 0) {
        uint8_t kind = dk_get_u8(&r);

        if (kind == 0)
            return true;
        if (kind == 1)
            continue;

        uint8_t size = dk_get_u8(&r);

        if (r.failed || size < 2 || (size_t)size - 2 > r.left)
            return false;

        struct dk_reader body = {r.at, (size_t)size - 2, false};

        dk_get_skip(&r, (size_t)size - 2);
        if (kind == 2 && size == 4) {
            out->mss_bytes = dk_get_u16(&body);
        } else if (kind == 3 && size == 3) {
            uint8_t shift = dk_get_u8(&body);

            out->window_shift = (int8_t)(shift > 14 ? 14 : shift);
        } else if (kind == 4 && size == 2) {
            out->sack_permitted = true;
        } else if (kind == 8 && size == 10) {
            out->has_timestamps = true;
            out->timestamp = dk_get_u32(&body);
            out->timestamp_echo = dk_get_u32(&body);
        } else if (kind == 5 && size % 8 == 2) {
            for (; body.left > 0 && out->sack_count < DK_SACK_BLOCKS_MAX; out->sack_count++) {
                out->sack_left[out->sack_count] = dk_get_u32(&body);
                out->sack_right[out->sack_count] = dk_get_u32(&body);
            }
        }
    }
    return true;
}

static enum dk_packet_kind read_tcp(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, TCP_HEADER_BYTES))
        return short_of(c, TCP_HEADER_BYTES);
    out->source_port = dk_get_u16(&c->reader);
    out->destination_port = dk_get_u16(&c->reader);
    out->sequence = dk_get_u32(&c->reader);
    out->acknowledgement = dk_get_u32(&c->reader);

    int64_t header = (dk_get_u8(&c->reader) >> 4) * 4;

    out->flags = dk_get_u8(&c->reader);
    out->window = dk_get_u16(&c->reader);
    dk_get_skip(&c->reader, 4);
    if (header < TCP_HEADER_BYTES || header > c->wire_left)
        return DK_PACKET_MALFORMED;
    out->payload_bytes = c->wire_left - header;

    size_t options = (size_t)header - TCP_HEADER_BYTES;

    if (options > c->reader.left)
        return DK_PACKET_TRUNCATED;

    struct dk_reader at_options = c->reader;

    dk_get_skip(&c->reader, options);
    return read_options(at_options, options, out) ? DK_PACKET_TCP : DK_PACKET_MALFORMED;
}

static enum dk_packet_kind read_udp(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, UDP_HEADER_BYTES))
        return short_of(c, UDP_HEADER_BYTES);
    out->source_port = dk_get_u16(&c->reader);
    out->destination_port = dk_get_u16(&c->reader);

    int64_t length = dk_get_u16(&c->reader);

    dk_get_skip(&c->reader, 2);
    // 0 is a jumbogram, or one that the network card was to cut up.
    if (length == 0)
        length = c->wire_left;
    if (length < UDP_HEADER_BYTES || length > c->wire_left)
        return DK_PACKET_MALFORMED;
    out->payload_bytes = length - UDP_HEADER_BYTES;
    return DK_PACKET_UDP;
}

static enum dk_packet_kind read_transport(struct cursor *c, struct dk_packet *out)
{
    if (out->protocol == NEXT_TCP)
        return read_tcp(c, out);
    return out->protocol == NEXT_UDP ? read_udp(c, out) : DK_PACKET_OTHER_IP;
}

static enum dk_packet_kind read_ipv4(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, IPV4_HEADER_BYTES))
        return short_of(c, IPV4_HEADER_BYTES);

    uint8_t first = dk_get_u8(&c->reader);
    int64_t header = (first & 15) * 4;
    enum dk_ecn ecn = dk_get_u8(&c->reader) & 3;
    int64_t total = dk_get_u16(&c->reader);

    // A packet longer than the field can say, which the network card was to cut up: the frame says how long it is.
    if (total == 0)
        total = c->wire_left;
    if (first >> 4 != 4 || header < IPV4_HEADER_BYTES || total < header || total > c->wire_left)
        return DK_PACKET_MALFORMED;
    dk_get_skip(&c->reader, 2);

    uint16_t fragment = dk_get_u16(&c->reader);

    dk_get_skip(&c->reader, 1);
    out->protocol = dk_get_u8(&c->reader);
    dk_get_skip(&c->reader, 2);
    memcpy(out->source, c->reader.at, 4);
    dk_get_skip(&c->reader, 4);
    memcpy(out->destination, c->reader.at, 4);
    dk_get_skip(&c->reader, 4);
    out->ip_version = 4;
    out->ip_bytes = total;
    out->ecn = ecn;
    c->wire_left = total - IPV4_HEADER_BYTES;
    if ((fragment & 0x3fff) != 0)
        return DK_PACKET_FRAGMENT;
    if (!take(c, (size_t)header - IPV4_HEADER_BYTES))
        return DK_PACKET_TRUNCATED;
    skip(c, (size_t)header - IPV4_HEADER_BYTES);
    return read_transport(c, out);
}

// Passes over extension headers up to one that is none of them.
static enum dk_packet_kind read_extensions(struct cursor *c, struct dk_packet *out)
{
    for (;;) {
        uint8_t kind = out->protocol;

        if (kind != NEXT_HOP_BY_HOP && kind != NEXT_ROUTING && kind != NEXT_DESTINATION && kind != NEXT_MOBILITY &&
            kind != NEXT_AH && kind != NEXT_FRAGMENT)
            return read_transport(c, out);
        if (!take(c, 8))
            return short_of(c, 8);
        out->protocol = dk_get_u8(&c->reader);

        uint8_t length = dk_get_u8(&c->reader);
        uint16_t fragment = dk_get_u16(&c->reader);
        size_t rest = kind == NEXT_AH ? ((size_t)length + 2) * 4 : ((size_t)length + 1) * 8;

        if (kind == NEXT_FRAGMENT) {
            rest = 8;
            // An "atomic" fragment is the whole packet (RFC 6946).
            if ((fragment & 0xfff9) != 0) {
                dk_get_skip(&c->reader, 4);
                return DK_PACKET_FRAGMENT;
            }
        }
        if (rest < 8 || (int64_t)rest > c->wire_left)
            return DK_PACKET_MALFORMED;
        if (rest - 4 > c->reader.left)
            return DK_PACKET_TRUNCATED;
        dk_get_skip(&c->reader, rest - 4);
        passed(c, rest);
    }
}

static enum dk_packet_kind read_ipv6(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, IPV6_HEADER_BYTES))
        return short_of(c, IPV6_HEADER_BYTES);

    uint32_t first = dk_get_u32(&c->reader);
    int64_t total = dk_get_u16(&c->reader) + IPV6_HEADER_BYTES;

    if (total == IPV6_HEADER_BYTES)
        total = c->wire_left;
    if (first >> 28 != 6 || total > c->wire_left)
        return DK_PACKET_MALFORMED;
    out->protocol = dk_get_u8(&c->reader);
    dk_get_skip(&c->reader, 1);
    memcpy(out->source, c->reader.at, DK_IP_SIZE);
    dk_get_skip(&c->reader, DK_IP_SIZE);
    memcpy(out->destination, c->reader.at, DK_IP_SIZE);
    dk_get_skip(&c->reader, DK_IP_SIZE);
    out->ip_version = 6;
    out->ip_bytes = total;
    out->ecn = first >> 20 & 3;
    c->wire_left = total - IPV6_HEADER_BYTES;
    return read_extensions(c, out);
}

static enum dk_packet_kind read_ip(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, 1))
        return short_of(c, 1);
    switch (c->reader.at[0] >> 4) {
    case 4:
        return read_ipv4(c, out);
    case 6:
        return read_ipv6(c, out);
    default:
        return DK_PACKET_MALFORMED;
    }
}

static enum dk_packet_kind read_pppoe(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, 8))
        return short_of(c, 8);
    skip(c, 4);

    int64_t length = dk_get_u16(&c->reader);
    uint16_t protocol = dk_get_u16(&c->reader);

    passed(c, 2);
    if (length < 2 || length > c->wire_left)
        return DK_PACKET_MALFORMED;
    c->wire_left = length - 2;
    if (protocol != PPP_IPV4 && protocol != PPP_IPV6)
        return DK_PACKET_NOT_IP;
    return protocol == PPP_IPV4 ? read_ipv4(c, out) : read_ipv6(c, out);
}

static enum dk_packet_kind read_ethertype(struct cursor *c, uint16_t type, struct dk_packet *out)
{
    // 802.1Q, 802.1ad and the number before it
    while (type == 0x8100 || type == 0x88a8 || type == 0x9100) {
        if (!take(c, 4))
            return short_of(c, 4);
        skip(c, 2);
        type = dk_get_u16(&c->reader);
        passed(c, 2);
    }
    switch (type) {
    case ETHERTYPE_IPV4:
        return read_ipv4(c, out);
    case ETHERTYPE_IPV6:
        return read_ipv6(c, out);
    case ETHERTYPE_PPPOE:
        return read_pppoe(c, out);
    default:
        return DK_PACKET_NOT_IP;
    }
}

// A link header of `size` bytes with an Ethernet type at `at`.
static enum dk_packet_kind read_typed(struct cursor *c, size_t size, size_t at, struct dk_packet *out)
{
    if (!take(c, size))
        return short_of(c, (int64_t)size);
    skip(c, at);

    uint16_t type = dk_get_u16(&c->reader);

    passed(c, 2);
    skip(c, size - at - 2);
    return read_ethertype(c, type, out);
}

static enum dk_packet_kind read_loopback(struct cursor *c, struct dk_packet *out)
{
    if (!take(c, 4))
        return short_of(c, 4);

    uint32_t family = dk_get_u32(&c->reader);

    passed(c, 4);
    // Written in the order of the machine that captured.
    if (family > 0xffff)
        family = family >> 24 | (family >> 8 & 0xff00);
    // AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs.
    if (family != 2 && family != 10 && family != 24 && family != 28 && family != 30)
        return DK_PACKET_NOT_IP;
    return family == 2 ? read_ipv4(c, out) : read_ipv6(c, out);
}

static enum dk_packet_kind read_link(enum dk_link_layer link, struct cursor *c, struct dk_packet *out)
{
    switch (link) {
    case DK_LINK_ETHERNET:
        return read_typed(c, 14, 12, out);
    case DK_LINK_COOKED:
        return read_typed(c, 16, 14, out);
    case DK_LINK_COOKED2:
        return read_typed(c, 20, 0, out);
    case DK_LINK_RAW:
        return read_ip(c, out);
    case DK_LINK_LOOPBACK:
        return read_loopback(c, out);
    }
    return DK_PACKET_NOT_IP;
}

enum dk_packet_kind dk_packet_read(enum dk_link_layer link, const struct dk_frame *frame, struct dk_packet *out)
{
    struct cursor c = {{frame->bytes, frame->captured_bytes, false}, frame->wire_bytes};

    *out = (struct dk_packet){.time_ns = frame->time_ns, .window_shift = -1};

    enum dk_packet_kind kind = read_link(link, &c, out);

    out->header_bytes = frame->captured_bytes - c.reader.left;
    return kind;
}
