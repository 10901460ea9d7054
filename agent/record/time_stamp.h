// SPDX-License-Identifier: Apache-2.0
//
// Time stamps by RFC 3161: an authority (TSA) signs that a hash existed at a time. The hash is the SHA-256 of a
// record's JWS, the bytes of its file in the journal: as `prev` of the next record and `record_sha256` of a receipt.
// Since each record holds the hash of the one before it, a stamp of one record covers every record before it too.
// What is kept is the authority's whole reply (a DER TimeStampResp), so that any other program can check it.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_TIME_STAMP_MAX_BYTES = 64 << 10, DK_TIME_STAMP_NAME_SIZE = 256, DK_TIME_STAMP_POLICY_SIZE = 128 };

// False when dokiem was built without it (-Dtime_stamp=disabled); the functions below then fail with CONFIG.
bool dk_time_stamp_is_built(void);

// The certificates that time stamps must lead to: of authorities above the TSA, or the TSA's own to pin it.
struct dk_tsa;

// Reads them from a PEM file. Errors: NO_INPUT, PERMISSION, IO, MEMORY; DATA (it holds no certificate); CONFIG.
enum dk_err dk_tsa_read(const char *path, struct dk_tsa **out, struct dk_fault *fault);
// The same from memory; `name` is for faults. Errors: DATA, MEMORY, CONFIG.
enum dk_err dk_tsa_read_text(const char *name, const char *pem, size_t len, struct dk_tsa **out,
                             struct dk_fault *fault);
void dk_tsa_free(struct dk_tsa *tsa);
DK_DEFINE_FREE(tsa, struct dk_tsa, dk_tsa_free)

// What was asked, for the reply to be compared with.
struct dk_time_stamp_query {
    char record_sha256[DK_SHA256_TEXT_SIZE]; // base64url
    char policy[DK_TIME_STAMP_POLICY_SIZE];  // object identifier; "": any
    uint64_t nonce;
};

// Appends a TimeStampReq (RFC 3161 section 2.4.1) for query->record_sha256 and query->policy, and sets query->nonce to
// a fresh number. It asks for the authority's certificate, without which nobody could check the stamp later.
// Errors: CONFIG (the policy is no object identifier), INTERNAL (no randomness), MEMORY.
enum dk_err dk_time_stamp_ask(struct dk_time_stamp_query *query, struct dk_buf *der, struct dk_fault *fault);

struct dk_time_stamp {
    struct dk_wall time;                      // genTime: the hash existed then
    int64_t accuracy_ns;                      // of it, as the authority states; 0 when it does not
    char record_sha256[DK_SHA256_TEXT_SIZE];  // base64url
    char authority[DK_TIME_STAMP_NAME_SIZE];  // subject of the certificate that signed (RFC 4514), clean text
    char policy[DK_TIME_STAMP_POLICY_SIZE];   // object identifier
};

// Checks a whole TimeStampResp: granted; one signature, with SHA-256 or longer, by a certificate inside that leads to
// one of `tsa`, all of them valid at the stamped time, and whose only use is time stamping; a SHA-256 imprint; no
// critical extension. With `query` also its imprint, nonce and policy. Revocation is not looked up.
// *out is filled on success. Errors: DATA saying what is wrong; NOT_NOW (the authority says it cannot now); MEMORY;
// CONFIG (not built).
enum dk_err dk_time_stamp_check(const struct dk_tsa *tsa, const struct dk_time_stamp_query *query, const void *der,
                                size_t len, struct dk_time_stamp *out, struct dk_fault *fault);
