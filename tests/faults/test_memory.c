// SPDX-License-Identifier: Apache-2.0
//
// Each allocation on the way from a measurement to a kept record fails in turn, once and for ever: ours, jansson's and
// OpenSSL's.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bounds.h"
#include "agent/journal/journal.h"
#include "agent/record/seal.h"
#include "tests/faults/inject.h"
#include "tests/faults/memory.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"
#include "tests/sample/sample.h"

static struct dk_key *key;

// Builds, seals, keeps and reads one record back. *kept says whether it was confirmed.
static enum dk_err keep_one(const char *state, struct dk_record_facts *facts, bool *kept, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES);
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), read = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto_buf struct dk_buf opened = dk_buf_make(DK_RECORD_MAX_BYTES);
    struct dk_record_head head;
    int64_t seq = 0;
    enum dk_err err = dk_journal_open(state, true, &journal, fault);

    *kept = false;
    if (err == DK_OK)
        err = dk_journal_head(journal, &seq, facts->prev, fault);
    facts->seq = seq + 1;
    if (err == DK_OK)
        err = dk_record_build(facts, &payload, fault);
    if (err == DK_OK)
        err = dk_seal(key, DK_TYP_RECORD, payload.data, payload.len, &jws, fault);
    if (err == DK_OK)
        err = dk_journal_append(journal, seq + 1, jws.data, jws.len, fault);
    *kept = err == DK_OK;
    if (err == DK_OK)
        err = dk_journal_prune(journal, INT64_MAX, INT64_MAX, dk_bounds_worth, fault);
    if (err == DK_OK)
        err = dk_journal_read(journal, seq + 1, &read, fault);
    if (err == DK_OK)
        err = dk_open(key, DK_TYP_RECORD, read.data, read.len, &opened, fault);
    if (err == DK_OK)
        err = dk_record_read_head(opened.data, opened.len, &head, fault);
    return err;
}

// True when the journal holds `count` records, each following the one before and with a good signature.
static bool holds(const char *state, int64_t count)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    char prev[DK_SHA256_TEXT_SIZE] = "", last[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    bool good = dk_journal_open(state, false, &journal, NULL) == DK_OK &&
                dk_journal_head(journal, &seq, last, NULL) == DK_OK && seq == count;

    for (int64_t i = 1; i <= count && good; i++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_RECORD_MAX_BYTES);
        struct dk_record_head head;

        good = dk_journal_read(journal, i, &jws, NULL) == DK_OK &&
               dk_open(key, DK_TYP_RECORD, jws.data, jws.len, &payload, NULL) == DK_OK &&
               dk_record_read_head(payload.data, payload.len, &head, NULL) == DK_OK && head.seq == i &&
               strcmp(head.prev, prev) == 0 && dk_sha256_text(jws.data, jws.len, prev) == DK_OK;
    }
    return good;
}

static void test_allocations(void)
{
    struct dk_sample sample;
    int64_t points = 0, counted = 0;

    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 54321000);
    // A short series: it is one allocation a figure, all alike.
    sample.measurement.download.series.count = sample.measurement.upload.series.count = 3;
    for (int ever = 0; ever <= 1; ever++)
        for (int64_t at = 0; at == 0 || at <= counted; at++, points++) {
            const struct inject plan = {.at = at, .times = ever ? INJECT_FOR_EVER : 1, .allocations = true};
            const char *state = story_begin();
            struct dk_fault fault = {0};
            bool kept = false, again = false;

            // The first record also lets the libraries allocate what they keep.
            CU_ASSERT_EQUAL(keep_one(state, &sample.facts, &kept, &fault), DK_OK);

            int descriptors = story_descriptors();

            inject_start("keep", &plan);

            enum dk_err err = keep_one(state, &sample.facts, &kept, &fault);
            int64_t calls = inject_stop();

            counted = at == 0 ? calls : counted;

            bool good = err == DK_OK || err == DK_ERR_MEMORY || err == DK_ERR_INTERNAL;

            good = good && (at > 0 || err == DK_OK) && story_descriptors() == descriptors &&
                   holds(state, kept ? 2 : 1) && keep_one(state, &sample.facts, &again, NULL) == DK_OK &&
                   holds(state, kept ? 3 : 2) && story_sweeps(state);
            CU_ASSERT(good);
            if (!good)
                printf("    allocation %" PRId64 " %s: %s: %s: %s\n", at, ever ? "and all after it" : "alone",
                       dk_err_text(err), fault.where, fault.what);
            story_end();
        }
    CU_ASSERT(counted > 100);
    printf("    %" PRId64 " allocations, %" PRId64 " faults\n", counted, points - 2);
    dk_measurement_free(&sample.measurement);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_allocations), {0}};

    memory_start();
    if (dk_key_generate(&key, NULL) != DK_OK)
        return 99;

    int status = dk_harness_main(argc, argv, "memory", cases);

    dk_key_free(key);
    return status;
}
