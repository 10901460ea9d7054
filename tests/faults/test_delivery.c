// SPDX-License-Identifier: Apache-2.0
//
// Each allocation of a delivery and of an enrolment fails in turn, once and for ever: ours, libcurl's, jansson's and
// OpenSSL's. The collector is the real one. Then nothing is lost, doubled or set aside, and the next try succeeds.
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/deliver/deliver.h"
#include "agent/record/record.h"
#include "agent/record/seal.h"
#include "tests/faults/far_end.h"
#include "tests/faults/inject.h"
#include "tests/faults/memory.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"

enum { RECORDS = 3 };

static struct dk_key *device, *collector;
static struct dk_keys keys;
static struct dk_buf chain[RECORDS];
static char url[FAR_END_URL_SIZE], token[FAR_END_TOKEN_SIZE];
static struct dk_deliver_options options;

// The only poll() of ours waits before another try: that one is not made. libcurl has its own.
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)fds;
    (void)count;
    (void)timeout_ms;
    errno = EIO;
    return -1;
}

static enum dk_err enrol(struct dk_buf *jwk, struct dk_fault *fault)
{
    bool approved = false;

    return dk_enrol(&options, device, dk_key_id(device), token, "XA-001", "x", jwk, &approved, fault);
}

static void make_chain(void)
{
    char prev[DK_SHA256_TEXT_SIZE] = "";

    for (int i = 0; i < RECORDS; i++) {
        dk_auto_buf struct dk_buf payload = dk_buf_make(4096);

        CU_ASSERT_EQUAL_FATAL(
            dk_buf_printf(&payload,
                          "{\"schema\":\"dokiem.record/1\",\"id\":\"01935b1e-7a00-7000-8000-%012d\",\"seq\":%d,"
                          "\"prev\":%s%s%s,\"kind\":\"skipped\",\"reason\":\"a test\",\"device\":{\"id\":\"%s\"},"
                          "\"time\":{\"start\":\"2026-11-20T04:05:06.789Z\"}}",
                          i, i + 1, i > 0 ? "\"" : "", i > 0 ? prev : "null", i > 0 ? "\"" : "", dk_key_id(device)),
            DK_OK);
        chain[i] = dk_buf_make(DK_JWS_MAX_BYTES);
        CU_ASSERT_EQUAL_FATAL(dk_seal(device, DK_TYP_RECORD, payload.data, payload.len, &chain[i], NULL), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_sha256_text(chain[i].data, chain[i].len, prev), DK_OK);
    }
}

static void begin(void)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(4096), ring = dk_buf_make(4096);

    far_end_start(dk_harness_directory(), url);
    far_end_token(token);
    options = (struct dk_deliver_options){
        .url = url, .ca_file = "", .user_agent = "dokiem/test", .timeout_ns = INT64_C(20000000000), .batch = 2,
        .interrupt_fd = -1};
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&device, NULL), DK_OK);
    make_chain();
    CU_ASSERT_EQUAL_FATAL(enrol(&jwk, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_read_public("collector", jwk.data, jwk.len, &collector, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_public_jwk(device, &ring), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_keys_read_public("device", ring.data, ring.len, &keys, NULL), DK_OK);
    options.collector_key = collector;
    options.device_keys = &keys;
}

static void end(void)
{
    for (int i = 0; i < RECORDS; i++)
        dk_buf_free(&chain[i]);
    dk_key_free(device);
    dk_key_free(collector);
    dk_keys_free(&keys);
    far_end_stop();
}

static void fill(const char *state)
{
    dk_auto(journal) struct dk_journal *journal = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_journal_open(state, true, &journal, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_journal_lock(journal, NULL), DK_OK);
    for (int i = 0; i < RECORDS; i++)
        CU_ASSERT_EQUAL_FATAL(dk_journal_append(journal, i + 1, chain[i].data, chain[i].len, NULL), DK_OK);
}

static enum dk_err deliver(const char *state, struct dk_deliver_result *result, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_journal_open(state, false, &journal, fault);

    if (err == DK_OK)
        err = dk_journal_lock_delivery(journal, fault);
    return err == DK_OK ? dk_deliver(journal, &options, result, fault) : err;
}

// True when every record is there, and as many as `delivered` have a receipt, none of which is a refusal.
static bool holds(const char *state, int64_t delivered)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    int64_t receipts = 0;
    bool good = dk_journal_open(state, false, &journal, NULL) == DK_OK &&
                dk_journal_list(journal, &entries, &count, NULL) == DK_OK && count == RECORDS;

    for (size_t i = 0; i < count && good; i++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);

        good = dk_journal_read(journal, entries[i].seq, &jws, NULL) == DK_OK && jws.len == chain[i].len &&
               memcmp(jws.data, chain[i].data, jws.len) == 0 && entries[i].delivery != DK_DELIVERY_REFUSED;
        receipts += entries[i].delivery == DK_DELIVERY_DELIVERED;
    }
    free(entries);
    return good && receipts >= delivered;
}

// One delivery with one fault, and one without. Returns the number of allocations.
static int64_t deliver_with(const struct inject *plan, int64_t *not_now)
{
    const char *state = story_begin();
    struct dk_deliver_result result = {0}, again = {0};
    struct dk_fault fault = {0};

    fill(state);

    int descriptors = story_descriptors();

    inject_start("deliver", plan);

    enum dk_err err = deliver(state, &result, &fault);
    int64_t calls = inject_stop();
    bool good = err == DK_OK || err == DK_ERR_MEMORY || err == DK_ERR_INTERNAL || err == DK_ERR_INTERRUPTED;

    *not_now += err == DK_ERR_INTERRUPTED;
    good = good && (plan->at > 0 || err == DK_OK) && result.refused == 0 && result.damaged == 0 &&
           story_descriptors() == descriptors && holds(state, result.delivered) &&
           deliver(state, &again, NULL) == DK_OK && holds(state, RECORDS);
    CU_ASSERT(good);
    if (!good)
        printf("    delivery, allocation %" PRId64 " %s: %s: %s: %s\n", plan->at, plan->times == 1 ? "alone" : "and on",
               dk_err_text(err), fault.where, fault.what);
    story_end();
    return calls;
}

static int64_t enrol_with(const struct inject *plan, int64_t *not_now)
{
    dk_auto_buf struct dk_buf jwk = dk_buf_make(4096), again = dk_buf_make(4096);
    struct dk_fault fault = {0};
    int descriptors = story_descriptors();

    inject_start("enrol", plan);

    enum dk_err err = enrol(&jwk, &fault);
    int64_t calls = inject_stop();
    bool good = err == DK_OK || err == DK_ERR_MEMORY || err == DK_ERR_INTERNAL || err == DK_ERR_INTERRUPTED;

    *not_now += err == DK_ERR_INTERRUPTED;
    good = good && (plan->at > 0 || err == DK_OK) && story_descriptors() == descriptors &&
           enrol(&again, NULL) == DK_OK && (err != DK_OK || strcmp(dk_buf_text(&jwk), dk_buf_text(&again)) == 0);
    CU_ASSERT(good);
    if (!good)
        printf("    enrolment, allocation %" PRId64 " %s: %s: %s: %s\n", plan->at,
               plan->times == 1 ? "alone" : "and on", dk_err_text(err), fault.where, fault.what);
    return calls;
}

static void test_allocations(void)
{
    static int64_t (*const tries[])(const struct inject *, int64_t *) = {deliver_with, enrol_with};
    static const char *const titles[] = {"deliver", "enrol"};

    begin();
    for (size_t i = 0; i < 2; i++) {
        int64_t not_now = 0, points = 0, counted = 0;

        tries[i](&(struct inject){.allocations = true}, &not_now); // what is allocated but once
        counted = tries[i](&(struct inject){.allocations = true}, &not_now);
        for (int ever = 0; ever <= 1; ever++)
            for (int64_t at = 1; at <= counted; at++, points++)
                tries[i](&(struct inject){.at = at, .times = ever ? INJECT_FOR_EVER : 1, .allocations = true},
                         &not_now);
        CU_ASSERT(counted > 100);
        printf("    %s: %" PRId64 " allocations, %" PRId64 " faults tried, %" PRId64 " taken for a bad line\n",
               titles[i], counted, points, not_now);
    }
    end();
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_allocations), {0}};

    memory_start();
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, free, realloc, memory_strdup, calloc) != CURLE_OK)
        return 99;

    int status = dk_harness_main(argc, argv, "delivery", cases);

    curl_global_cleanup();
    return status;
}
