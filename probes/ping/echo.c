// SPDX-License-Identifier: Apache-2.0
#include "probes/ping/echo.h"

#include <string.h>

#include "agent/base/bytes.h"

enum {
    REQUEST = 8,
    ANSWER = 0,
    REQUEST_V6 = 128,
    ANSWER_V6 = 129,
    CHECKSUM_AT = 2,
    PADDING = 44,
    IPV4_HEADER_MIN = 20,
    IP_PROTOCOL_ICMP = 1,
};

// RFC 1071, of an even number of bytes; 0 over what contains its own right checksum.
static uint16_t checksum(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put(const struct dk_echo *echo, uint8_t type, uint8_t out[static DK_ECHO_SIZE])
{
    struct dk_writer w = {out, DK_ECHO_SIZE, false};

    dk_put_u8(&w, type);
    dk_put_u8(&w, 0); // code
    dk_put_u16(&w, 0);
    dk_put_u16(&w, echo->identifier);
    dk_put_u16(&w, (uint16_t)(echo->number & 0xffff));
    dk_put_u64(&w, echo->token);
    dk_put_u32(&w, echo->number);
    for (uint8_t i = 0; i < PADDING; i++)
        dk_put_u8(&w, i);
}

void dk_echo_put_request(const struct dk_echo *echo, bool ipv6, uint8_t out[static DK_ECHO_SIZE])
{
    put(echo, ipv6 ? REQUEST_V6 : REQUEST, out);
    if (ipv6)
        return;

    uint16_t sum = checksum(out, DK_ECHO_SIZE);

    out[CHECKSUM_AT] = (uint8_t)(sum >> 8);
    out[CHECKSUM_AT + 1] = (uint8_t)sum;
}

// Steps over the IPv4 header. False when there is none, or it is not in front of ICMP.
static bool skip_ipv4(const uint8_t **data, size_t *len)
{
    size_t header = *len >= IPV4_HEADER_MIN ? (size_t)((*data)[0] & 0xf) * 4 : 0;

    if (header < IPV4_HEADER_MIN || header > *len || (*data)[0] >> 4 != 4 || (*data)[9] != IP_PROTOCOL_ICMP)
        return false;
    *data += header;
    *len -= header;
    return true;
}

bool dk_echo_get_answer(const void *data, size_t len, bool ipv6, bool ip_header, struct dk_echo *out)
{
    const uint8_t *at = data;
    uint8_t expected[DK_ECHO_SIZE];

    if ((ip_header && !skip_ipv4(&at, &len)) || len != DK_ECHO_SIZE ||
        (!ipv6 && checksum(at, DK_ECHO_SIZE) != 0))
        return false;

    struct dk_reader r = {at, len, false};

    dk_get_skip(&r, 4);

    struct dk_echo echo = {.identifier = dk_get_u16(&r)};

    dk_get_skip(&r, 2);
    echo.token = dk_get_u64(&r);
    echo.number = dk_get_u32(&r);
    // An answer is the request come back, but for its type and its checksum.
    put(&echo, ipv6 ? ANSWER_V6 : ANSWER, expected);
    memcpy(expected + CHECKSUM_AT, at + CHECKSUM_AT, 2);
    if (memcmp(expected, at, DK_ECHO_SIZE) != 0)
        return false;
    *out = echo;
    return true;
}
