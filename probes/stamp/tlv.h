// SPDX-License-Identifier: Apache-2.0
//
// What may follow a STAMP packet: type-length-values, RFC 8972 section 4. Of its types these are known here: extra
// padding, timestamp information, follow-up telemetry and, in the authenticated mode, the HMAC over them.
#pragma once

#include "probes/stamp/authenticated.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// RFC 8972 sections 4.3 and 5.3, tables of synchronization sources and of timestamping methods.
enum dk_stamp_source { DK_STAMP_SOURCE_NTP = 1, DK_STAMP_SOURCE_FREE_RUNNING = 5 };
enum dk_stamp_how { DK_STAMP_HOW_SOFTWARE = 2 };

// The moment in which an answer left, as its reflector tells it with the next one (RFC 8972 section 4.7).
struct dk_stamp_follow_up {
    bool known;        // false: the reflector keeps no state, or has sent nothing before
    uint32_t sequence; // the reflector's
    uint64_t timestamp;
};

// How a reflector takes its timestamps (RFC 8972 section 4.3). 0: it does not say.
struct dk_stamp_clocks {
    uint8_t source_in, how_in, source_out, how_out;
};

struct dk_stamp_tlvs {
    struct dk_stamp_follow_up follow_up;
    struct dk_stamp_clocks clocks;
};

// Bytes of the question below; with a key its HMAC is part of it.
enum { DK_STAMP_QUESTION_SIZE = 28, DK_STAMP_SEALED_QUESTION_SIZE = 48 };

// Writes a sender's question for clocks and follow-up telemetry, DK_STAMP_QUESTION_SIZE bytes; with a `key`
// DK_STAMP_SEALED_QUESTION_SIZE. `sequence` is that of the packet it goes with. False when the library refuses.
bool dk_stamp_ask(uint32_t sequence, const struct dk_stamp_key *key, uint8_t *out);

// Whether the `len` bytes that follow a request ask for follow-up telemetry.
bool dk_stamp_asks_follow_up(const uint8_t *data, size_t len);

// Reflects the `len` bytes that follow a request into as many at `out`: what is known is answered with what `facts`
// say, what is not is sent back marked, from what is malformed on nothing is answered. `key` is NULL without
// authentication; with it, TLVs that were not written with it are sent back marked. False when the library refuses.
bool dk_stamp_reflect_tlvs(const uint8_t *data, size_t len, uint32_t request_sequence, uint32_t answer_sequence,
                           const struct dk_stamp_tlvs *facts, const struct dk_stamp_key *key, uint8_t *out);

// Reads what a reflector answered in the `len` bytes that follow its packet. What it did not know, marks as wrong, or
// writes in another form, is as if it were not there.
void dk_stamp_read_tlvs(const uint8_t *data, size_t len, uint32_t sequence, const struct dk_stamp_key *key,
                        struct dk_stamp_tlvs *out);
