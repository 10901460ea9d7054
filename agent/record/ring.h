// SPDX-License-Identifier: Apache-2.0
//
// A ring of public keys, with what is known of the validity of each: which device's chain it signs, from which record
// to which, and since when it is revoked. docs/evidence.md names the members of a JWK that say so.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/record/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_RING_MAX = 16384 };

enum dk_role {
    DK_ROLE_ANY, // it was not said
    DK_ROLE_DEVICE,
    DK_ROLE_COLLECTOR,
};

struct dk_ring_key {
    struct dk_key *key; // owned
    enum dk_role role;
    char device[DK_SHA256_TEXT_SIZE]; // whose chain it signs: the id of the device's first key
    int64_t from_seq, until_seq;      // the records it may sign; until_seq is INT64_MAX while nothing ends it
    bool revoked;
    struct dk_wall revoked_since; // records dated from here on are not believed
};

// Owned by whoever declared it; free with dk_keys_free.
struct dk_keys {
    struct dk_ring_key *keys;
    size_t count, capacity;
};

// Adds the keys that `text` holds: a JWK, a JWK set {"keys":[…]} (RFC 7517 section 5; keys of other kinds are passed
// over) or a PEM "PUBLIC KEY". `name` is used in faults. A key that is there already is not added twice: what is said
// of it is put together, and the stricter word counts. At least one key must be in it. On an error the ring may hold
// some of the keys. Errors: DATA, MEMORY.
enum dk_err dk_keys_read_public(const char *name, const char *text, size_t len, struct dk_keys *ring,
                                struct dk_fault *fault);

// Adds *key, which it takes over on success, valid without bounds. Errors: MEMORY, DATA (more than DK_RING_MAX).
enum dk_err dk_ring_add(struct dk_keys *ring, struct dk_key **key, struct dk_fault *fault);

// Takes over the keys of `from`, which is left empty on success, and puts together what both say, as above.
enum dk_err dk_ring_merge(const char *name, struct dk_keys *ring, struct dk_keys *from, struct dk_fault *fault);

// The key called `id`, borrowed until the ring changes; NULL when there is none.
struct dk_ring_key *dk_ring_find(const struct dk_keys *ring, const char *id);
// True when a key that is said to have this role is in it.
bool dk_ring_has(const struct dk_keys *ring, enum dk_role role);

void dk_keys_free(struct dk_keys *ring);
#define dk_auto_keys __attribute__((cleanup(dk_keys_free)))
