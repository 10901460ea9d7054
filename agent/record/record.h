// SPDX-License-Identifier: Apache-2.0
//
// The record: what is said of one run, as one JSON object of integers and strings (docs/record.md,
// docs/record.schema.json). These bytes are signed, stored, sent and verified; they are never written anew.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/base/terms.h"
#include "agent/context/context.h"
#include "agent/judge/verdict.h"
#include "config/inspection.h"
#include "config/site.h"
#include "probes/measurement.h"

#include <stdint.h>

enum { DK_UUID_SIZE = 37, DK_RECORD_MAX_BYTES = 1 << 20 };

#define DK_RECORD_SCHEMA  "dokiem.record/1"
#define DK_RECORD_SEQ_MAX INT64_C(9999999999) // ten digits, as the journal names its files

// Undelivered records that had no room any more, and are gone: `count` of those from `first_seq` to `last_seq`.
struct dk_record_dropped {
    int64_t first_seq, last_seq, count, bytes;
    char prev[DK_SHA256_TEXT_SIZE];   // what the first of them named; "" when there is none, or it is not known
    char sha256[DK_SHA256_TEXT_SIZE]; // of the last of them; "" when it was damaged
};

// Everything a record is made of, borrowed for the call.
struct dk_record_facts {
    char id[DK_UUID_SIZE];           // UUIDv7
    int64_t seq;                     // from 1
    char prev[DK_SHA256_TEXT_SIZE];  // base64url SHA-256 of the previous JWS; "" for the first record
    enum dk_kind kind;
    char reason[DK_REASON_SIZE];     // of a skipped or failed run
    char device_id[DK_SHA256_TEXT_SIZE];
    const char *version;             // of dokiem
    struct dk_wall start, end;
    int64_t duration_ns;             // monotonic
    const char *site_code, *site_name, *site_commune, *site_hamlet, *site_operator, *note; // "" when not set
    const struct dk_site *site;
    const char *server_name, *server_url, *server_location, *server_operator; // "" when not set
    enum dk_net server_net;
    const char *word; // the server's word as JWS, its form checked; NULL or "": none
    const struct dk_inspection *inspection; // NULL: nothing is stated
    const char *confirms; // id of the record that this run repeats; "" or NULL: none
    const struct dk_context *context;
    const struct dk_measurement *measurement;
    const struct dk_validity *validity; // NULL when nothing was measured
    const struct dk_verdict *verdict; // NULL when nothing was judged
    // Of a rotation, which has nothing after the context: the new public key (JWK), and its word (rotation.h).
    const char *new_jwk, *new_proof;
    const struct dk_record_dropped *dropped; // NULL: no records were dropped
};

// Appends the record as compact JSON. What is not known is left out; a figure that is missing has a status and a
// reason, never 0. The device's own address is cut to its network (/24, /48); in reasons, bytes that are not clean
// UTF-8 become '?'. Errors: MEMORY, DATA (another text is not clean UTF-8: the fault names it; or the buffer's
// maximum), INTERNAL (counts that do not close: sent != received + lost; a seq that does not fit prev).
enum dk_err dk_record_build(const struct dk_record_facts *facts, struct dk_buf *out, struct dk_fault *fault);

// Writes a fresh UUIDv7 (RFC 9562 section 5.7) for `when`. Errors: INTERNAL when there is no randomness.
enum dk_err dk_uuid7(struct dk_wall when, char out[static DK_UUID_SIZE]);

// What other stages need to know of a record without understanding all of it. Lengths are checked, texts are clean.
struct dk_record_head {
    char schema[32];
    char id[DK_UUID_SIZE];
    int64_t seq;
    char prev[DK_SHA256_TEXT_SIZE]; // "" for null
    enum dk_kind kind;
    char device_id[DK_SHA256_TEXT_SIZE];
    struct dk_wall start, end; // end: start when it has none of its form
    int64_t dropped_first, dropped_last; // records that this one says were dropped; 0: none
    char evidence_sha256[DK_SHA256_HEX_SIZE]; // of its packet headers, ID.pcap; "": none were kept
};

// Where a run was measured. Each text is "" where the record has none, or one that is too long.
struct dk_record_origin {
    char server_url[1024];
    char confirms[DK_UUID_SIZE]; // id of the record that the run repeats
};

// Reads that from a record's payload. Errors: DATA (it is not a JSON object), MEMORY.
enum dk_err dk_record_read_origin(const char *json, size_t len, struct dk_record_origin *out, struct dk_fault *fault);

// Reads the head of a record's payload, strictly (duplicate keys, wrong types, wrong schema are errors).
// Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_record_read_head(const char *json, size_t len, struct dk_record_head *out, struct dk_fault *fault);

// Reads what a record's payload says of dropped records. Errors: NO_INPUT (nothing), DATA (not of its form), MEMORY.
enum dk_err dk_record_read_dropped(const char *json, size_t len, struct dk_record_dropped *out);
