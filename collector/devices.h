// SPDX-License-Identifier: Apache-2.0
//
// Devices: enrolment with one-time tokens, approval, revocation.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/record/key.h"
#include "collector/store.h"

enum { DK_TOKEN_SIZE = 23, DK_ENROL_MAX_BYTES = 16 << 10 };

// Makes a one-time token (128 random bits, base64url) that is valid for `lifetime_ns`. With `approves` the
// device it enrols may deliver at once. Only its hash is stored. Errors: INTERNAL (no randomness), as the
// store.
enum dk_err dk_token_make(struct dk_store *store, struct dk_wall now, int64_t lifetime_ns, bool approves,
                          char out[static DK_TOKEN_SIZE], struct dk_fault *fault);

// Takes one enrolment (a JWS, typ dokiem-enrol, signed by the key inside) and appends the answer, one line of
// JSON. Returns the HTTP status: 201 enrolled; 200 it was already (the same token by the same key, or a new
// token for a known device); 400 malformed; 403 the token is wrong, used or expired, or the device is
// revoked; 503 with a fault: not now.
unsigned dk_devices_enrol(struct dk_store *store, const struct dk_key *collector, struct dk_wall now,
                          const char *body, size_t len, struct dk_buf *answer, struct dk_fault *fault);

// Approves the device `id`. `replaces` names the device whose place it takes, which is then revoked from `now` on,
// unless it was before; NULL for none.
// Errors: NO_INPUT (no such device), USAGE (it would replace itself), as the store.
enum dk_err dk_device_approve(struct dk_store *store, const char *id, const char *replaces, struct dk_wall now,
                              struct dk_fault *fault);

// Revokes the device `id`: it may deliver no more, and records that it dated `since` or later are not to be believed.
// Errors: NO_INPUT (no such device), as the store.
enum dk_err dk_device_revoke(struct dk_store *store, const char *id, struct dk_wall since, struct dk_fault *fault);

// Appends the public keys of all devices, and the collector's own (NULL: without it), as a JWK set with what is known
// of their validity (docs/evidence.md). Errors: DATA (too long for the buffer), as the store.
enum dk_err dk_keys_export(struct dk_store *store, const struct dk_key *collector, struct dk_buf *out,
                           struct dk_fault *fault);
