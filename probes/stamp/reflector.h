// SPDX-License-Identifier: Apache-2.0
//
// The far end of STAMP: a stateful Session-Reflector (RFC 8762 section 4.3) with the extensions of tlv.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "probes/datagram.h"
#include "probes/stamp/authenticated.h"
#include "probes/stamp/packet.h"
#include "probes/stamp/tlv.h"

// What a reflector adds to what it was sent.
struct dk_stamp_reflection {
    bool stateful;     // false: the answer's sequence number is the request's
    uint32_t sequence; // of this answer in its session
    uint64_t received, sent; // NTP timestamps
    uint16_t error_estimate; // of the clock they come from
    uint8_t ttl;             // of the request as it arrived
    struct dk_stamp_tlvs tlvs;
};

// Reads a request; false when it gets no answer: shorter than 44 bytes, or with a `key` (NULL: the unauthenticated
// mode) shorter than 112 or not written with it.
bool dk_stamp_accept(const void *data, size_t len, const struct dk_stamp_key *key, struct dk_stamp_request *out);

// The answer to the request `in`, which dk_stamp_accept() read from the `len` bytes at `data`, as a pure function:
// exactly as many bytes at `out`. False when the library refuses.
bool dk_stamp_reflect(const struct dk_stamp_request *in, const uint8_t *data, size_t len,
                      const struct dk_stamp_key *key, const struct dk_stamp_reflection *reflection, uint8_t *out);

// Whether a datagram from this source port may be answered at all. Well-known ports are not: two reflectors,
// or a reflector and an echo service, would answer each other for ever. Nor is our own.
bool dk_stamp_may_answer(uint16_t source_port, uint16_t own_port);

struct dk_reflector;

struct dk_reflector_counts {
    int64_t answered;
    int64_t malformed; // too short, too long, without the key, or from a port that gets no answer
    int64_t limited;   // over the rate of its address
    int64_t failed;    // the kernel did not take the answer
};

// Serves the bound, non-blocking UDP socket `fd`, which stays the caller's. At most `packets_per_second` (>=
// 1) are answered for one address (an IPv6 /64 is one). With a `key`, of which a copy is kept, only packets
// that were written with it are; NULL: the unauthenticated mode. Errors: MEMORY, IO (no randomness, or `fd`
// is no bound socket).
enum dk_err dk_reflector_new(int fd, int64_t packets_per_second, const struct dk_stamp_key *key,
                             struct dk_reflector **out,
                             struct dk_fault *fault);
void dk_reflector_free(struct dk_reflector *reflector); // NULL is fine

// Answers what is waiting, at most 64 datagrams, so that a flood cannot keep the caller from its other work.
void dk_reflector_serve(struct dk_reflector *reflector);

// What it has done so far.
struct dk_reflector_counts dk_reflector_counts(const struct dk_reflector *reflector);
