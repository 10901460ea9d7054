// SPDX-License-Identifier: Apache-2.0
#include "collector/records.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/base64url.h"
#include "agent/base/sha256.h"
#include "agent/record/json.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "collector/limit.h"
#include "collector/signers.h"

enum { REASON_SIZE = DK_FAULT_WHERE_SIZE + 2 + DK_FAULT_WHAT_SIZE, RECEIPT_MAX_BYTES = 4096 };

struct dk_intake {
    struct dk_store *store;         // borrowed
    const struct dk_key *collector; // borrowed
    struct dk_signers *signers;     // owned
    struct dk_limit *limit;         // owned
    struct dk_wall now;             // of the requests that are being taken
};

// One record on its way in, and what is answered.
struct entry {
    const char *jws;
    size_t len;
    char sha256[DK_SHA256_TEXT_SIZE];
    struct dk_store_key key; // that signed
    struct dk_buf payload;   // once the signature held
    struct dk_record_head head;
    unsigned status;
    char reason[REASON_SIZE];
    struct dk_fault fault;
    struct dk_buf receipt;
    bool first; // of its request
    int64_t retry_after_s;
};

enum dk_place dk_record_place(const struct dk_record_head *head, const char *sha256,
                              const struct dk_neighbours *around, int64_t *kept_seq)
{
    *kept_seq = head->seq;
    if (around->same[0] != '\0')
        return strcmp(around->same, sha256) == 0 ? DK_PLACE_THERE : DK_PLACE_FORK;
    *kept_seq = head->seq - 1;
    if (around->before[0] != '\0' && strcmp(around->before, head->prev) != 0)
        return DK_PLACE_FORK;
    *kept_seq = head->seq + 1;
    if (around->has_after && strcmp(around->after_prev, sha256) != 0)
        return DK_PLACE_FORK;
    return DK_PLACE_NEW;
}

static enum dk_err append_line(json_t *object, struct dk_buf *answer)
{
    enum dk_err err = object == NULL ? DK_ERR_MEMORY : dk_json_dump(object, answer);

    if (err == DK_OK)
        err = dk_buf_append(answer, "\n", 1);
    json_decref(object);
    return err;
}

enum dk_err dk_answer_refusal(unsigned status, const char *reason, struct dk_buf *answer)
{
    json_t *text = json_string(reason);

    if (text == NULL) // it quotes something that is not UTF-8
        text = json_string("refused");
    return append_line(json_pack("{s:i, s:o}", "status", (int)status, "reason", text), answer);
}

static enum dk_err refuse(struct entry *entry, unsigned status, const char *reason)
{
    entry->status = status;
    snprintf(entry->reason, sizeof entry->reason, "%s", reason);
    return DK_OK;
}

static enum dk_err refuse_for_fault(struct entry *entry, unsigned status)
{
    entry->status = status;
    snprintf(entry->reason, sizeof entry->reason, "%s%s%s", entry->fault.where,
             entry->fault.where[0] != '\0' ? ": " : "", entry->fault.what);
    return DK_OK;
}

static enum dk_err make_receipt(const struct dk_intake *intake, struct entry *entry, int64_t last_seq)
{
    char received[DK_RFC3339_SIZE];

    dk_wall_rfc3339(intake->now, received);

    json_t *payload =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:I}", "schema", "dokiem.receipt/1", "record_sha256",
                  entry->sha256, "id", entry->head.id, "device", entry->head.device_id, "seq",
                  (json_int_t)entry->head.seq, "received", received, "last_seq", (json_int_t)last_seq);
    dk_auto_buf struct dk_buf text = dk_buf_make(RECEIPT_MAX_BYTES);
    enum dk_err err = payload == NULL ? DK_ERR_MEMORY : dk_json_dump(payload, &text);

    if (err == DK_OK)
        err = dk_seal(intake->collector, DK_TYP_RECEIPT, text.data, text.len, &entry->receipt, &entry->fault);
    json_decref(payload);
    return err;
}

static enum dk_err keep(struct dk_intake *intake, struct entry *entry, int64_t last_seq)
{
    const struct dk_record_head *head = &entry->head;
    enum dk_err err = make_receipt(intake, entry, head->seq > last_seq ? head->seq : last_seq);

    if (err != DK_OK)
        return err;
    entry->status = 201;
    return dk_store_add_record(intake->store,
                               &(struct dk_store_record){.device = head->device_id,
                                                         .seq = head->seq,
                                                         .id = head->id,
                                                         .sha256 = entry->sha256,
                                                         .prev = head->prev,
                                                         .received = intake->now,
                                                         .jws = entry->jws,
                                                         .jws_len = entry->len,
                                                         .receipt = dk_buf_text(&entry->receipt),
                                                         .dropped_first = head->dropped_first,
                                                         .dropped_last = head->dropped_last},
                               &entry->fault);
}

// The hash that record `kept_seq` is known by: its own, or, of the one after, what it says of the one before.
static const char *kept_hash(const struct dk_record_head *head, const struct dk_neighbours *around,
                             int64_t kept_seq)
{
    if (kept_seq == head->seq)
        return around->same;
    return kept_seq < head->seq ? around->before : around->after_prev;
}

static enum dk_err remember_fork(struct dk_intake *intake, struct entry *entry, int64_t kept_seq, const char *kept)
{
    const struct dk_fork fork = {.device = entry->head.device_id,
                                 .seq = entry->head.seq,
                                 .other = entry->sha256,
                                 .kept_seq = kept_seq,
                                 .kept = kept,
                                 .jws = entry->jws,
                                 .jws_len = entry->len};

    return dk_store_add_fork(intake->store, &fork, intake->now, &entry->fault);
}

// Takes the new key of a rotation. Refused (400) when its word does not hold or it is somebody's already.
static enum dk_err take_new_key(struct dk_intake *intake, struct entry *entry)
{
    const struct dk_record_head *head = &entry->head;
    const struct dk_rotation_place place = {head->device_id, entry->key.id, head->seq, head->prev};
    struct dk_store_key known, added = {.from_seq = head->seq + 1};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE - 1);
    dk_auto(key) struct dk_key *key = NULL;
    enum dk_err err =
        dk_rotation_read(dk_buf_text(&entry->payload), entry->payload.len, &place, &key, &entry->fault);

    // OpenSSL may tell a shortage of memory as a bad key, and a device does not send again what is refused for good.
    if (err == DK_ERR_DATA)
        err = dk_rotation_read(dk_buf_text(&entry->payload), entry->payload.len, &place, &key, &entry->fault);
    if (err != DK_OK)
        return err == DK_ERR_DATA ? refuse_for_fault(entry, 400) : err;
    err = dk_store_key(intake->store, dk_key_id(key), &known, &entry->fault);
    if (err == DK_OK)
        return refuse(entry, 400, "the new key is known already as a device's key");
    if (err == DK_ERR_NO_INPUT)
        err = dk_key_public_jwk(key, &jwk);
    if (err != DK_OK)
        return err;
    snprintf(added.id, sizeof added.id, "%s", dk_key_id(key));
    snprintf(added.device, sizeof added.device, "%s", head->device_id);
    snprintf(added.jwk, sizeof added.jwk, "%s", dk_buf_text(&jwk));
    err = dk_store_add_key(intake->store, &added, &entry->fault);
    return err == DK_OK ? dk_store_end_key(intake->store, entry->key.id, head->seq, &entry->fault) : err;
}

static enum dk_err place(struct dk_intake *intake, struct entry *entry)
{
    const struct dk_record_head *head = &entry->head;
    struct dk_neighbours around = {0};
    int64_t kept_seq = 0;
    enum dk_err err = dk_store_neighbours(intake->store, head->device_id, head->seq, &around, &entry->fault);

    if (err != DK_OK)
        return err;
    switch (dk_record_place(head, entry->sha256, &around, &kept_seq)) {
    case DK_PLACE_THERE:
        entry->status = 200;
        return dk_store_receipt(intake->store, head->device_id, head->seq, &entry->receipt, &entry->fault);
    case DK_PLACE_FORK:
        (void)refuse(
            entry, 409,
            kept_seq == head->seq ? "the chain forks: another record with this number is kept here"
            : kept_seq < head->seq
                ? "the chain forks: prev is not the hash of the record before, which is kept here"
                : "the chain forks: the record after, which is kept here, names another one as prev");
        return remember_fork(intake, entry, kept_seq, kept_hash(head, &around, kept_seq));
    case DK_PLACE_NEW:
    default:
        if (head->kind == DK_KIND_ROTATION) {
            err = take_new_key(intake, entry);
            if (err != DK_OK || entry->status != 0)
                return err;
        }
        return keep(intake, entry, around.last_seq);
    }
}

// Nothing of the payload is looked at before the signature holds.
static enum dk_err check_signature(struct dk_intake *intake, struct entry *entry, struct dk_device *device)
{
    char kid[DK_SHA256_TEXT_SIZE];
    const struct dk_key *key = NULL;
    enum dk_err err = dk_jws_key_id(entry->jws, entry->len, DK_TYP_RECORD, kid, &entry->fault);

    if (err != DK_OK)
        return err == DK_ERR_DATA ? refuse_for_fault(entry, 400) : err;
    err = dk_store_key(intake->store, kid, &entry->key, &entry->fault);
    if (err == DK_ERR_NO_INPUT)
        return refuse(entry, 401, "the device is not enrolled here");
    if (err == DK_OK)
        err = dk_store_device(intake->store, entry->key.device, device, &entry->fault);
    if (err == DK_OK)
        err = dk_signers_get(intake->signers, kid, entry->key.jwk, &key, &entry->fault);
    if (err != DK_OK)
        return err == DK_ERR_DATA || err == DK_ERR_NO_INPUT ? DK_ERR_IO : err; // the store is damaged
    err = dk_open(key, DK_TYP_RECORD, entry->jws, entry->len, &entry->payload, &entry->fault);
    if (err == DK_ERR_DATA)
        return refuse_for_fault(entry, 401);
    return err;
}

// What a device asks for counts once it has signed: nobody can use up another one's share.
static bool is_too_often(struct dk_intake *intake, struct entry *entry, const char *device)
{
    struct in6_addr name;
    uint8_t hash[DK_SHA256_SIZE];

    if (!entry->first || !dk_base64url_decode_exact(device, strlen(device), hash, sizeof hash))
        return false;
    memcpy(&name, hash, sizeof name);
    entry->retry_after_s = dk_limit_take(intake->limit, &name, dk_mono_now());
    return entry->retry_after_s > 0;
}

// Decides on one record. An error means that the collector itself cannot go on (503), whatever the record.
static enum dk_err take(struct dk_intake *intake, struct entry *entry)
{
    struct dk_device device = {0};

    if (entry->len > DK_JWS_MAX_BYTES)
        return refuse(entry, 400, "the record is too long");

    enum dk_err err = check_signature(intake, entry, &device);

    if (err != DK_OK || entry->status != 0)
        return err;
    if (strcmp(device.state, DK_DEVICE_PENDING) == 0)
        return refuse(entry, 403, "the device is enrolled, but not approved yet");
    if (strcmp(device.state, DK_DEVICE_APPROVED) != 0)
        return refuse(entry, 403, "the device is revoked");
    if (is_too_often(intake, entry, device.id))
        return refuse(entry, 429, "too many requests from this device");
    err = dk_record_read_head(dk_buf_text(&entry->payload), entry->payload.len, &entry->head, &entry->fault);
    if (err != DK_OK)
        return err == DK_ERR_DATA ? refuse_for_fault(entry, 400) : err;
    if (strcmp(entry->head.device_id, device.id) != 0)
        return refuse(entry, 400, "device.id is not the device whose key signed the record");
    err = dk_sha256_text(entry->jws, entry->len, entry->sha256);
    if (err != DK_OK)
        return err;
    if (entry->head.seq < entry->key.from_seq)
        return refuse(entry, 400, "the key that signed is the device's only from a later record on");
    if (entry->key.until_seq > 0 && entry->head.seq > entry->key.until_seq) {
        (void)refuse(entry, 409, "the chain forks: the key that signed was replaced in an earlier record");
        return remember_fork(intake, entry, entry->key.until_seq, "");
    }
    return place(intake, entry);
}

static void count(struct dk_intake_counts *counts, unsigned status)
{
    switch (status) {
    case 200:
        counts->there++;
        break;
    case 201:
        counts->stored++;
        break;
    case 400:
        counts->malformed++;
        break;
    case 401:
        counts->unauthenticated++;
        break;
    case 403:
        counts->forbidden++;
        break;
    case 409:
        counts->forks++;
        break;
    case 429:
        break;
    default:
        counts->unavailable++;
        break;
    }
}

static enum dk_err answer_entry(const struct entry *entry, struct dk_buf *answer)
{
    if (entry->status >= 300)
        return dk_answer_refusal(entry->status, entry->reason, answer);
    return append_line(json_pack("{s:s, s:I, s:i, s:s}", "id", entry->head.id, "seq",
                                 (json_int_t)entry->head.seq, "status", (int)entry->status, "receipt",
                                 dk_buf_text(&entry->receipt)),
                       answer);
}

static enum dk_err take_lines(struct dk_intake *intake, struct dk_intake_request *request,
                              struct dk_intake_counts *counts, struct dk_fault *fault)
{
    unsigned failed = 0;
    int64_t stored = counts->stored;

    for (const char *at = request->body, *end = at + request->len; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        struct entry entry = {
            .jws = at,
            .len = (size_t)((line_end != NULL ? line_end : end) - at),
            .payload = dk_buf_make(DK_JWS_MAX_BYTES),
            .receipt = dk_buf_make(DK_JWS_MAX_BYTES),
            .first = at == request->body,
        };
        enum dk_err err = take(intake, &entry);

        if (err == DK_OK)
            err = answer_entry(&entry, &request->answer);
        dk_buf_free(&entry.payload);
        dk_buf_free(&entry.receipt);
        if (err != DK_OK)
            return dk_fail(fault, err, entry.fault.where, entry.fault.todo, "%s", entry.fault.what);
        count(counts, entry.status);
        request->retry_after_s = entry.retry_after_s;
        if (entry.status >= 300 && failed == 0)
            failed = entry.status;
        if (entry.status > 400)
            break;
        at += entry.len + 1;
    }
    request->status = failed != 0 ? failed : counts->stored > stored ? 201 : 200;
    return DK_OK;
}

static size_t count_lines(const char *body, size_t len)
{
    size_t lines = len > 0 && body[len - 1] != '\n' ? 1 : 0;

    for (size_t i = 0; i < len; i++)
        lines += body[i] == '\n';
    return lines;
}

static void answer_whole(struct dk_intake_request *request, unsigned status, const char *reason)
{
    dk_buf_free(&request->answer);
    // Without memory for these few words the status alone must do.
    request->status = dk_answer_refusal(status, reason, &request->answer) == DK_OK ? status : 503;
}

// True when the request is answered already: it cannot be one of records.
static bool is_refused(struct dk_intake_request *request)
{
    size_t lines = count_lines(request->body, request->len);

    if (lines == 0)
        answer_whole(request, 400, "there is no record in the request");
    else if (lines > DK_LINES_MAX)
        answer_whole(request, 413, "there are more than 1000 records in the request");
    return lines == 0 || lines > DK_LINES_MAX;
}

static enum dk_err take_all(struct dk_intake *intake, struct dk_intake_request *requests, size_t count,
                            struct dk_intake_counts *counts, struct dk_fault *fault)
{
    enum dk_err err = dk_store_begin(intake->store, fault);

    for (size_t i = 0; err == DK_OK && i < count; i++)
        if (!is_refused(&requests[i]))
            err = take_lines(intake, &requests[i], counts, fault);
    if (err == DK_OK)
        err = dk_store_commit(intake->store, fault);
    // All or nothing: an answer must never promise what is not on disk.
    if (err != DK_OK)
        dk_store_rollback(intake->store);
    return err;
}

void dk_intake_take(struct dk_intake *intake, struct dk_wall now, struct dk_intake_request *requests, size_t count,
                    struct dk_intake_counts *counts, struct dk_fault *fault)
{
    struct dk_intake_counts taken = *counts;

    intake->now = now;

    enum dk_err err = take_all(intake, requests, count, &taken, fault);

    if (err == DK_OK) {
        *counts = taken;
        return;
    }
    if (count == 1) {
        (void)dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
        counts->unavailable++;
        answer_whole(requests, 503, "the store cannot be written now; keep the records and try again");
        return;
    }
    // One of them may be to blame: each by itself.
    for (size_t i = 0; i < count; i++) {
        dk_buf_free(&requests[i].answer);
        dk_intake_take(intake, now, &requests[i], 1, counts, fault);
    }
}

enum dk_err dk_intake_new(struct dk_store *store, const struct dk_key *collector, int64_t device_rate,
                          struct dk_intake **out)
{
    dk_auto(intake) struct dk_intake *intake = calloc(1, sizeof *intake);

    if (intake == NULL || dk_signers_new(&intake->signers) != DK_OK ||
        dk_limit_new(device_rate, &intake->limit) != DK_OK)
        return DK_ERR_MEMORY;
    intake->store = store;
    intake->collector = collector;
    *out = intake;
    intake = NULL;
    return DK_OK;
}

void dk_intake_free(struct dk_intake *intake)
{
    if (intake == NULL)
        return;
    dk_signers_free(intake->signers);
    dk_limit_free(intake->limit);
    free(intake);
}

unsigned dk_records_take(struct dk_store *store, const struct dk_key *collector, struct dk_wall now,
                         const char *body, size_t len, struct dk_intake_counts *counts, struct dk_buf *answer,
                         struct dk_fault *fault)
{
    dk_auto(intake) struct dk_intake *intake = NULL;
    struct dk_intake_request request = {.body = body, .len = len, .answer = *answer};

    if (dk_intake_new(store, collector, 0, &intake) != DK_OK) {
        (void)dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        answer_whole(&request, 503, "out of memory");
    } else
        dk_intake_take(intake, now, &request, 1, counts, fault);
    *answer = request.answer;
    return request.status;
}
