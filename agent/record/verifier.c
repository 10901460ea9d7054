// SPDX-License-Identifier: Apache-2.0
#include "agent/record/verifier.h"

#include "agent/record/receipt.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX_BYTES = 256 << 20 };

struct waiting {
    size_t item;
    char *text; // owned
    size_t len;
};

struct known_receipt {
    size_t item;
    bool joined;
    struct dk_receipt receipt;
};

const char *dk_proof_text(enum dk_proof proof)
{
    static const char *const texts[] = {
#define X(name, text) text,
        DK_PROOF_LIST(X)
#undef X
    };

    return texts[proof];
}

// Room for one more in an array of *capacity entries. NULL without memory; the array is then as it was.
static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;

    if (count < *capacity)
        return array;

    void *grown = reallocarray(array, wanted, size);

    if (grown != NULL)
        *capacity = wanted;
    return grown;
}

static enum dk_err out_of_memory(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
}

static enum dk_err reject(struct dk_verifier *v, size_t at, enum dk_proof proof, const struct dk_fault *why,
                          struct dk_fault *fault)
{
    struct dk_item *item = &v->items[at];
    char reason[DK_FAULT_WHERE_SIZE + DK_FAULT_WHAT_SIZE + 3];

    snprintf(reason, sizeof reason, "%s%s%s", why->where, why->where[0] != '\0' ? ": " : "", why->what);
    item->proof = proof;
    free(item->reason);
    item->reason = strdup(reason);
    v->bad++;
    return item->reason != NULL ? DK_OK : out_of_memory(fault);
}

// DATA is a finding; all else ends the work.
static enum dk_err found(struct dk_verifier *v, size_t at, enum dk_proof proof, enum dk_err err,
                         const struct dk_fault *why, struct dk_fault *fault)
{
    if (err == DK_ERR_DATA)
        return reject(v, at, proof, why, fault);
    return dk_fail(fault, err, why->where, why->todo, "%s", why->what[0] != '\0' ? why->what : dk_err_text(err));
}

enum dk_err dk_proof_of_key(const struct dk_ring_key *key, const struct dk_record_head *head,
                            enum dk_proof *proof, struct dk_fault *why)
{
    const char *id = dk_key_id(key->key);
    char since[DK_RFC3339_SIZE];

    *proof = DK_PROOF_KEY;
    if (key->role == DK_ROLE_COLLECTOR)
        return dk_fail(why, DK_ERR_DATA, NULL, NULL, "signed by a collector's key: only devices sign records");
    if (strcmp(head->device_id, key->device) != 0)
        return dk_fail(why, DK_ERR_DATA, "device.id", NULL,
                       strcmp(key->device, id) == 0
                           ? N_("names device %s, but the key of %s signed; if the device changed its key, give the "
                                "record that says so too")
                           : N_("names device %s, but the key of %s signed"),
                       head->device_id, key->device);
    if (head->seq < key->from_seq)
        return dk_fail(why, DK_ERR_DATA, "seq", NULL,
                       "is %" PRId64 ", but the key that signed is the device's from record %" PRId64 " on", head->seq,
                       key->from_seq);
    if (head->seq > key->until_seq)
        return dk_fail(why, DK_ERR_DATA, "seq", NULL,
                       "is %" PRId64 ", but the key that signed was replaced in record %" PRId64, head->seq,
                       key->until_seq);
    *proof = DK_PROOF_REVOKED;
    if (key->revoked && head->start.ns >= key->revoked_since.ns) {
        dk_wall_rfc3339(key->revoked_since, since);
        return dk_fail(why, DK_ERR_DATA, "time.start", NULL, "the key that signed is revoked from %s on", since);
    }
    return DK_OK;
}

// A good rotation: the new key signs from the next record on, the old one no more.
static enum dk_err rotate(struct dk_verifier *v, struct dk_item *item, const struct dk_buf *payload,
                          struct dk_fault *why)
{
    const struct dk_rotation_place place = {item->head.device_id, item->key_id, item->head.seq, item->head.prev};
    dk_auto(key) struct dk_key *key = NULL;
    enum dk_err err = dk_rotation_read(dk_buf_text(payload), payload->len, &place, &key, why);

    if (err != DK_OK)
        return err;
    snprintf(item->new_key, sizeof item->new_key, "%s", dk_key_id(key));

    struct dk_ring_key *known = dk_ring_find(v->ring, item->new_key);

    if (known == NULL) {
        err = dk_ring_add(v->ring, &key, why);
        if (err != DK_OK)
            return err;
        known = &v->ring->keys[v->ring->count - 1];
    } else if (known->role == DK_ROLE_COLLECTOR ||
               (strcmp(known->device, item->new_key) != 0 && strcmp(known->device, item->head.device_id) != 0)) {
        return dk_fail(why, DK_ERR_DATA, "rotation.key", NULL, "is known as the key of somebody else");
    }
    known->role = DK_ROLE_DEVICE;
    memcpy(known->device, item->head.device_id, sizeof known->device);
    if (known->from_seq < item->head.seq + 1)
        known->from_seq = item->head.seq + 1;
    known = dk_ring_find(v->ring, item->key_id); // the ring may have moved
    if (known != NULL && item->head.seq < known->until_seq)
        known->until_seq = item->head.seq;
    return DK_OK;
}

// What the reference server says of a good record.
static enum dk_err hear_witness(struct dk_verifier *v, struct dk_item *item, const struct dk_buf *payload,
                                struct dk_fault *fault)
{
    struct dk_fault why = {0};
    char reason[DK_FAULT_WHERE_SIZE + DK_FAULT_WHAT_SIZE + 3];

    if (dk_witness_find(dk_buf_text(payload), payload->len, v->servers, &item->witness, &why) != DK_OK)
        return out_of_memory(fault);
    v->words_agreed += item->witness == DK_WITNESS_AGREES;
    v->words_unchecked += item->witness == DK_WITNESS_UNCHECKED;
    if (item->witness != DK_WITNESS_DIFFERS && item->witness != DK_WITNESS_INVALID)
        return DK_OK;
    v->words_disputed++;
    snprintf(reason, sizeof reason, "%s%s%s", why.where, why.where[0] != '\0' ? ": " : "", why.what);
    item->witness_reason = strdup(reason);
    return item->witness_reason != NULL ? DK_OK : out_of_memory(fault);
}

// Checks one record with the key that it claims. *waits is set, and nothing told, when no such key is at hand.
static enum dk_err check_record(struct dk_verifier *v, size_t at, const char *text, size_t len, bool *waits,
                                struct dk_fault *fault)
{
    struct dk_item *item = &v->items[at];
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_record_head head;
    struct dk_fault why = {0};
    enum dk_proof proof = DK_PROOF_SIGNATURE;
    enum dk_err err = dk_jws_key_id(text, len, DK_TYP_RECORD, item->key_id, &why);

    if (err != DK_OK)
        return found(v, at, DK_PROOF_SIGNATURE, err, &why, fault);

    const struct dk_ring_key *key = dk_ring_find(v->ring, item->key_id);

    *waits = key == NULL;
    if (*waits)
        return DK_OK;
    err = dk_open(key->key, DK_TYP_RECORD, text, len, &payload, &why);
    if (err == DK_OK) {
        proof = DK_PROOF_SCHEMA;
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &head, &why);
    }
    if (err == DK_OK)
        err = dk_form_check(v->form, dk_buf_text(&payload), payload.len, &why);
    if (err == DK_OK)
        err = dk_proof_of_key(key, &head, &proof, &why);
    if (err == DK_OK)
        err = dk_sha256_text(text, len, item->sha256);
    if (err == DK_OK) {
        item->head = head;
        proof = DK_PROOF_KEY;
        if (head.kind == DK_KIND_ROTATION)
            err = rotate(v, item, &payload, &why);
    }
    if (err != DK_OK)
        return found(v, at, proof, err, &why, fault);
    v->good++;
    v->records++;
    return hear_witness(v, item, &payload, fault);
}

static enum dk_err check_receipt(struct dk_verifier *v, size_t at, const char *text, size_t len, struct dk_fault *fault)
{
    struct dk_item *item = &v->items[at];
    struct known_receipt known = {.item = at};
    struct dk_fault why = {0};
    enum dk_err err = dk_jws_key_id(text, len, DK_TYP_RECEIPT, item->key_id, &why);
    const struct dk_ring_key *key = err == DK_OK ? dk_ring_find(v->ring, item->key_id) : NULL;

    item->is_receipt = true;
    if (err == DK_OK && key == NULL && dk_ring_has(v->ring, DK_ROLE_COLLECTOR))
        err = dk_fail(&why, DK_ERR_DATA, NULL, NULL, "signed by another key than the collector's at hand: kid \"%s\"",
                      item->key_id);
    else if (err == DK_OK && key != NULL && key->role == DK_ROLE_DEVICE)
        err = dk_fail(&why, DK_ERR_DATA, NULL, NULL, "signed by a device's key: only collectors sign receipts");
    else if (err == DK_OK && key != NULL)
        err = dk_receipt_open(key->key, text, len, &known.receipt, &why);
    if (err != DK_OK)
        return found(v, at, DK_PROOF_RECEIPT, err, &why, fault);
    if (key == NULL) {
        item->receipt = DK_RECEIPT_UNCHECKED;
        v->receipts_unchecked++;
        return DK_OK;
    }

    struct known_receipt *receipts = grow(v->receipts, v->receipt_count, &v->receipt_capacity, sizeof *receipts);

    if (receipts == NULL)
        return out_of_memory(fault);
    v->receipts = receipts;
    v->receipts[v->receipt_count++] = known;
    item->receipt = DK_RECEIPT_GOOD;
    item->received = known.receipt.received;
    v->receipts_good++;
    v->good++;
    return DK_OK;
}

static enum dk_err put_aside(struct dk_verifier *v, size_t at, const char *text, size_t len, struct dk_fault *fault)
{
    struct waiting *array = grow(v->waiting, v->waiting_count, &v->waiting_capacity, sizeof *array);

    if (array == NULL)
        return out_of_memory(fault);
    v->waiting = array;

    struct waiting *waiting = &v->waiting[v->waiting_count];

    *waiting = (struct waiting){.item = at, .len = len, .text = malloc(len + 1)};
    if (waiting->text == NULL)
        return out_of_memory(fault);
    memcpy(waiting->text, text, len);
    waiting->text[len] = '\0';
    v->waiting_count++;
    v->waiting_bytes += len;
    return DK_OK;
}

static enum dk_err reject_unknown(struct dk_verifier *v, size_t at, struct dk_fault *fault)
{
    struct dk_fault why = {0};

    (void)!dk_fail(&why, DK_ERR_DATA, NULL, NULL,
                   v->ring->count == 1 ? N_("signed by another key: kid \"%s\" is not the one given")
                                       : N_("signed by another key: kid \"%s\" is not in the set given"),
                   v->items[at].key_id);
    return reject(v, at, DK_PROOF_KEY, &why, fault);
}

enum dk_err dk_verifier_take(struct dk_verifier *v, const char *file, int64_t line, const char *text, size_t len,
                             bool must_be_receipt, struct dk_fault *fault)
{
    char id[DK_SHA256_TEXT_SIZE];
    bool waits = false;

    struct dk_item *items = grow(v->items, v->count, &v->capacity, sizeof *items);

    if (items == NULL)
        return out_of_memory(fault);
    v->items = items;

    size_t at = v->count++;

    v->items[at] = (struct dk_item){.file = file, .line = line};

    enum dk_err err = dk_jws_key_id(text, len, DK_TYP_RECEIPT, id, NULL);

    if (err == DK_ERR_MEMORY)
        return out_of_memory(fault);
    if (must_be_receipt || err == DK_OK)
        return check_receipt(v, at, text, len, fault);
    err = check_record(v, at, text, len, &waits, fault);
    if (err != DK_OK || !waits)
        return err;
    if (v->waiting_bytes + len > WAITING_MAX_BYTES)
        return reject_unknown(v, at, fault);
    return put_aside(v, at, text, len, fault);
}

// Records that came before the one that brings their key in.
static enum dk_err settle_waiting(struct dk_verifier *v, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;

    for (size_t keys = 0; err == DK_OK && keys != v->ring->count;) {
        keys = v->ring->count;
        for (size_t i = 0; i < v->waiting_count && err == DK_OK; i++) {
            struct waiting *waiting = &v->waiting[i];
            bool waits = false;

            if (waiting->text == NULL)
                continue;
            err = check_record(v, waiting->item, waiting->text, waiting->len, &waits, fault);
            if (waits)
                continue;
            free(waiting->text);
            waiting->text = NULL;
        }
    }
    for (size_t i = 0; i < v->waiting_count && err == DK_OK; i++)
        if (v->waiting[i].text != NULL)
            err = reject_unknown(v, v->waiting[i].item, fault);
    return err;
}

// Now all changes of key are known, also those that came after records of the old key.
static enum dk_err check_keys_again(struct dk_verifier *v, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < v->count && err == DK_OK; i++) {
        const struct dk_item *item = &v->items[i];
        struct dk_fault why = {0};
        enum dk_proof proof;

        if (item->is_receipt || item->proof != DK_PROOF_GOOD)
            continue;
        if (dk_proof_of_key(dk_ring_find(v->ring, item->key_id), &item->head, &proof, &why) == DK_OK)
            continue;
        v->good--;
        v->records--;
        err = reject(v, i, proof, &why, fault);
    }
    return err;
}

static int by_hash(const void *a, const void *b)
{
    const struct known_receipt *x = a, *y = b;

    return strcmp(x->receipt.record_sha256, y->receipt.record_sha256);
}

// Joins a receipt to the record that it is about.
static enum dk_err join(struct dk_verifier *v, struct dk_item *item, struct known_receipt *known,
                        struct dk_fault *fault)
{
    const struct dk_receipt *receipt = &known->receipt;
    struct dk_item *its = &v->items[known->item];
    struct dk_fault why = {0};

    known->joined = true;
    if (its->proof != DK_PROOF_GOOD)
        return DK_OK;
    if (strcmp(receipt->device, item->head.device_id) != 0 || receipt->seq != item->head.seq) {
        (void)!dk_fail(&why, DK_ERR_DATA, "receipt", NULL, "names another device or number than the record has");
        v->good--;
        v->receipts_good--;
        return reject(v, known->item, DK_PROOF_RECEIPT, &why, fault);
    }
    if (item->receipt == DK_RECEIPT_NONE || receipt->received.ns < item->received.ns)
        item->received = receipt->received;
    item->receipt = DK_RECEIPT_GOOD;
    item->received_early = item->received.ns < item->head.start.ns;
    return DK_OK;
}

static enum dk_err join_receipts(struct dk_verifier *v, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;
    int64_t last = 0;

    if (v->receipt_count > 0)
        qsort(v->receipts, v->receipt_count, sizeof *v->receipts, by_hash);
    for (size_t i = 0; i < v->count && err == DK_OK; i++) {
        struct dk_item *item = &v->items[i];
        struct known_receipt wanted = {0};

        if (item->is_receipt || item->proof != DK_PROOF_GOOD)
            continue;
        if (item->head.seq > last)
            last = item->head.seq;
        memcpy(wanted.receipt.record_sha256, item->sha256, sizeof item->sha256);

        struct known_receipt *at = v->receipt_count == 0 ? NULL
                                                         : bsearch(&wanted, v->receipts, v->receipt_count,
                                                                   sizeof *v->receipts, by_hash);

        while (at != NULL && at > v->receipts && by_hash(at - 1, &wanted) == 0)
            at--;
        for (; at != NULL && at < v->receipts + v->receipt_count && by_hash(at, &wanted) == 0 && err == DK_OK; at++)
            err = join(v, item, at, fault);
    }
    for (size_t i = 0; i < v->receipt_count; i++) {
        v->receipts_alone += !v->receipts[i].joined;
        if (v->receipts[i].receipt.last_seq > last && v->receipts[i].receipt.last_seq > v->held_beyond)
            v->held_beyond = v->receipts[i].receipt.last_seq;
    }
    return err;
}

enum dk_err dk_verifier_finish(struct dk_verifier *v, struct dk_fault *fault)
{
    enum dk_err err = settle_waiting(v, fault);

    if (err == DK_OK)
        err = check_keys_again(v, fault);
    if (err == DK_OK)
        err = join_receipts(v, fault);
    for (size_t i = 0; i < v->count && err == DK_OK; i++) {
        struct dk_item *item = &v->items[i];
        const struct dk_ring_key *key = dk_ring_find(v->ring, item->key_id);

        // A thief can date a record back, but nobody can have had it before it was made.
        item->date_unproven = item->proof == DK_PROOF_GOOD && !item->is_receipt && key != NULL && key->revoked &&
                              (item->receipt != DK_RECEIPT_GOOD || item->received.ns >= key->revoked_since.ns);
    }
    return err;
}

enum dk_err dk_verifier_chains(const struct dk_verifier *v, const struct dk_chain_listener *listener,
                               struct dk_fault *fault)
{
    struct dk_chain_link *links = calloc(v->records + 1, sizeof *links);
    size_t count = 0;

    if (links == NULL)
        return out_of_memory(fault);
    for (size_t i = 0; i < v->count; i++) {
        const struct dk_item *item = &v->items[i];

        if (item->is_receipt || item->proof != DK_PROOF_GOOD)
            continue;
        links[count] = (struct dk_chain_link){.seq = item->head.seq,
                                              .start = item->head.start,
                                              .dropped_first = item->head.dropped_first,
                                              .dropped_last = item->head.dropped_last,
                                              .needed = item->head.kind == DK_KIND_ROTATION,
                                              .position = i};
        memcpy(links[count].device_id, item->head.device_id, sizeof links->device_id);
        memcpy(links[count].prev, item->head.prev, sizeof links->prev);
        memcpy(links[count].sha256, item->sha256, sizeof links->sha256);
        count++;
    }
    dk_chain_check(links, count, listener);
    free(links);
    return DK_OK;
}

void dk_verifier_free(struct dk_verifier *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->items[i].reason), free(v->items[i].witness_reason);
    for (size_t i = 0; i < v->waiting_count; i++)
        free(v->waiting[i].text);
    free(v->items);
    free(v->waiting);
    free(v->receipts);
    *v = (struct dk_verifier){0};
}
