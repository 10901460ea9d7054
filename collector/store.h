// SPDX-License-Identifier: Apache-2.0
//
// What the collector keeps: devices, one-time tokens, records with their receipts, and the forks it saw. This
// is the storage interface; store.c implements it on SQLite.
//
// Every function may also fail with NOT_NOW (the store is busy), IO (full, broken, not writable) or MEMORY:
// the caller answers "not now", and nothing that was kept is lost. What is written between dk_store_begin and
// dk_store_commit is kept as a whole, durable when commit returns DK_OK, or not at all.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"

enum { DK_SITE_SIZE = 128, DK_JWK_SIZE = 256, DK_STATE_SIZE = 16 };

#define DK_DEVICE_PENDING  "pending"
#define DK_DEVICE_APPROVED "approved"
#define DK_DEVICE_REVOKED  "revoked"

struct dk_store;

// Opens "sqlite:PATH", making it when it is missing. Errors: USAGE (another kind of store), DATA (not a
// collector's database, or one of a newer version), and as above.
enum dk_err dk_store_open(const char *url, struct dk_store **out, struct dk_fault *fault);
void dk_store_free(struct dk_store *store);
DK_DEFINE_FREE(store, struct dk_store, dk_store_free)

// Begins what shall be kept as a whole; no other program can write until it ends.
enum dk_err dk_store_begin(struct dk_store *store, struct dk_fault *fault);
// Keeps it.
enum dk_err dk_store_commit(struct dk_store *store, struct dk_fault *fault);
// Forgets what was written since dk_store_begin. Outside of a transaction it does nothing.
void dk_store_rollback(struct dk_store *store);

// Writes something, durably, to see whether that works.
enum dk_err dk_store_check(struct dk_store *store, struct dk_wall now, struct dk_fault *fault);

struct dk_device {
    char id[DK_SHA256_TEXT_SIZE]; // thumbprint of its key
    char state[DK_STATE_SIZE];    // one of DK_DEVICE_…
    char jwk[DK_JWK_SIZE];
    char site_code[DK_SITE_SIZE], site_name[DK_SITE_SIZE];
    struct dk_wall enrolled; // the first time
    struct dk_wall revoked_since;        // records dated from here on are not believed; ns 0 while it is not revoked
    char replaces[DK_SHA256_TEXT_SIZE];  // the device whose place it took; "" for none
};

// Errors: NO_INPUT (no such device).
enum dk_err dk_store_device(struct dk_store *store, const char *id, struct dk_device *out,
                            struct dk_fault *fault);
// Adds the device, with its first key, or writes over its state, site, revocation and what it replaces.
enum dk_err dk_store_put_device(struct dk_store *store, const struct dk_device *device,
                                struct dk_fault *fault);

// A key that signs, or signed, a device's records.
struct dk_store_key {
    char id[DK_SHA256_TEXT_SIZE], device[DK_SHA256_TEXT_SIZE];
    char jwk[DK_JWK_SIZE];
    int64_t from_seq, until_seq; // the records it may sign; until_seq is 0 while no other key has followed
};

// Errors: NO_INPUT (no such key).
enum dk_err dk_store_key(struct dk_store *store, const char *id, struct dk_store_key *out, struct dk_fault *fault);
// Adds a key; its id must not be known yet.
enum dk_err dk_store_add_key(struct dk_store *store, const struct dk_store_key *key, struct dk_fault *fault);
// Record `until_seq` is the last that the key may sign.
enum dk_err dk_store_end_key(struct dk_store *store, const char *id, int64_t until_seq, struct dk_fault *fault);

typedef enum dk_err dk_store_key_callback(void *argument, const struct dk_store_key *key,
                                          const struct dk_device *device);
// Calls back for every key, with its device; an error of the callback ends it and is returned.
enum dk_err dk_store_keys(struct dk_store *store, dk_store_key_callback *callback, void *argument,
                          struct dk_fault *fault);

// A device and what the collector has of it.
struct dk_device_summary {
    struct dk_device device;
    int64_t last_seq; // 0 when there is no record
    int64_t records;
    int64_t gaps;  // numbers up to last_seq that are missing, and that no record says were dropped
    int64_t dropped; // numbers that are missing and that a record says were dropped
    int64_t forks; // distinct records that contradict the chain kept here
};
typedef enum dk_err dk_store_summary_callback(void *argument, const struct dk_device_summary *summary);

// Calls back for every device, oldest enrolment first; an error of the callback ends it and is returned.
enum dk_err dk_store_devices(struct dk_store *store, dk_store_summary_callback *callback, void *argument,
                             struct dk_fault *fault);

struct dk_token {
    char sha256[DK_SHA256_TEXT_SIZE]; // of its text, which is not kept
    struct dk_wall expires;
    bool approves;                     // the device it enrols needs no further approval
    char used_by[DK_SHA256_TEXT_SIZE]; // device; "" while it is unused
};

// Adds an unused token.
enum dk_err dk_store_add_token(struct dk_store *store, const struct dk_token *token, struct dk_wall now,
                               struct dk_fault *fault);
// Errors: NO_INPUT (no such token).
enum dk_err dk_store_token(struct dk_store *store, const char *sha256, struct dk_token *out,
                           struct dk_fault *fault);
// Marks a token as used by `device`.
enum dk_err dk_store_use_token(struct dk_store *store, const char *sha256, const char *device,
                               struct dk_wall now, struct dk_fault *fault);

// What the store holds around a place of a device's chain. Texts are "" where there is no such record.
struct dk_neighbours {
    char same[DK_SHA256_TEXT_SIZE];   // hash of the record with this number
    char before[DK_SHA256_TEXT_SIZE]; // hash of the record before
    bool has_after;
    char after_prev[DK_SHA256_TEXT_SIZE]; // `prev` of the record after
    int64_t last_seq;                     // of the device; 0 when there is none
};

// What is kept around number `seq` of the device's chain.
enum dk_err dk_store_neighbours(struct dk_store *store, const char *device, int64_t seq,
                                struct dk_neighbours *out, struct dk_fault *fault);

// One record to be kept; everything is borrowed.
struct dk_store_record {
    const char *device;
    int64_t seq;
    const char *id, *sha256, *prev;
    struct dk_wall received;
    const char *jws;
    size_t jws_len;
    const char *receipt;
    int64_t dropped_first, dropped_last; // records that this one says were dropped; 0: none
};

// Adds a record and its receipt; its number must not be taken yet.
enum dk_err dk_store_add_record(struct dk_store *store, const struct dk_store_record *record,
                                struct dk_fault *fault);

// The receipt of a record that is kept. Errors: NO_INPUT.
enum dk_err dk_store_receipt(struct dk_store *store, const char *device, int64_t seq, struct dk_buf *receipt,
                             struct dk_fault *fault);

// Appends the JWS of the first record of `device` whose number is at least `seq`, sets *found to its number.
// Errors: NO_INPUT (no further record), DATA (beyond the buffer's maximum).
enum dk_err dk_store_next_record(struct dk_store *store, const char *device, int64_t seq, int64_t *found,
                                 struct dk_buf *jws, struct dk_fault *fault);

// The first device, by id, after `after` ("" for the very first). Errors: NO_INPUT (no further device).
enum dk_err dk_store_next_device(struct dk_store *store, const char *after, char id[static DK_SHA256_TEXT_SIZE],
                                 struct dk_fault *fault);

// A record as it is kept; everything is borrowed. `cursor` grows in the order in which records came.
struct dk_store_row {
    int64_t cursor;
    const char *device;
    int64_t seq;
    const char *id, *sha256, *prev;
    struct dk_wall received;
    const char *jws;
    size_t jws_len;
    const char *receipt;
};

// Which records: of `device` (NULL for all), after `cursor`, that came at or after `since` and before `until`.
struct dk_store_filter {
    const char *device;
    int64_t cursor;
    struct dk_wall since, until;
};

typedef enum dk_err dk_store_row_callback(void *argument, const struct dk_store_row *row);
// Calls back for every such record, as they came; an error of the callback ends it and is returned.
enum dk_err dk_store_rows(struct dk_store *store, const struct dk_store_filter *filter,
                          dk_store_row_callback *callback, void *argument, struct dk_fault *fault);

// Looks whether the database is whole. Errors: DATA saying what is not.
enum dk_err dk_store_integrity(struct dk_store *store, struct dk_fault *fault);

// A record that contradicts what is kept; everything is borrowed.
struct dk_fork {
    const char *device;
    int64_t seq;
    const char *other; // its hash
    int64_t kept_seq;
    const char *kept; // hash of the record that it contradicts
    const char *jws;  // the record itself
    size_t jws_len;
};

// Remembers it. The same again only counts; of a device no more than 1000 are kept, the first 16 as a whole.
enum dk_err dk_store_add_fork(struct dk_store *store, const struct dk_fork *fork, struct dk_wall now,
                              struct dk_fault *fault);

typedef enum dk_err dk_store_fork_callback(void *argument, const struct dk_fork *fork);
// Calls back for every fork of `device` that is kept as a whole, in the order of numbers.
enum dk_err dk_store_forks(struct dk_store *store, const char *device, dk_store_fork_callback *callback,
                           void *argument, struct dk_fault *fault);

// Approved devices with a fork: somebody else may have their key.
enum dk_err dk_store_count_cloned(struct dk_store *store, int64_t *out, struct dk_fault *fault);
