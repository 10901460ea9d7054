// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/sessions.h"

#include <stddef.h>

enum { LOOKED_AT = 8 };

static bool is_idle(const struct dk_session *session, struct dk_mono now)
{
    return !session->used || dk_mono_diff_ns(now, session->last_used) >= DK_SESSION_IDLE_S * DK_NS_PER_S;
}

struct dk_session *dk_session_find(struct dk_sessions *sessions, const struct dk_peer *peer, uint16_t id,
                                   struct dk_mono now)
{
    // Nobody who does not know the key can aim at another's places.
    struct dk_peer mixed = {.prefix = peer->prefix ^ ((uint64_t)peer->port << 16 | id) * UINT64_C(0x9e3779b97f4a7c15)};
    uint64_t first = dk_peer_hash(&mixed, sessions->hash_key);
    struct dk_session *room = NULL;

    for (uint64_t i = 0; i < LOOKED_AT; i++) {
        struct dk_session *session = &sessions->at[(first + i) % DK_SESSIONS];
        bool idle = is_idle(session, now);

        if (!idle && session->prefix == peer->prefix && session->port == peer->port && session->id == id) {
            session->last_used = now;
            return session;
        }
        if (idle && room == NULL)
            room = session;
    }
    if (room != NULL)
        *room = (struct dk_session){
            .prefix = peer->prefix, .port = peer->port, .id = id, .used = true, .last_used = now};
    return room;
}
