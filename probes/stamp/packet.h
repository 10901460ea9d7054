// SPDX-License-Identifier: Apache-2.0
//
// The wire format of STAMP, RFC 8762, unauthenticated mode: 44 bytes both ways. The session identifier is
// that of RFC 8972 section 3; what must be zero is sent as zero and not looked at.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/clock.h"

enum { DK_STAMP_PORT = 862, DK_STAMP_SIZE = 44 };

// RFC 8762 section 4.2.1.
struct dk_stamp_request {
    uint32_t sequence;
    uint64_t
        timestamp; // NTP, RFC 5905: seconds since 1900 in the upper half, fractions of 2^-32 s in the lower
    uint16_t error_estimate;
    uint16_t session; // 0 when there is none
};

// RFC 8762 section 4.3.1.
struct dk_stamp_answer {
    uint32_t sequence;
    uint64_t timestamp; // when the reflector sent it; NTP, or PTP when DK_STAMP_PTP is in error_estimate
    uint16_t error_estimate;
    uint16_t session;
    uint64_t received; // when the reflector received the request, same format
    uint32_t sender_sequence;
    uint64_t sender_timestamp;
    uint16_t sender_error_estimate;
    uint8_t sender_ttl; // TTL or hop limit of the request as it arrived
};

// Bits of an error estimate, RFC 4656 section 4.1.2 and RFC 8186 section 2.3.
enum { DK_STAMP_SYNCHRONISED = 0x8000, DK_STAMP_PTP = 0x4000 };

// Writes all 44 bytes of the packet.
void dk_stamp_put_request(const struct dk_stamp_request *request, uint8_t out[static DK_STAMP_SIZE]);
void dk_stamp_put_answer(const struct dk_stamp_answer *answer, uint8_t out[static DK_STAMP_SIZE]);

// Reads the first 44 of `len` bytes. False, with *out untouched, when there are fewer.
bool dk_stamp_get_request(const void *data, size_t len, struct dk_stamp_request *out);
bool dk_stamp_get_answer(const void *data, size_t len, struct dk_stamp_answer *out);

// `when` as an NTP timestamp (era by wrapping, RFC 5905 section 6), rounded down.
uint64_t dk_stamp_from_wall(struct dk_wall when);

// later − earlier in ns, both from one clock and in the format that `error_estimate` names; correct over an
// NTP era's end as long as the two lie within 68 years.
int64_t dk_stamp_between_ns(uint64_t later, uint64_t earlier, uint16_t error_estimate);

// The error estimate of a clock: S when it is synchronised, and multiplier * 2^(scale − 32) s >= error_ns
// with the smallest scale that can hold it, multiplier 1 … 255. error_ns < 0 means not known: 16 s are stated
// then, which is what the kernel says of a clock nobody sets.
uint16_t dk_stamp_error_estimate(bool synchronised, int64_t error_ns);

// The error estimate of this machine's clock now, from adjtimex(2).
uint16_t dk_stamp_clock_error(void);
