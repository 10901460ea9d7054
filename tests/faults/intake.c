// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/intake.h"

#include "agent/record/record.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "collector/check.h"
#include "collector/devices.h"
#include "collector/records.h"
#include "collector/store.h"
#include "tests/faults/disk.h"
#include "tests/harness/harness.h"

#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROTATION = 6, RECEIPT_SIZE = 1200, ANSWERS_MAX = 200, URL_SIZE = PATH_MAX + 32 };

static const struct dk_wall now = {INT64_C(1795147506789) * DK_NS_PER_MS};

static struct dk_key *collector, *keys[2]; // the device's, before and after its change
static struct dk_buf chain[INTAKE_RECORDS];

// In memory that child processes share.
static struct promises {
    struct {
        bool given;
        size_t changes; // on the disk when it was given first
        char receipt[RECEIPT_SIZE];
    } records[INTAKE_RECORDS];
    size_t answers[ANSWERS_MAX];
    size_t count;
    bool differs;   // a receipt from one that was answered before
    bool enrolled;  // so that nothing may be
    bool refused;
} *promises;

static void make_rotation(int64_t seq, const char *prev, struct dk_buf *payload)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE), proof = dk_buf_make(DK_ROTATION_PROOF_MAX);
    static const struct dk_context context;
    const struct dk_rotation_place place = {dk_key_id(keys[0]), dk_key_id(keys[0]), seq, prev};
    struct dk_record_facts facts = {
        .kind = DK_KIND_ROTATION, .version = "test", .start = now, .end = now, .seq = seq, .context = &context};

    CU_ASSERT_EQUAL_FATAL(dk_key_public_jwk(keys[1], &jwk), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_rotation_prove(keys[1], &place, &proof, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_uuid7(now, facts.id), DK_OK);
    snprintf(facts.prev, sizeof facts.prev, "%s", prev);
    snprintf(facts.device_id, sizeof facts.device_id, "%s", dk_key_id(keys[0]));
    facts.new_jwk = dk_buf_text(&jwk);
    facts.new_proof = dk_buf_text(&proof);
    CU_ASSERT_EQUAL_FATAL(dk_record_build(&facts, payload, NULL), DK_OK);
}

void intake_make(void)
{
    char prev[DK_SHA256_TEXT_SIZE] = "";

    if (promises != NULL)
        return;
    promises = mmap(NULL, sizeof *promises, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(promises != MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&collector, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&keys[0], NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&keys[1], NULL), DK_OK);
    for (int i = 0; i < INTAKE_RECORDS; i++) {
        dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES);

        // Some are longer than a page of the database.
        if (i + 1 == ROTATION)
            make_rotation(i + 1, prev, &payload);
        else
            CU_ASSERT_EQUAL_FATAL(
                dk_buf_printf(&payload,
                              "{\"schema\":\"dokiem.record/1\",\"id\":\"01935b1e-7a00-7000-8000-%012d\","
                              "\"seq\":%d,\"prev\":%s%s%s,\"kind\":\"skipped\",\"reason\":\"%0*d\","
                              "\"device\":{\"id\":\"%s\"},\"time\":{\"start\":\"2026-11-20T04:05:06.789Z\"}}",
                              i, i + 1, i > 0 ? "\"" : "", i > 0 ? prev : "null", i > 0 ? "\"" : "",
                              i % 3 == 2 ? 5000 : 10, i, dk_key_id(keys[0])),
                DK_OK);
        chain[i] = dk_buf_make(DK_JWS_MAX_BYTES);
        CU_ASSERT_EQUAL_FATAL(
            dk_seal(keys[i + 1 > ROTATION], DK_TYP_RECORD, payload.data, payload.len, &chain[i], NULL), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_sha256_text(chain[i].data, chain[i].len, prev), DK_OK);
    }
}

void intake_forget(void)
{
    memset(promises, 0, sizeof *promises);
}

size_t intake_answers(void)
{
    return promises->count;
}

size_t intake_changes(size_t answer)
{
    return promises->answers[answer];
}

static enum dk_err open_store(const char *folder, struct dk_store **out)
{
    char url[URL_SIZE];

    snprintf(url, sizeof url, "sqlite:%s/records.sqlite", folder);
    return dk_store_open(url, out, NULL);
}

// Notes what is answered of the records from `first` on. Nothing is allocated: memory may be short.
static void note(const struct dk_buf *answer, int first)
{
    static const char status_is[] = "\"status\":", receipt_is[] = "\"receipt\":\"";
    const char *end;

    for (const char *at = dk_buf_text(answer); *at != '\0'; at = end + (*end == '\n'), first++) {
        const char *status = strstr(at, status_is), *receipt = strstr(at, receipt_is);

        end = at + strcspn(at, "\n");

        long number = status != NULL && status < end ? strtol(status + sizeof status_is - 1, NULL, 10) : 503;

        // Those after the change of key need that one.
        if (promises->enrolled && first < ROTATION && number >= 400 && number < 500)
            promises->refused = true;
        if (receipt == NULL || receipt > end)
            continue;
        receipt += sizeof receipt_is - 1;

        char text[RECEIPT_SIZE];

        snprintf(text, sizeof text, "%.*s", (int)strcspn(receipt, "\""), receipt);
        if (promises->records[first].given && strcmp(promises->records[first].receipt, text) != 0)
            promises->differs = true;
        if (!promises->records[first].given) {
            promises->records[first].changes = disk_changes();
            snprintf(promises->records[first].receipt, RECEIPT_SIZE, "%s", text);
        }
        promises->records[first].given = true;
        if (promises->count < ANSWERS_MAX)
            promises->answers[promises->count++] = disk_changes();
    }
}

struct request {
    int first, last;
};

// Takes requests as one group, as they come from several devices.
static void take(struct dk_store *store, size_t count, const struct request *wanted)
{
    dk_auto(intake) struct dk_intake *intake = NULL;
    struct dk_intake_counts counts = {0};
    struct dk_intake_request requests[2] = {0};
    struct dk_buf bodies[2] = {dk_buf_make(DK_BODY_MAX_BYTES), dk_buf_make(DK_BODY_MAX_BYTES)};
    bool whole = dk_intake_new(store, collector, 0, &intake) == DK_OK;

    for (size_t i = 0; i < count; i++) {
        for (int k = wanted[i].first; k <= wanted[i].last; k++)
            whole = whole && dk_buf_append(&bodies[i], chain[k].data, chain[k].len) == DK_OK &&
                    dk_buf_append(&bodies[i], "\n", 1) == DK_OK;
        requests[i] = (struct dk_intake_request){
            .body = dk_buf_text(&bodies[i]), .len = bodies[i].len, .answer = dk_buf_make(DK_ANSWER_MAX_BYTES)};
    }
    if (whole)
        dk_intake_take(intake, now, requests, count, &counts, NULL);
    for (size_t i = 0; i < count; i++) {
        if (whole)
            note(&requests[i].answer, wanted[i].first);
        dk_buf_free(&requests[i].answer);
    }
    dk_buf_free(&bodies[0]);
    dk_buf_free(&bodies[1]);
}

static void take_one(struct dk_store *store, int first, int last)
{
    take(store, 1, &(struct request){first, last});
}

// As a device that asks as long as it has no answer, with a new token each time.
static void enrol(struct dk_store *store)
{
    char token[DK_TOKEN_SIZE];
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE), payload = dk_buf_make(2000), jws = dk_buf_make(4000);
    dk_auto_buf struct dk_buf answer = dk_buf_make(DK_ANSWER_MAX_BYTES);

    if (dk_token_make(store, now, DK_NS_PER_S, true, token, NULL) == DK_OK &&
        dk_key_public_jwk(keys[0], &jwk) == DK_OK &&
        dk_buf_printf(&payload,
                      "{\"schema\":\"dokiem.enrol/1\",\"jwk\":%s,\"token\":\"%s\",\"site\":{\"code\":\"XA-001\","
                      "\"name\":\"x\"},\"device\":{\"id\":\"%s\"},\"time\":\"2026-11-20T04:05:06.789Z\"}",
                      dk_buf_text(&jwk), token, dk_key_id(keys[0])) == DK_OK &&
        dk_seal(keys[0], DK_TYP_ENROL, payload.data, payload.len, &jws, NULL) == DK_OK)
        promises->enrolled = dk_devices_enrol(store, collector, now, jws.data, jws.len, &answer, NULL) < 300;
}

void intake_first(const char *folder)
{
    dk_auto(store) struct dk_store *store = NULL;

    if (open_store(folder, &store) != DK_OK)
        return;
    enrol(store);
    take_one(store, 0, 1);
    take_one(store, 2, 2);
}

void intake_next(const char *folder)
{
    dk_auto(store) struct dk_store *store = NULL;

    if (open_store(folder, &store) != DK_OK)
        return;
    (void)dk_store_check(store, now, NULL);
    take(store, 2, (const struct request[]){{3, 3}, {4, ROTATION - 1}});
    take_one(store, 0, 3);
    take_one(store, ROTATION, ROTATION);
    take_one(store, ROTATION, INTAKE_RECORDS - 2);
}

void intake_short(const char *folder)
{
    dk_auto(store) struct dk_store *store = NULL;

    if (open_store(folder, &store) == DK_OK) {
        take_one(store, 3, ROTATION - 1);
        take_one(store, 1, 1);
    }
}

void intake_again(const char *folder)
{
    dk_auto(store) struct dk_store *store = NULL;

    if (open_store(folder, &store) != DK_OK)
        return;
    for (int i = 0; i < INTAKE_RECORDS; i++)
        take_one(store, i, i);
}

static bool wrong(const char *what, int64_t seq)
{
    printf("    record %" PRId64 ": %s\n", seq, what);
    return false;
}

static void say(const struct dk_fault *fault)
{
    printf("    %s: %s\n", fault->where, fault->what);
}

static enum dk_err count_records(void *argument, const struct dk_device_summary *summary)
{
    if (summary->forks != 0)
        return DK_ERR_DATA;
    *(int64_t *)argument += summary->records;
    return DK_OK;
}

static bool record_holds(struct dk_store *store, int i, size_t changes)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), receipt = dk_buf_make(DK_JWS_MAX_BYTES);
    int64_t found = 0;
    enum dk_err err = dk_store_next_record(store, dk_key_id(keys[0]), i + 1, &found, &jws, NULL);

    if (err == DK_ERR_NO_INPUT || (err == DK_OK && found != i + 1))
        return !promises->records[i].given || promises->records[i].changes > changes ||
               wrong("was answered, and is lost", i + 1);
    if (err != DK_OK || dk_store_receipt(store, dk_key_id(keys[0]), i + 1, &receipt, NULL) != DK_OK)
        return wrong("cannot be read", i + 1);
    if (jws.len != chain[i].len || memcmp(jws.data, chain[i].data, jws.len) != 0)
        return wrong("is another", i + 1);
    return !promises->records[i].given || promises->records[i].changes > changes ||
           strcmp(dk_buf_text(&receipt), promises->records[i].receipt) == 0 || wrong("its receipt is another", i + 1);
}

bool intake_holds(const char *folder, size_t changes)
{
    dk_auto(store) struct dk_store *store = NULL;
    int64_t checked = 0, counted = 0;
    struct dk_fault fault = {0};
    char url[URL_SIZE];

    snprintf(url, sizeof url, "sqlite:%s/records.sqlite", folder);
    if (dk_store_open(url, &store, &fault) != DK_OK) {
        say(&fault);
        return wrong("nothing: the store cannot be opened", 0);
    }
    if (dk_check(store, collector, say, &checked, &fault) != DK_OK ||
        dk_store_devices(store, count_records, &counted, NULL) != DK_OK || counted != checked)
        return wrong("the store is damaged, or has one twice", checked);
    if (promises->differs)
        return wrong("two receipts were answered", 0);
    if (promises->refused)
        return wrong("a good one was refused", 0);
    for (int i = 0; i < INTAKE_RECORDS; i++)
        if (!record_holds(store, i, changes))
            return false;
    return true;
}

bool intake_goes_on(const char *folder)
{
    dk_auto(store) struct dk_store *store = NULL;
    bool whole = open_store(folder, &store) == DK_OK;

    if (whole) {
        enrol(store);
        take_one(store, 0, INTAKE_RECORDS - 1);
    }
    for (int i = 0; i < INTAKE_RECORDS && whole; i++)
        whole = promises->records[i].given || wrong("is not taken", i + 1);
    dk_store_free(store);
    store = NULL;
    return whole && intake_holds(folder, SIZE_MAX);
}
