// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/sha256.h"
#include "agent/record/seal.h"
#include "collector/devices.h"
#include "collector/limit.h"
#include "collector/records.h"
#include "collector/store.h"
#include "tests/harness/harness.h"

static const struct dk_wall now = {INT64_C(1795147506789) * DK_NS_PER_MS};

static void place_of_a_record(void)
{
    static const struct {
        const char *same, *before, *after_prev; // NULL: there is no such record
        enum dk_place place;
        int64_t kept_seq;
    } rows[] = {
        {NULL, NULL, NULL, DK_PLACE_NEW, 0},         {"hash", NULL, NULL, DK_PLACE_THERE, 5},
        {"hash", "x", "x", DK_PLACE_THERE, 5},       {"other", NULL, NULL, DK_PLACE_FORK, 5},
        {"other", "prev", "hash", DK_PLACE_FORK, 5}, {NULL, "prev", NULL, DK_PLACE_NEW, 0},
        {NULL, "other", NULL, DK_PLACE_FORK, 4},     {NULL, NULL, "hash", DK_PLACE_NEW, 0},
        {NULL, NULL, "other", DK_PLACE_FORK, 6},     {NULL, "prev", "hash", DK_PLACE_NEW, 0},
        {NULL, "prev", "other", DK_PLACE_FORK, 6},   {NULL, "other", "hash", DK_PLACE_FORK, 4},
        {NULL, NULL, "", DK_PLACE_FORK, 6},
    };
    const struct dk_record_head head = {.seq = 5, .prev = "prev"};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_neighbours around = {.has_after = rows[i].after_prev != NULL};
        int64_t kept_seq = 0;

        snprintf(around.same, sizeof around.same, "%s", rows[i].same != NULL ? rows[i].same : "");
        snprintf(around.before, sizeof around.before, "%s", rows[i].before != NULL ? rows[i].before : "");
        snprintf(around.after_prev, sizeof around.after_prev, "%s",
                 rows[i].after_prev != NULL ? rows[i].after_prev : "");
        CU_ASSERT_EQUAL(dk_record_place(&head, "hash", &around, &kept_seq), rows[i].place);
        if (rows[i].place != DK_PLACE_NEW)
            CU_ASSERT_EQUAL(kept_seq, rows[i].kept_seq);
    }
}

struct world {
    struct dk_store *store;
    struct dk_key *collector, *device;
};

static struct world make_world(void)
{
    struct world world = {0};
    char token[DK_TOKEN_SIZE];
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE - 1);
    struct dk_device device = {.state = DK_DEVICE_APPROVED, .enrolled = now};

    CU_ASSERT_EQUAL_FATAL(dk_store_open("sqlite::memory:", &world.store, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&world.collector, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&world.device, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_key_public_jwk(world.device, &jwk), DK_OK);
    snprintf(device.id, sizeof device.id, "%s", dk_key_id(world.device));
    snprintf(device.jwk, sizeof device.jwk, "%s", dk_buf_text(&jwk));
    CU_ASSERT_EQUAL_FATAL(dk_store_put_device(world.store, &device, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_token_make(world.store, now, DK_NS_PER_S, true, token, NULL), DK_OK);
    return world;
}

static void free_world(struct world *world)
{
    dk_store_free(world->store);
    dk_key_free(world->collector);
    dk_key_free(world->device);
}

// A sealed record at `seq` whose bytes depend on `salt`.
static void make_record(const struct world *world, int64_t seq, const char *prev, int salt,
                        struct dk_buf *out)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(4096);

    CU_ASSERT_EQUAL_FATAL(
        dk_buf_printf(&payload,
                      "{\"schema\":\"dokiem.record/1\",\"id\":\"01935b1e-7a00-7000-8000-%012d\","
                      "\"seq\":%" PRId64 ",\"prev\":%s%s%s,\"kind\":\"skipped\",\"reason\":\"test\","
                      "\"device\":{\"id\":\"%s\"},\"time\":{\"start\":\"2026-11-20T04:05:06.789Z\"}}",
                      salt, seq, prev[0] != '\0' ? "\"" : "", prev[0] != '\0' ? prev : "null",
                      prev[0] != '\0' ? "\"" : "", dk_key_id(world->device)),
        DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_seal(world->device, DK_TYP_RECORD, payload.data, payload.len, out, NULL), DK_OK);
}

static unsigned take(const struct world *world, const struct dk_buf *body, struct dk_buf *answer)
{
    struct dk_intake_counts counts = {0};

    dk_buf_free(answer);
    return dk_records_take(world->store, world->collector, now, dk_buf_text(body), body->len, &counts, answer,
                           NULL);
}

// Any order of sending, with repetitions, ends with the same chain: each record stored once, its receipt
// unchanged.
static void any_order_stores_each_record_once(void)
{
    enum { COUNT = 8 };
    struct world world = make_world();
    struct dk_buf chain[COUNT];
    char receipts[COUNT][1200] = {0}, prev[DK_SHA256_TEXT_SIZE] = "";
    int stored = 0;

    for (int i = 0; i < COUNT; i++) {
        chain[i] = dk_buf_make(DK_JWS_MAX_BYTES);
        make_record(&world, i + 1, prev, i, &chain[i]);
        CU_ASSERT_EQUAL(dk_sha256_text(chain[i].data, chain[i].len, prev), DK_OK);
    }
    for (int round = 0; round < 60; round++) {
        int i = (int)dk_random_between(0, COUNT - 1);
        dk_auto_buf struct dk_buf answer = dk_buf_make(DK_ANSWER_MAX_BYTES);
        bool first = receipts[i][0] == '\0';

        CU_ASSERT_EQUAL(take(&world, &chain[i], &answer), first ? 201 : 200);
        stored += first;

        json_t *json = json_loads(dk_buf_text(&answer), 0, NULL);
        const char *receipt = json_string_value(json_object_get(json, "receipt"));

        CU_ASSERT_PTR_NOT_NULL_FATAL(receipt);
        CU_ASSERT_TRUE(strlen(receipt) < sizeof receipts[i]);
        if (first)
            snprintf(receipts[i], sizeof receipts[i], "%s", receipt);
        CU_ASSERT_STRING_EQUAL(receipts[i], receipt);
        json_decref(json);
    }

    int kept = 0;

    for (int64_t seq = 1, found = 0;; seq = found + 1) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);

        if (dk_store_next_record(world.store, dk_key_id(world.device), seq, &found, &jws, NULL) != DK_OK)
            break;
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&jws), dk_buf_text(&chain[found - 1]));
        kept++;
    }
    CU_ASSERT_EQUAL(kept, stored);
    for (int i = 0; i < COUNT; i++)
        dk_buf_free(&chain[i]);
    free_world(&world);
}

// Whatever is sent, no two records that contradict each other are ever both kept.
static void kept_records_never_contradict_each_other(void)
{
    for (int round = 0; round < 10; round++) {
        struct world world = make_world();
        struct dk_buf made[16];
        char hashes[16][DK_SHA256_TEXT_SIZE];
        int count = 0;

        for (; count < 16; count++) {
            int64_t seq = dk_random_between(1, 5);
            const char *prev = "4KWhEqZ1Hn-ZrOI9AznlgjzIQm8fvrZCE5zlWxCfNU0"; // of nothing

            // Half of the time, the hash of one made before, whatever its number.
            if (count > 0 && dk_random() % 2 == 0)
                prev = hashes[dk_random_between(0, count - 1)];
            made[count] = dk_buf_make(DK_JWS_MAX_BYTES);
            make_record(&world, seq, seq == 1 ? "" : prev, count, &made[count]);
            CU_ASSERT_EQUAL(dk_sha256_text(made[count].data, made[count].len, hashes[count]), DK_OK);
        }
        for (int i = 0; i < 40; i++) {
            dk_auto_buf struct dk_buf answer = dk_buf_make(DK_ANSWER_MAX_BYTES);
            unsigned status = take(&world, &made[dk_random_between(0, count - 1)], &answer);

            CU_ASSERT_TRUE(status == 200 || status == 201 || status == 409);
        }

        char last[DK_SHA256_TEXT_SIZE] = "";
        int64_t last_seq = 0;

        for (int64_t found = 0;;) {
            dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES),
                                      payload = dk_buf_make(DK_JWS_MAX_BYTES);
            struct dk_record_head head;

            if (dk_store_next_record(world.store, dk_key_id(world.device), found + 1, &found, &jws, NULL) !=
                DK_OK)
                break;
            CU_ASSERT_EQUAL(dk_open(world.device, DK_TYP_RECORD, jws.data, jws.len, &payload, NULL), DK_OK);
            CU_ASSERT_EQUAL(dk_record_read_head(payload.data, payload.len, &head, NULL), DK_OK);
            if (last_seq == head.seq - 1 && last_seq > 0)
                CU_ASSERT_STRING_EQUAL(head.prev, last);
            CU_ASSERT_TRUE(head.seq > last_seq);
            last_seq = head.seq;
            CU_ASSERT_EQUAL(dk_sha256_text(jws.data, jws.len, last), DK_OK);
        }
        CU_ASSERT_TRUE(last_seq > 0);
        for (int i = 0; i < count; i++)
            dk_buf_free(&made[i]);
        free_world(&world);
    }
}

static void a_store_that_fails_answers_for_all(void)
{
    struct world world = make_world();
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), answer = dk_buf_make(DK_ANSWER_MAX_BYTES);
    struct dk_intake_counts counts = {0};
    struct dk_fault fault = {0};

    make_record(&world, 1, "", 1, &jws);
    // A transaction that is open already stands for any reason why none can be begun.
    CU_ASSERT_EQUAL(dk_store_begin(world.store, NULL), DK_OK);
    CU_ASSERT_EQUAL(
        dk_records_take(world.store, world.collector, now, jws.data, jws.len, &counts, &answer, &fault), 503);
    CU_ASSERT_PTR_NOT_NULL(strstr(dk_buf_text(&answer), "\"status\":503"));
    CU_ASSERT_NOT_EQUAL(fault.err, DK_OK);
    CU_ASSERT_EQUAL(counts.stored, 0);
    CU_ASSERT_EQUAL(counts.unavailable, 1);
    // That answer has also rolled back: the store works again.
    CU_ASSERT_EQUAL(take(&world, &jws, &answer), 201);
    free_world(&world);
}

static enum dk_err copy_summary(void *argument, const struct dk_device_summary *summary)
{
    *(struct dk_device_summary *)argument = *summary;
    return DK_OK;
}

static void forks_kept_are_bounded(void)
{
    struct world world = make_world();
    struct dk_device_summary summary = {0};
    char other[DK_SHA256_TEXT_SIZE];

    for (int i = 0; i < 1200; i++) {
        snprintf(other, sizeof other, "%d", i % 1100);
        CU_ASSERT_EQUAL(
            dk_store_add_fork(world.store,
                              &(struct dk_fork){dk_key_id(world.device), 7, other, 7, "kept", "jws", 3}, now, NULL),
            DK_OK);
    }
    CU_ASSERT_EQUAL(dk_store_devices(world.store, copy_summary, &summary, NULL), DK_OK);
    CU_ASSERT_EQUAL(summary.forks, 1000);
    CU_ASSERT_STRING_EQUAL(summary.device.id, dk_key_id(world.device));
    free_world(&world);
}

static void limit_lets_through_what_is_allowed(void)
{
    struct dk_limit *limit = NULL;
    struct in6_addr one = {.s6_addr = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}}, two = one;
    struct in6_addr six = {.s6_addr = {0x20, 1, 0xd, 0xb8, [15] = 1}}, neighbour = six;
    struct dk_mono at = {1000 * DK_NS_PER_S};
    int64_t passed = 0;

    two.s6_addr[15] = 2;
    neighbour.s6_addr[15] = 2;
    CU_ASSERT_EQUAL_FATAL(dk_limit_new(2, &limit), DK_OK);
    while (passed < 1000 && dk_limit_take(limit, &one, at) == 0)
        passed++;
    CU_ASSERT_EQUAL(passed, 2 * DK_LIMIT_BURST_S);
    CU_ASSERT_EQUAL(dk_limit_take(limit, &one, at), 1);
    CU_ASSERT_EQUAL(dk_limit_take(limit, &two, at), 0);
    for (int i = 0; i < 2 * DK_LIMIT_BURST_S; i++)
        CU_ASSERT_EQUAL(dk_limit_take(limit, &six, at), 0);
    CU_ASSERT_EQUAL(dk_limit_take(limit, &neighbour, at), 1); // the same customer
    // Over a long time the rate holds, however the requests fall.
    passed = 0;
    for (int i = 0; i < 4000; i++) {
        at.ns += dk_random_between(0, DK_NS_PER_S / 5);
        passed += dk_limit_take(limit, &one, at) == 0;
    }

    int64_t seconds = at.ns / DK_NS_PER_S - 1000;

    CU_ASSERT_TRUE(passed <= 2 * seconds + 2 * DK_LIMIT_BURST_S + 2);
    CU_ASSERT_TRUE(passed >= 2 * seconds - 2);
    // Many strangers do not make the table grow, or wrong.
    for (int i = 0; i < 20000; i++) {
        struct in6_addr stranger = {.s6_addr = {0x20, 1, (uint8_t)(i >> 8), (uint8_t)i}};

        CU_ASSERT_EQUAL(dk_limit_take(limit, &stranger, at), 0);
    }
    dk_limit_free(limit);
    CU_ASSERT_EQUAL_FATAL(dk_limit_new(0, &limit), DK_OK);
    for (int i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(dk_limit_take(limit, &one, at), 0);
    dk_limit_free(limit);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(place_of_a_record),
        DK_CASE(any_order_stores_each_record_once),
        DK_CASE(kept_records_never_contradict_each_other),
        DK_CASE(a_store_that_fails_answers_for_all),
        DK_CASE(forks_kept_are_bounded),
        DK_CASE(limit_lets_through_what_is_allowed),
        {0},
    };

    return dk_harness_main(argc, argv, "intake", cases);
}
