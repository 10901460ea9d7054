// SPDX-License-Identifier: Apache-2.0
#include "collector/check.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/sha256.h"
#include "agent/record/json.h"
#include "agent/record/record.h"
#include "agent/record/seal.h"
#include "collector/signers.h"

struct check {
    struct dk_store *store;
    const struct dk_key *collector;
    struct dk_signers *signers;
    void (*say)(const struct dk_fault *fault);
    int64_t checked, damaged;
};

static enum dk_err differs(struct dk_fault *fault, const char *what)
{
    return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "%s", what);
}

static enum dk_err check_record(const struct check *check, const struct dk_store_row *row, struct dk_fault *fault)
{
    char sha256[DK_SHA256_TEXT_SIZE], kid[DK_SHA256_TEXT_SIZE];
    struct dk_store_key known = {0};
    struct dk_record_head head;
    const struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    enum dk_err err = dk_sha256_text(row->jws, row->jws_len, sha256);

    if (err == DK_OK && strcmp(sha256, row->sha256) != 0)
        return differs(fault, "is not the record that was received: its hash is another one");
    if (err == DK_OK)
        err = dk_jws_key_id(row->jws, row->jws_len, DK_TYP_RECORD, kid, fault);
    if (err == DK_OK)
        err = dk_store_key(check->store, kid, &known, fault);
    if (err == DK_ERR_NO_INPUT || (err == DK_OK && strcmp(known.device, row->device) != 0))
        return differs(fault, "is signed by a key that is not kept as this device's");
    if (err == DK_OK)
        err = dk_signers_get(check->signers, kid, known.jwk, &key, fault);
    if (err == DK_OK)
        err = dk_open(key, DK_TYP_RECORD, row->jws, row->jws_len, &payload, fault);
    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &head, fault);
    if (err == DK_OK && (head.seq != row->seq || strcmp(head.device_id, row->device) != 0 ||
                         strcmp(head.prev, row->prev) != 0 || strcmp(head.id, row->id) != 0))
        return differs(fault, "is kept in a place that is not its own");
    return err;
}

static enum dk_err check_receipt(const struct check *check, const struct dk_store_row *row, struct dk_fault *fault)
{
    char received[DK_RFC3339_SIZE];
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    enum dk_err err = dk_open(check->collector, DK_TYP_RECEIPT, row->receipt, strlen(row->receipt), &payload, fault);

    if (err != DK_OK)
        return err;

    json_t *receipt = dk_json_load(dk_buf_text(&payload), payload.len, NULL, &err);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, NULL, NULL, "out of memory");

    const char *hash = json_string_value(json_object_get(receipt, "record_sha256"));
    const char *said = json_string_value(json_object_get(receipt, "received"));

    dk_wall_rfc3339(row->received, received);

    bool same = hash != NULL && said != NULL && strcmp(hash, row->sha256) == 0 && strcmp(said, received) == 0;

    json_decref(receipt);
    return same ? DK_OK : differs(fault, "has the receipt of another record, or of another time");
}

static enum dk_err check_row(void *argument, const struct dk_store_row *row)
{
    struct check *check = argument;
    struct dk_fault fault = {0}, said = {0};
    char where[DK_SHA256_TEXT_SIZE + 32];
    enum dk_err err = check_record(check, row, &fault);

    if (err == DK_OK && check->collector != NULL)
        err = check_receipt(check, row, &fault);
    check->checked++;
    if (err != DK_ERR_DATA)
        return err;
    check->damaged++;
    snprintf(where, sizeof where, "%s %lld", row->device, (long long)row->seq);
    (void)dk_fail(&said, err, where, NULL, "%s", fault.what);
    check->say(&said);
    return DK_OK;
}

enum dk_err dk_check(struct dk_store *store, const struct dk_key *collector, void (*say)(const struct dk_fault *fault),
                     int64_t *checked, struct dk_fault *fault)
{
    dk_auto(signers) struct dk_signers *signers = NULL;
    struct dk_store_filter all = {.until = {INT64_MAX}};
    enum dk_err err = dk_store_integrity(store, fault);

    if (err == DK_OK)
        err = dk_signers_new(&signers);

    struct check check = {store, collector, signers, say, 0, 0};

    if (err == DK_OK)
        err = dk_store_rows(store, &all, check_row, &check, fault);
    *checked = check.checked;
    if (err == DK_OK && check.damaged > 0)
        err = dk_fail(fault, DK_ERR_DATA, "store", "bring these records back from a copy, or let the devices send them "
                      "again", "%lld of %lld records are damaged", (long long)check.damaged, (long long)check.checked);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, "store", NULL, "%s", dk_err_text(err));
}
