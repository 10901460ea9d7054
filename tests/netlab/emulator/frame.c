// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/frame.h"

#include <string.h>

enum {
    ETHERNET = DK_FRAME_ETHERNET_BYTES,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    IPV4_MIN = 20,
    IPV6_HEADER = 40,
    TCP_MIN = 20,
    TCP = 6,
    FLAG_FIN = 0x01,
    FLAG_PSH = 0x08,
    FLAG_CWR = 0x80,
};

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

// The ones' complement sum of RFC 1071 over an even number of bytes, added to `sum` and folded.
static uint32_t add_words(uint32_t sum, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i += 2)
        sum += get16(at + i);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static bool read_tcp(const uint8_t *data, struct dk_frame *f)
{
    if (f->len < f->tcp_at + TCP_MIN)
        return false;
    f->payload_at = f->tcp_at + (data[f->tcp_at + 12] >> 4) * 4u;
    if (f->payload_at < f->tcp_at + TCP_MIN || f->payload_at > f->len)
        return false;
    f->tcp = true;
    f->payload_bytes = (int32_t)(f->len - f->payload_at);
    return true;
}

static bool read_ipv4(const uint8_t *data, size_t len, struct dk_frame *f)
{
    if (len < ETHERNET + IPV4_MIN)
        return false;

    const uint8_t *ip = data + ETHERNET;
    size_t header = (ip[0] & 0x0f) * 4u, total = get16(ip + 2);
    bool fragment = (get16(ip + 6) & 0x3fff) != 0;

    if (ip[0] >> 4 != 4 || header < IPV4_MIN || total < header || ETHERNET + total > len)
        return false;
    f->len = ETHERNET + total;
    f->ip_bytes = (int32_t)total;
    f->tcp_at = ETHERNET + header;
    return ip[9] != TCP || fragment || read_tcp(data, f);
}

static bool read_ipv6(const uint8_t *data, size_t len, struct dk_frame *f)
{
    if (len < ETHERNET + IPV6_HEADER)
        return false;

    const uint8_t *ip = data + ETHERNET;
    size_t total = IPV6_HEADER + get16(ip + 4);

    if (ip[0] >> 4 != 6 || ETHERNET + total > len)
        return false;
    f->len = ETHERNET + total;
    f->ip_bytes = (int32_t)total;
    f->tcp_at = ETHERNET + IPV6_HEADER;
    f->ipv6 = true;
    return ip[6] != TCP || read_tcp(data, f);
}

bool dk_frame_read(const uint8_t *data, size_t len, struct dk_frame *out)
{
    struct dk_frame frame = {.len = len};

    if (len < ETHERNET)
        return false;
    switch (get16(data + 12)) {
    case TYPE_IPV4:
        frame.ip = true;
        if (!read_ipv4(data, len, &frame))
            return false;
        break;
    case TYPE_IPV6:
        frame.ip = true;
        if (!read_ipv6(data, len, &frame))
            return false;
        break;
    default:
        break;
    }
    *out = frame;
    return true;
}

int32_t dk_frame_segments(const struct dk_frame *frame, int32_t segment_bytes)
{
    int32_t count = (frame->payload_bytes + segment_bytes - 1) / segment_bytes;

    return count > 0 ? count : 1;
}

// IP lengths, identification and header checksum; returns the sum of the TCP pseudo-header (RFC 9293
// section 3.1).
static uint32_t finish_ip(uint8_t *ip, const struct dk_frame *frame, size_t tcp_len, int32_t index)
{
    if (frame->ipv6) {
        put16(ip + 4, (uint32_t)tcp_len);
        return add_words((uint32_t)tcp_len + TCP, ip + 8, 32);
    }
    put16(ip + 2, (uint32_t)(frame->tcp_at - ETHERNET + tcp_len));
    put16(ip + 4, get16(ip + 4) + (uint32_t)index);
    put16(ip + 10, 0);
    put16(ip + 10, ~add_words(0, ip, frame->tcp_at - ETHERNET));
    return add_words((uint32_t)tcp_len + TCP, ip + 12, 8);
}

size_t dk_frame_segment(const uint8_t *data, const struct dk_frame *frame, int32_t segment_bytes,
                        int32_t index, uint8_t *out, size_t size)
{
    size_t offset = (size_t)segment_bytes * (size_t)index;
    size_t left = (size_t)frame->payload_bytes - offset;
    size_t chunk = left < (size_t)segment_bytes ? left : (size_t)segment_bytes;
    size_t len = frame->payload_at + chunk;
    bool last = chunk == left;

    if (len > size)
        return 0;
    memcpy(out, data, frame->payload_at);
    memcpy(out + frame->payload_at, data + frame->payload_at + offset, chunk);

    uint8_t *tcp = out + frame->tcp_at;
    uint32_t sequence = (get16(tcp + 4) << 16 | get16(tcp + 6)) + (uint32_t)offset;

    put16(tcp + 4, sequence >> 16);
    put16(tcp + 6, sequence);
    if (!last)
        tcp[13] &= (uint8_t) ~(FLAG_FIN | FLAG_PSH);
    if (index > 0)
        tcp[13] &= (uint8_t)~FLAG_CWR;
    put16(tcp + 16, finish_ip(out + ETHERNET, frame, len - frame->tcp_at, index));
    return len;
}
