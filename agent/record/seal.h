// SPDX-License-Identifier: Apache-2.0
//
// Seal and open: JWS compact serialisation (RFC 7515), ES256 (RFC 7518 section 3.4). `typ` keeps a signature made for
// one purpose from serving another (RFC 8725 section 3.11).
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/record/key.h"

#include <stddef.h>

#define DK_TYP_RECORD   "dokiem-record"
#define DK_TYP_RECEIPT  "dokiem-receipt"
#define DK_TYP_ENROL    "dokiem-enrol"
#define DK_TYP_ROTATION "dokiem-rotation"
#define DK_TYP_PROFILE  "dokiem-profile"
#define DK_TYP_WORD     "dokiem-word"

enum { DK_JWS_MAX_BYTES = 2 << 20 };

// Appends the JWS (no line end) of `payload` to `out`. The header is {"alg":"ES256","kid":…,"typ":typ}. s is made the
// lower of the two that verify, and the result is verified before it is handed out.
// Errors: as dk_key_sign; INTERNAL, MEMORY, DATA (too long).
enum dk_err dk_seal(const struct dk_key *key, const char *typ, const void *payload, size_t len, struct dk_buf *out,
                    struct dk_fault *fault);

// Appends what every JWS of this key and `typ` begins with: the header, encoded, and a dot. Errors: MEMORY.
enum dk_err dk_jws_beginning(const struct dk_key *key, const char *typ, struct dk_buf *out);

// The kid a JWS claims, from its header alone, nothing verified: to look the key up. The header must be exactly
// alg ES256, kid (43 characters) and typ `typ`. Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_jws_key_id(const char *jws, size_t len, const char *typ, char out[static DK_SHA256_TEXT_SIZE],
                          struct dk_fault *fault);

// Appends the payload that a JWS carries, nothing verified: to show it, never to judge by it. Errors: DATA, MEMORY.
enum dk_err dk_jws_payload(const char *jws, size_t len, struct dk_buf *out, struct dk_fault *fault);

// Verifies `len` characters of JWS over their exact bytes and appends the payload to `out`. Nothing is appended
// unless the signature holds. Refused, each in its own words: not three strict base64url parts; a header that is not
// exactly the one dk_seal writes (other alg, crit, other members, other typ); a kid that is not the key's; a
// signature that does not fit; an s above n/2.
// Errors: DATA, MEMORY.
enum dk_err dk_open(const struct dk_key *key, const char *typ, const char *jws, size_t len, struct dk_buf *out,
                    struct dk_fault *fault);
