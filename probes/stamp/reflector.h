// SPDX-License-Identifier: Apache-2.0
//
// The far end of STAMP: a stateless Session-Reflector (RFC 8762 section 4.3).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "probes/datagram.h"
#include "probes/stamp/authenticated.h"
#include "probes/stamp/packet.h"

// The answer to one datagram, as a pure function: writes `len` bytes, exactly as many as came in, to `out`
// and returns true; false when the datagram gets no answer (shorter than 44 bytes, or with a key shorter than
// 112 or not written with it). What exceeds them is zero: this reflector knows no TLV of RFC 8972. `key` is
// NULL for the unauthenticated mode. `received` and `sent` are NTP timestamps, `error_estimate` that of the
// clock they come from, `ttl` the TTL of the request.
bool dk_stamp_reflect(const void *request, size_t len, const struct dk_stamp_key *key, uint64_t received, uint64_t sent,
                      uint16_t error_estimate, uint8_t ttl, uint8_t *out);

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
