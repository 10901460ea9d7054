// SPDX-License-Identifier: Apache-2.0
//
// What a stateful Session-Reflector keeps of each session (RFC 8762 section 4.3): how many packets it has reflected,
// and when the last one left. Memory is fixed. A session that finds no room is reflected as a stateless one would.
#pragma once

#include "agent/base/clock.h"
#include "probes/stamp/peer.h"

#include <stdbool.h>
#include <stdint.h>

enum { DK_SESSIONS = 4096, DK_SESSION_IDLE_S = 60 };

struct dk_session {
    uint64_t prefix; // of its sender; see peer.h
    uint16_t port, id;
    bool used;
    bool sent;                // the two below are known
    uint32_t sent_sequence;   // of the last answer whose departure the kernel told
    uint64_t sent_timestamp;  // NTP
    uint32_t next_sequence;
    struct dk_mono last_used;
};

struct dk_sessions {
    uint64_t hash_key; // random
    struct dk_session at[DK_SESSIONS];
};

// The session of that sender and identifier (RFC 8972 section 3; 0 for none), begun when it is new or has been idle
// for DK_SESSION_IDLE_S. Stays valid until the next call. NULL: no room.
struct dk_session *dk_session_find(struct dk_sessions *sessions, const struct dk_peer *peer, uint16_t id,
                                   struct dk_mono now);
