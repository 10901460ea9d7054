// SPDX-License-Identifier: Apache-2.0
//
// The proof of records: signature, form, key and its validity, chain, receipts, changes of key. Needs no network and
// nothing of the device but its public key. Hand in lines in any order, then finish, then read the items and spans.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"
#include "agent/record/agreement.h"
#include "agent/record/chain.h"
#include "agent/record/form.h"
#include "agent/record/record.h"
#include "agent/record/ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What stands or falls. Names for programs; the words for people are the reader's.
#define DK_PROOF_LIST(X)                                                                                     \
    X(GOOD, "ok")                                                                                            \
    X(SIGNATURE, "signature") /* no JWS of this kind, or changed after it was signed */                      \
    X(KEY, "key")             /* no key at hand signed it, or that key may not sign this record */           \
    X(REVOKED, "revoked")     /* dated when its key was revoked already */                                   \
    X(SCHEMA, "schema")       /* not the form of a record */                                                 \
    X(RECEIPT, "receipt")     /* a receipt that is not its collector's, or about another record */

enum dk_proof {
#define X(name, text) DK_PROOF_##name,
    DK_PROOF_LIST(X)
#undef X
};
// "ok", "signature" …; never NULL.
const char *dk_proof_text(enum dk_proof proof);

// Whether the key may have signed the record with this head, by what the ring says of the key. Errors: DATA saying why
// not; *proof is then KEY or REVOKED.
enum dk_err dk_proof_of_key(const struct dk_ring_key *key, const struct dk_record_head *head, enum dk_proof *proof,
                            struct dk_fault *fault);

enum dk_receipt_state {
    DK_RECEIPT_NONE,
    DK_RECEIPT_UNCHECKED, // there is one, but no collector's key at hand
    DK_RECEIPT_GOOD,
};

// One line that was handed in.
struct dk_item {
    const char *file; // borrowed from the caller
    int64_t line;     // from 1; 0 when it is the only one of its file
    bool is_receipt;
    enum dk_proof proof;
    char *reason;               // why not; owned; NULL when good
    struct dk_record_head head; // of a good record
    char key_id[DK_SHA256_TEXT_SIZE], sha256[DK_SHA256_TEXT_SIZE]; // of a good one
    char new_key[DK_SHA256_TEXT_SIZE];                             // of a good rotation; else ""
    enum dk_receipt_state receipt;
    struct dk_wall received; // by the receipt
    bool received_early;     // before it was made: the device's clock was ahead
    enum dk_witness witness; // of a good record
    char *witness_reason;    // why it does not agree; owned; NULL when there is nothing to say
    bool date_unproven;      // its key was revoked later, and no receipt proves that the record is older
};

struct dk_verifier {
    struct dk_keys *ring; // borrowed; new keys of good rotations are added
    struct dk_form *form; // borrowed
    const struct dk_keys *servers; // keys of reference servers, for their words; borrowed; NULL: none
    // What is found; owned.
    struct dk_item *items;
    size_t count, capacity;
    size_t good, bad;               // records and receipts
    size_t records;                 // good ones
    size_t words_agreed, words_unchecked, words_disputed; // of servers, in good records
    size_t receipts_good, receipts_unchecked, receipts_alone; // the last: without their record
    int64_t held_beyond;            // a receipt says that the collector held a record of this number; 0: none beyond
    // For itself.
    struct waiting *waiting; // lines whose key is not known yet
    size_t waiting_count, waiting_capacity, waiting_bytes;
    struct known_receipt *receipts;
    size_t receipt_count, receipt_capacity;
};

// Takes one line. `file` must live as long as the verifier. `must_be_receipt`: a record there is wrong.
// What is wrong with the line is told in its item. Errors: MEMORY, INTERNAL.
enum dk_err dk_verifier_take(struct dk_verifier *verifier, const char *file, int64_t line, const char *text, size_t len,
                             bool must_be_receipt, struct dk_fault *fault);

// All was handed in: settles what waited for a key, joins receipts to records. Errors: MEMORY, INTERNAL.
enum dk_err dk_verifier_finish(struct dk_verifier *verifier, struct dk_fault *fault);

// The chains of the good records, device by device. Errors: MEMORY.
enum dk_err dk_verifier_chains(const struct dk_verifier *verifier, const struct dk_chain_listener *listener,
                               struct dk_fault *fault);

void dk_verifier_free(struct dk_verifier *verifier); // what it owns, not itself
