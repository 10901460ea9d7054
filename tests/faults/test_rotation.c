// SPDX-License-Identifier: Apache-2.0
//
// A change of key is broken off at each call, in turn, by a power cut at each change of the disk, and by allocations
// that fail. Then the chain is whole, and exactly one of the two keys may go on with it.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/device.h"
#include "agent/record/record.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "agent/state.h"
#include "tests/faults/disk.h"
#include "tests/faults/inject.h"
#include "tests/faults/memory.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"

static char first_id[DK_SHA256_TEXT_SIZE];
static const struct dk_context context;

// One in ten; all with DOKIEM_LONG=1.
static bool is_drawn(void)
{
    const char *text = getenv("DOKIEM_LONG");

    return (text != NULL && strcmp(text, "1") == 0) || dk_random_between(1, 100) == 1;
}

// Changes the key as `dokiem keygen --rotate` does.
static enum dk_err change(const char *state)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_device_id device;
    char new_id[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = dk_journal_open(state, true, &journal, NULL);

    if (err == DK_OK)
        err = dk_journal_lock(journal, NULL);
    if (err == DK_OK)
        err = dk_device_key(state, "", &key, NULL);
    if (err == DK_OK)
        err = dk_device_settle(state, journal, &key, &device, NULL);
    return err == DK_OK ? dk_device_rotate(state, "", journal, key, &device, &context, new_id, &seq, NULL) : err;
}

static void prepare(const char *state)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_journal_open(state, true, &journal, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_write_private(key, state, DK_KEY_FILE, NULL), DK_OK);
    snprintf(first_id, sizeof first_id, "%s", dk_key_id(key));
    dk_journal_free(journal);
    journal = NULL;
    CU_ASSERT_EQUAL_FATAL(change(state), DK_OK);
}

// Follows the chain of rotations from record 1: each is signed by the key that the one before it names. *id is the key
// that may sign the next record.
static bool follow(struct dk_journal *journal, char id[static DK_SHA256_TEXT_SIZE], int64_t *last)
{
    dk_auto(key) struct dk_key *key = NULL;
    char prev[DK_SHA256_TEXT_SIZE] = "", head[DK_SHA256_TEXT_SIZE];
    bool good = dk_journal_head(journal, last, head, NULL) == DK_OK;

    snprintf(id, DK_SHA256_TEXT_SIZE, "%s", first_id);
    for (int64_t seq = 1; seq <= *last && good; seq++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_JWS_MAX_BYTES);
        dk_auto_buf struct dk_buf opened = dk_buf_make(DK_JWS_MAX_BYTES);
        char kid[DK_SHA256_TEXT_SIZE];
        struct dk_key *next = NULL;

        good = dk_journal_read(journal, seq, &jws, NULL) == DK_OK &&
               dk_jws_key_id(jws.data, jws.len, DK_TYP_RECORD, kid, NULL) == DK_OK && strcmp(kid, id) == 0 &&
               dk_jws_payload(jws.data, jws.len, &payload, NULL) == DK_OK &&
               (key == NULL || dk_open(key, DK_TYP_RECORD, jws.data, jws.len, &opened, NULL) == DK_OK) &&
               dk_rotation_read(dk_buf_text(&payload), payload.len,
                                &(struct dk_rotation_place){first_id, id, seq, prev}, &next, NULL) == DK_OK &&
               dk_sha256_text(jws.data, jws.len, prev) == DK_OK;
        dk_key_free(key);
        key = next;
        if (good)
            snprintf(id, DK_SHA256_TEXT_SIZE, "%s", dk_key_id(key));
    }
    return good;
}

// True when the device, opened next, has the one key that the chain names, and can go on.
static bool goes_on(const char *state, int64_t at_least)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_device_id device;
    char id[DK_SHA256_TEXT_SIZE];
    int64_t last = 0;
    bool good = dk_journal_open(state, false, &journal, NULL) == DK_OK && dk_journal_lock(journal, NULL) == DK_OK &&
                dk_device_key(state, "", &key, NULL) == DK_OK &&
                dk_device_settle(state, journal, &key, &device, NULL) == DK_OK && follow(journal, id, &last) &&
                last >= at_least && strcmp(dk_key_id(key), id) == 0 && strcmp(device.id, first_id) == 0;

    dk_journal_free(journal);
    journal = NULL;
    if (!good || change(state) != DK_OK || dk_journal_open(state, false, &journal, NULL) != DK_OK)
        return false;

    int64_t before = last;

    return follow(journal, id, &last) && last == before + 1;
}

// Says which calls there are, without a fault.
static void list(void)
{
    const char *state = story_begin();

    prepare(state);
    inject_start("rotate", &(struct inject){.list = true});
    CU_ASSERT_EQUAL(change(state), DK_OK);
    inject_stop();
    inject_say_functions();
    story_end();
}

static void test_errors(void)
{
    int64_t points = 0;

    list();

    for (const struct inject_fault *fault = inject_faults; fault < inject_faults + INJECT_FAULTS; fault++)
        for (int64_t at = 1, calls = 1; at - 1 <= calls; at++, points++) {
            const struct inject plan = {.at = at, .times = fault->times, .error_number = fault->error_number};
            const char *state = story_begin();

            prepare(state);

            int descriptors = story_descriptors();

            inject_start("rotate", &plan);

            enum dk_err err = change(state);

            calls = inject_stop();

            bool good = story_descriptors() == descriptors && goes_on(state, err == DK_OK ? 2 : 1);

            CU_ASSERT(good);
            if (!good)
                printf("    call %" PRId64 " (%s), %s: %s\n", at, inject_hit(), fault->name, dk_err_text(err));
            story_end();
        }
    CU_ASSERT(points > 100);
    printf("    %" PRId64 " faults\n", points);
}

static void test_memory(void)
{
    int64_t points = 0, counted = 0;

    for (int ever = 0; ever <= 1; ever++)
        for (int64_t at = 0; at == 0 || at <= counted; at++) {
            const struct inject plan = {.at = at, .times = ever ? INJECT_FOR_EVER : 1, .allocations = true};
            const char *state;

            if (at > 0 && !is_drawn())
                continue;
            state = story_begin();
            prepare(state);

            int descriptors = story_descriptors();

            inject_start("rotate", &plan);

            enum dk_err err = change(state);
            int64_t calls = inject_stop();

            counted = at == 0 ? calls : counted;
            points += at > 0;

            // DATA: OpenSSL may tell a shortage of memory as a bad key.
            bool good = err == DK_OK || err == DK_ERR_MEMORY || err == DK_ERR_INTERNAL || err == DK_ERR_DATA;

            good = good && (at > 0 || err == DK_OK) && story_descriptors() == descriptors &&
                   goes_on(state, err == DK_OK ? 2 : 1);
            CU_ASSERT(good);
            if (!good)
                printf("    allocation %" PRId64 " %s: %s\n", at, ever ? "and all after it" : "alone",
                       dk_err_text(err));
            story_end();
        }
    CU_ASSERT(counted > 100);
    printf("    %" PRId64 " allocations, %" PRId64 " faults tried\n", counted, points);
}

static void test_power(void)
{
    const struct inject plan = {0};
    const char *root = story_begin();
    char state[4200];
    int64_t cuts = 0;

    snprintf(state, sizeof state, "%s/a/state", root);
    disk_start(root, 0);
    inject_start("power", &plan);
    prepare(state);

    size_t first = disk_changes();

    CU_ASSERT_EQUAL(change(state), DK_OK);
    inject_stop();
    disk_stop();
    for (size_t changes = first; changes <= disk_changes(); changes++)
        for (unsigned choice = 0;; choice++, cuts++) {
            const char *to = story_other();

            if (!disk_cut(changes, choice, to))
                break;
            snprintf(state, sizeof state, "%s/a/state", to);

            bool good = goes_on(state, changes == disk_changes() ? 2 : 1);

            CU_ASSERT(good);
            if (!good)
                printf("    power cut after change %zu of %zu, choice %u\n", changes, disk_changes(), choice);
        }
    CU_ASSERT(cuts > 10);
    printf("    %" PRId64 " cuts\n", cuts);
    story_end();
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_errors), DK_CASE(test_power), DK_CASE(test_memory), {0}};

    memory_start();
    return dk_harness_main(argc, argv, "rotation", cases);
}
