// SPDX-License-Identifier: Apache-2.0
//
// The wire format of an echo request and its answer: ICMP (RFC 792) and ICMPv6 (RFC 4443), 64 bytes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_ECHO_SIZE = 64 };

struct dk_echo {
    uint16_t identifier;
    uint32_t number; // of the request; its low half is the sequence number, all of it is in the payload
    uint64_t token;  // in the payload: what only our own requests carry
};

// Writes all 64 bytes of a request. `ipv6`: ICMPv6, whose checksum is left to the kernel, as it covers addresses.
void dk_echo_put_request(const struct dk_echo *echo, bool ipv6, uint8_t out[static DK_ECHO_SIZE]);

// Reads an answer of `len` bytes as a socket gives it: with `ip_header` there is an IPv4 header in front. False, with
// *out untouched, when it is not an answer to a request that dk_echo_put_request() could have written.
bool dk_echo_get_answer(const void *data, size_t len, bool ipv6, bool ip_header, struct dk_echo *out);
