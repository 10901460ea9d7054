// SPDX-License-Identifier: Apache-2.0
#include "agent/deliver/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/deliver/answer.h"
#include "agent/deliver/exchange.h"
#include "agent/record/record.h"
#include "agent/record/seal.h"

enum {
    BATCH_MAX = 1000,
    BODY_MAX_BYTES = 1 << 20,
    ANSWER_BYTES_PER_RECORD = 4096,
    ANSWER_EXTRA_BYTES = 64 << 10
};

// A record that has been put into the request.
struct item {
    int64_t seq;
    char sha256[DK_SHA256_TEXT_SIZE];
    char device[DK_SHA256_TEXT_SIZE];
};

struct delivery {
    struct dk_journal *journal;
    const struct dk_deliver_options *options;
    struct dk_deliver_result *result;
    int64_t *waiting; // owned: numbers of the records to be delivered, ascending
    size_t count, next;
    struct item *items; // owned: of the request under way
    size_t item_count;
    size_t batch; // records in the next request
    struct dk_buf body;
    struct dk_response response;
    struct dk_wall sent, answered; // the last request
    struct dk_patience patience;
};

static enum dk_err find_waiting(struct delivery *delivery, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(delivery->journal, &entries, &count, fault);

    if (err != DK_OK)
        return err;
    delivery->waiting = calloc(count + 1, sizeof *delivery->waiting);
    for (size_t i = 0; i < count && delivery->waiting != NULL; i++)
        if (entries[i].delivery == DK_DELIVERY_WAITING)
            delivery->waiting[delivery->count++] = entries[i].seq;
    free(entries);
    return delivery->waiting != NULL ? DK_OK : dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
}

static bool names_one_of(const struct dk_keys *keys, const char *payload)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strstr(payload, dk_key_id(keys->keys[i].key)) != NULL || strstr(payload, keys->keys[i].device) != NULL)
            return true;
    return false;
}

// The chain that a record belongs to: what it says itself, and when it cannot be read, the key that signed.
static enum dk_err find_device(const struct dk_buf *jws, char out[static DK_SHA256_TEXT_SIZE], struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_record_head head;
    enum dk_err err = dk_jws_payload(jws->data, jws->len, &payload, NULL);

    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &head, NULL);
    if (err != DK_OK)
        return err == DK_ERR_MEMORY ? err : dk_jws_key_id(jws->data, jws->len, DK_TYP_RECORD, out, fault);
    memcpy(out, head.device_id, sizeof head.device_id);
    return DK_OK;
}

// Why a record that waits must not be sent: DATA in *why; DK_OK when it is as it was signed. The error is for what ends
// the delivery.
static enum dk_err look_through(const struct delivery *delivery, const struct dk_buf *jws, struct dk_fault *why,
                                struct dk_fault *fault)
{
    const struct dk_keys *keys = delivery->options->device_keys;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    char kid[DK_SHA256_TEXT_SIZE] = "";

    if (keys == NULL)
        return DK_OK;

    enum dk_err err = dk_jws_key_id(jws->data, jws->len, DK_TYP_RECORD, kid, why);
    const struct dk_ring_key *key = err == DK_OK ? dk_ring_find(keys, kid) : NULL;

    if (key != NULL)
        err = dk_open(key->key, DK_TYP_RECORD, jws->data, jws->len, &payload, why);
    if (err != DK_OK && err != DK_ERR_DATA)
        return dk_fail(fault, err, NULL, NULL, "%s", why->what);
    if (err != DK_OK || key != NULL)
        return DK_OK;
    // With a wrong key in the state folder every record looks damaged. Ours names us in its payload.
    (void)dk_fail(why, DK_ERR_DATA, NULL, NULL, "signed by another key: kid is \"%s\"", kid);
    if (dk_jws_payload(jws->data, jws->len, &payload, NULL) != DK_OK || names_one_of(keys, dk_buf_text(&payload)))
        return DK_OK;
    return dk_fail(fault, DK_ERR_DATA, "journal", "bring back the device.pem that this journal was made with",
                   "its records were signed by the key %s, not by a key of this device", kid);
}

// A damaged record stays where it is, marked; the collector will see its number missing.
static enum dk_err leave_out(struct delivery *delivery, int64_t seq, const struct dk_fault *why,
                             struct dk_fault *fault)
{
    size_t at = delivery->next + delivery->item_count;
    char words[DK_FAULT_WHAT_SIZE + 64];

    snprintf(words, sizeof words, "damaged on this device, not sent: %s", why->what);

    enum dk_err err = dk_journal_refuse(delivery->journal, seq, words, fault);

    if (err != DK_OK)
        return err;
    delivery->count--;
    memmove(delivery->waiting + at, delivery->waiting + at + 1,
            (delivery->count - at) * sizeof *delivery->waiting);
    delivery->result->damaged++;
    return DK_OK;
}

// Adds record `seq` to the request, or sets it aside. *full is set, and nothing added, when it has no room beside the
// others.
static enum dk_err add_item(struct delivery *delivery, int64_t seq, bool *full, struct dk_fault *fault)
{
    struct item *item = &delivery->items[delivery->item_count];
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_fault why = {0};
    enum dk_err err = dk_journal_read(delivery->journal, seq, &jws, &why);

    if (err == DK_OK)
        err = look_through(delivery, &jws, &why, fault);
    else if (err != DK_ERR_DATA)
        return dk_fail(fault, err, why.where, why.todo, "%s", why.what);
    else
        err = DK_OK;
    if (err == DK_OK && why.err != DK_OK)
        return leave_out(delivery, seq, &why, fault);
    if (err != DK_OK)
        return err;
    *full = delivery->item_count > 0 && delivery->body.len + jws.len + 1 > BODY_MAX_BYTES;
    if (*full)
        return DK_OK;
    item->seq = seq;
    err = find_device(&jws, item->device, fault);
    if (err == DK_OK)
        err = dk_sha256_text(jws.data, jws.len, item->sha256);
    if (err == DK_OK)
        err = dk_buf_append(&delivery->body, jws.data, jws.len);
    if (err == DK_OK)
        err = dk_buf_append(&delivery->body, "\n", 1);
    if (err == DK_OK)
        delivery->item_count++;
    return err == DK_OK ? DK_OK
                        : dk_fail(fault, err, "journal", NULL, "record %lld cannot be sent", (long long)seq);
}

static enum dk_err make_request(struct delivery *delivery, struct dk_fault *fault)
{
    bool full = false;
    enum dk_err err = DK_OK;

    dk_buf_free(&delivery->body);
    delivery->item_count = 0;
    while (err == DK_OK && !full && delivery->item_count < delivery->batch &&
           delivery->next + delivery->item_count < delivery->count)
        err = add_item(delivery, delivery->waiting[delivery->next + delivery->item_count], &full, fault);
    return err;
}

static enum dk_err fail_meaning(const struct delivery *delivery, enum dk_meaning meaning, int64_t status,
                                const char *reason, struct dk_fault *fault)
{
    const char *url = delivery->options->url;
    const char *words = reason[0] != '\0' ? reason : "no reason given";
    long long number = (long long)status;

    switch (meaning) {
    case DK_MEANING_FORBIDDEN:
        return dk_fail(fault, DK_ERR_PERMISSION, url,
                       status == 401
                           ? N_("all records are kept; enrol this device with a token from the collector's "
                                "operator: dokiem enrol --collector URL --token TOKEN")
                           : N_("all records are kept; ask the collector's operator to approve this device, "
                                "or enrol again: dokiem enrol --collector URL --token TOKEN"),
                       "the collector does not take records of this device (%lld): %s", number, words);
    case DK_MEANING_FORK:
        return dk_fail(
            fault, DK_ERR_DATA, url,
            "all records are kept. Either another machine has this device's key, or an old copy of the journal came "
            "back. Tell the collector's operator, then begin a new chain: dokiem keygen --state NEW; dokiem enrol "
            "--state NEW (the operator: dokiem-collector evidence ID, approve NEW --replaces ID)",
            "ALARM: the chain forks at record %lld (409): %s", (long long)delivery->waiting[delivery->next],
            words);
    case DK_MEANING_NOT_NOW:
        return dk_fail(fault, DK_ERR_NOT_NOW, url, "try again later; all records are kept",
                       "the collector cannot take records now (%lld): %s", number, words);
    case DK_MEANING_STORED:
    case DK_MEANING_MALFORMED:
    case DK_MEANING_NONSENSE:
    default:
        return dk_fail(fault, DK_ERR_DATA, url, "all records are kept; check the collector's URL",
                       "the collector's answer makes no sense (%lld): %s", number, words);
    }
}

// The record arrived between our sending and the answer. The smallest error of all requests counts.
static void take_offset(struct delivery *delivery, struct dk_wall received)
{
    struct dk_deliver_result *result = delivery->result;
    int64_t half_ns = (delivery->answered.ns - delivery->sent.ns) / 2, error_ns = half_ns + DK_NS_PER_MS;

    if (half_ns < 0 || (result->has_offset && result->offset_error_ns <= error_ns))
        return;
    result->has_offset = true;
    result->offset_ns = received.ns - delivery->sent.ns - half_ns;
    result->offset_error_ns = error_ns;
}

static enum dk_err keep_receipt(struct delivery *delivery, const struct item *item,
                                const struct dk_answer *answer, struct dk_fault *fault)
{
    const struct dk_deliver_options *options = delivery->options;
    struct dk_fault wrong = {0};
    struct dk_wall received = {0};
    enum dk_err err = dk_receipt_check(options->collector_key, dk_buf_text(&answer->receipt),
                                       answer->receipt.len, item->sha256, item->device, item->seq, &received,
                                       &wrong);

    if (err != DK_OK)
        return dk_fail(fault, err, options->url,
                       "all records are kept; if the collector has a new key: dokiem enrol --force",
                       "the answer makes no sense: the receipt of record %lld is not good: %s",
                       (long long)item->seq, wrong.what);
    err = dk_journal_keep_receipt(delivery->journal, item->seq, answer->receipt.data, answer->receipt.len,
                                  fault);
    if (err != DK_OK)
        return err;
    delivery->result->delivered++;
    if (answer->status == 201) // not one of an earlier delivery
        take_offset(delivery, received);
    return DK_OK;
}

static enum dk_err set_aside(struct delivery *delivery, const struct item *item, const char *reason,
                             struct dk_fault *fault)
{
    enum dk_err err = dk_journal_refuse(delivery->journal, item->seq,
                                        reason[0] != '\0' ? reason : "the collector answered 400", fault);

    if (err == DK_OK)
        delivery->result->refused++;
    return err;
}

// An answer that says nothing of single records. *again: the same records are to be sent in smaller requests.
static enum dk_err settle_whole(struct delivery *delivery, int64_t status, const char *reason, bool *again,
                                struct dk_fault *fault)
{
    enum dk_meaning meaning = dk_status_meaning(status);

    if (meaning == DK_MEANING_MALFORMED && delivery->response.html)
        meaning = DK_MEANING_NONSENSE; // a proxy speaks, not a collector
    if (delivery->item_count > 1 && (meaning == DK_MEANING_MALFORMED || status == 413)) {
        delivery->batch = meaning == DK_MEANING_MALFORMED ? 1 : delivery->item_count / 2;
        *again = true;
        return DK_OK;
    }
    if (meaning == DK_MEANING_MALFORMED) {
        enum dk_err err = set_aside(delivery, &delivery->items[0], reason, fault);

        delivery->next += err == DK_OK;
        return err;
    }
    return fail_meaning(delivery, meaning == DK_MEANING_STORED ? DK_MEANING_NONSENSE : meaning, status,
                        reason, fault);
}

static enum dk_err settle_one(struct delivery *delivery, const struct item *item,
                              const struct dk_answer *answer, struct dk_fault *fault)
{
    enum dk_meaning meaning = dk_status_meaning(answer->status);
    enum dk_err err;

    if (meaning == DK_MEANING_STORED)
        err = keep_receipt(delivery, item, answer, fault);
    else if (meaning == DK_MEANING_MALFORMED)
        err = set_aside(delivery, item, answer->reason, fault);
    else
        err = fail_meaning(delivery, meaning, answer->status, answer->reason, fault);
    delivery->next += err == DK_OK;
    return err;
}

// One refusal in answer to many records is about the request as a whole.
static bool is_about_whole(const struct delivery *delivery, const struct dk_answer *answer)
{
    const struct dk_buf *body = &delivery->response.body;
    const char *line_end = memchr(dk_buf_text(body), '\n', body->len);
    bool only_line = line_end == NULL || line_end == body->data + body->len - 1;

    return answer->status == 413 || (answer->status == 400 && only_line && delivery->item_count > 1);
}

// Goes through the answer line by line; the lines are in the order of the records.
static enum dk_err settle(struct delivery *delivery, bool *again, struct dk_fault *fault)
{
    const struct dk_response *response = &delivery->response;
    const char *at = dk_buf_text(&response->body), *end = at + response->body.len;
    struct dk_answer answer = {.receipt = dk_buf_make(DK_JWS_MAX_BYTES)};
    enum dk_err err = DK_OK;
    size_t i = 0;

    for (; i < delivery->item_count && at < end && err == DK_OK; i++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        if (line_end == NULL)
            line_end = end;

        enum dk_err read = dk_answer_read(at, (size_t)(line_end - at), &answer);

        if (read != DK_OK) {
            err = read == DK_ERR_DATA ? DK_OK : dk_fail(fault, read, delivery->options->url, NULL, "out of memory");
            break;
        }
        if (is_about_whole(delivery, &answer)) {
            err = settle_whole(delivery, answer.status, answer.reason, again, fault);
            break;
        }
        err = settle_one(delivery, &delivery->items[i], &answer, fault);
        at = line_end == end ? end : line_end + 1;
    }
    dk_buf_free(&answer.receipt);
    if (err != DK_OK || *again || i == delivery->item_count)
        return err;
    if (i == 0)
        return settle_whole(delivery, response->status, "", again, fault);
    return fail_meaning(delivery, DK_MEANING_NONSENSE, response->status, "it does not speak of all records",
                        fault);
}

static enum dk_err send_one_request(struct delivery *delivery, struct dk_fault *fault)
{
    bool again = false;
    enum dk_err err = make_request(delivery, fault);

    if (err != DK_OK || delivery->item_count == 0)
        return err;
    delivery->sent = dk_wall_now();
    err = dk_exchange(delivery->options, "/v1/records", "application/jose", delivery->body.data, delivery->body.len,
                      &delivery->response, fault);
    delivery->answered = dk_wall_now();
    if (err == DK_OK)
        err = settle(delivery, &again, fault);
    return err;
}

static enum dk_err deliver_all(struct delivery *delivery, struct dk_fault *fault)
{
    while (delivery->next < delivery->count) {
        struct dk_fault attempt = {0};
        enum dk_err err = send_one_request(delivery, &attempt);

        delivery->result->retry_after_ns = err == DK_ERR_NOT_NOW ? delivery->response.retry_after_ns : 0;
        if (err == DK_OK) {
            delivery->patience = (struct dk_patience){DK_TRIES}; // it goes on
            continue;
        }

        enum dk_err interrupted = DK_OK;

        if (err != DK_ERR_NOT_NOW || delivery->response.pointless ||
            !dk_wait_to_retry(delivery->options, &delivery->patience, delivery->response.retry_after_ns,
                              &interrupted))
            return dk_fail(fault, err, attempt.where, attempt.todo, "%s", attempt.what);
        if (interrupted != DK_OK)
            return dk_fail(fault, interrupted, delivery->options->url, NULL,
                           "interrupted; all records are kept");
    }
    return DK_OK;
}

enum dk_err dk_deliver(struct dk_journal *journal, const struct dk_deliver_options *options,
                       struct dk_deliver_result *out, struct dk_fault *fault)
{
    size_t batch = options->batch < 1 ? 1 : options->batch > BATCH_MAX ? BATCH_MAX : (size_t)options->batch;
    struct delivery delivery = {
        .journal = journal,
        .options = options,
        .result = out,
        .items = calloc(batch, sizeof *delivery.items),
        .batch = batch,
        .body = dk_buf_make(DK_JWS_MAX_BYTES + 1),
        .response = {.body = dk_buf_make(ANSWER_EXTRA_BYTES + batch * ANSWER_BYTES_PER_RECORD)},
        .patience = {DK_TRIES},
    };

    *out = (struct dk_deliver_result){0};

    enum dk_err err = delivery.items == NULL ? dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory")
                                             : find_waiting(&delivery, fault);

    if (err == DK_OK)
        err = dk_exchange_start(fault);
    if (err == DK_OK) {
        err = deliver_all(&delivery, fault);
        dk_exchange_end();
    }
    out->waiting = (int64_t)(delivery.count - delivery.next);
    free(delivery.waiting);
    free(delivery.items);
    dk_buf_free(&delivery.body);
    dk_buf_free(&delivery.response.body);
    return err;
}
