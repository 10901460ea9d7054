// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "agent/record/word.h"
#include "probes/reference/runs.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char device[] = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
static const char record[] = "01977420-5a00-7cde-8f01-23456789abcd";

static struct dk_word some_word(void)
{
    struct dk_word word = {.client = "203.0.113.0/24", .issued = {1760000003000000000}};

    CU_ASSERT_EQUAL_FATAL(dk_run_id(device, record, word.run), DK_OK);
    word.download = (struct dk_word_direction){true, {1760000000000000000}, 10 * DK_NS_PER_S, 30 * DK_NS_PER_MS, 2,
                                               {1000000, 2000000}, 5000, 70, 1 << 20, 20 * DK_NS_PER_MS};
    word.line_bps = 1000000000;
    return word;
}

static void a_run_is_one_record_of_one_device(void)
{
    char a[DK_RUN_ID_SIZE], b[DK_RUN_ID_SIZE];

    // printf DEVICE.RECORD | openssl dgst -sha256 -binary | head -c 16 | basenc --base64url
    CU_ASSERT_EQUAL(dk_run_id(device, record, a), DK_OK);
    CU_ASSERT_STRING_EQUAL(a, "XYoyjDeddkgFEI2zvqYY-Q");
    CU_ASSERT_TRUE(dk_run_id_is_one(a));
    CU_ASSERT_EQUAL(dk_run_id(device, "01977420-5a00-7cde-8f01-23456789abce", b), DK_OK);
    CU_ASSERT_STRING_NOT_EQUAL(a, b);
    CU_ASSERT_FALSE(dk_run_id_is_one(""));
    CU_ASSERT_FALSE(dk_run_id_is_one("AAAAAAAAAAAAAAAAAAAAAAA"));
    CU_ASSERT_FALSE(dk_run_id_is_one("AAAAAAAAAAAAAAAAAAAAAB"));
    CU_ASSERT_FALSE(dk_run_id_is_one("AAAAAAAAAAAAAAAAAAAA;A"));
}

static void what_is_built_is_read_back(void)
{
    struct dk_word word = some_word(), back;
    dk_auto_buf struct dk_buf json = dk_buf_make(DK_WORD_SIZE);

    word.upload = (struct dk_word_direction){true, {1760000011000000000}, 1, 0, DK_STREAMS_MAX, {0}, -1, -1, -1, -1};
    for (size_t s = 0; s < DK_STREAMS_MAX; s++)
        word.upload.bytes[s] = INT64_C(1) << 53;
    CU_ASSERT_EQUAL(dk_word_build(&word, &json), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_word_read(dk_buf_text(&json), json.len, word.run, &back, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(back.client, word.client);
    CU_ASSERT_EQUAL(back.issued.ns, word.issued.ns);
    CU_ASSERT_EQUAL(back.download.streams, 2);
    CU_ASSERT_EQUAL(back.download.bytes[1], 2000000);
    CU_ASSERT_EQUAL(back.download.start.ns, word.download.start.ns);
    CU_ASSERT_EQUAL(back.download.duration_ns, word.download.duration_ns);
    CU_ASSERT_EQUAL(back.download.rtt_ns, word.download.rtt_ns);
    CU_ASSERT_EQUAL(back.upload.bytes[DK_STREAMS_MAX - 1], INT64_C(1) << 53);
    CU_ASSERT_EQUAL(back.line_bps, word.line_bps);
    CU_ASSERT_EQUAL(back.download.others_bytes, 5000);
    CU_ASSERT_EQUAL(back.download.idle_ns, 70);
    CU_ASSERT_EQUAL(back.download.send_buffer_bytes, 1 << 20);
    CU_ASSERT_EQUAL(back.download.rtt_min_ns, 20 * DK_NS_PER_MS);
    CU_ASSERT_EQUAL(back.upload.others_bytes, -1);
    CU_ASSERT_EQUAL(back.upload.idle_ns, -1);
    CU_ASSERT_EQUAL(back.upload.send_buffer_bytes, -1);
    CU_ASSERT_EQUAL(back.upload.rtt_min_ns, -1);

    // The longest word there is has room.
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_WORD_SIZE - 1);

    word.upload.others_bytes = word.upload.send_buffer_bytes = INT64_C(1) << 53;
    word.upload.duration_ns = word.upload.rtt_ns = word.upload.idle_ns = word.upload.rtt_min_ns = 86400 * DK_NS_PER_S;
    word.download = word.upload;
    word.line_bps = INT64_C(1000000000000000);
    dk_buf_free(&json);
    CU_ASSERT_EQUAL(dk_word_build(&word, &json), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_WORD, json.data, json.len, &jws, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_word_read_unverified(dk_buf_text(&jws), jws.len, word.run, &back, NULL), DK_OK);
}

static void the_hint_is_of_its_direction(void)
{
    struct dk_word word = some_word();
    struct dk_server_hint hint;

    dk_word_hint(&word, false, &hint);
    CU_ASSERT_EQUAL(hint.duration_ns, 10 * DK_NS_PER_S);
    CU_ASSERT_EQUAL(hint.streams, 2);
    CU_ASSERT_EQUAL(hint.bytes[1], 2000000);
    CU_ASSERT_EQUAL(hint.others_bytes, 5000);
    CU_ASSERT_EQUAL(hint.line_bps, 1000000000);
    CU_ASSERT_EQUAL(hint.idle_ns, 70);
    CU_ASSERT_EQUAL(hint.send_buffer_bytes, 1 << 20);
    CU_ASSERT_EQUAL(hint.rtt_min_ns, 20 * DK_NS_PER_MS);
    dk_word_hint(&word, true, &hint);
    CU_ASSERT_EQUAL(hint.duration_ns, 0);
}

// Servers of before say nothing of themselves.
static void a_word_without_a_hint_is_one(void)
{
    static const char json[] = "{\"schema\":\"dokiem.word/1\",\"run\":\"XYoyjDeddkgFEI2zvqYY-Q\","
                               "\"client\":\"203.0.113.0/24\",\"download\":{\"start\":\"2026-11-20T15:53:20.582Z\","
                               "\"duration_ns\":2002155877,\"rtt_ns\":1010000,\"bytes\":[1294979804]},"
                               "\"issued\":\"2026-11-20T15:53:24.635Z\"}";
    struct dk_word word;
    struct dk_server_hint hint;

    CU_ASSERT_EQUAL_FATAL(dk_word_read(json, sizeof json - 1, "XYoyjDeddkgFEI2zvqYY-Q", &word, NULL), DK_OK);
    dk_word_hint(&word, false, &hint);
    CU_ASSERT_EQUAL(hint.duration_ns, 2002155877);
    CU_ASSERT_EQUAL(hint.others_bytes, -1);
    CU_ASSERT_EQUAL(hint.idle_ns, -1);
    CU_ASSERT_EQUAL(hint.send_buffer_bytes, -1);
    CU_ASSERT_EQUAL(hint.rtt_min_ns, -1);
    CU_ASSERT_EQUAL(hint.line_bps, 0);
}

// Each is the word of some_word() with one text replaced.
static void what_is_no_word_is_refused(void)
{
    static const struct {
        const char *old, *new;
    } cases[] = {
        {"dokiem.word/1", "dokiem.word/2"},
        {"\"client\":\"203.0.113.0/24\"", "\"client\":\"\""},
        {"\"client\":\"203.0.113.0/24\"", "\"client\":7"},
        {"203.0.113.0/24", "203.0.113.0/24 or somewhere else altogether, it does not say where exactly"},
        {"203.0.113.0/24", "\\u001b[31m"},
        {"\"issued\"", "\"x\":1,\"issued\""},
        {"\"issued\"", "\"client\":\"203.0.113.0/24\",\"issued\""},
        {"Z\",\"duration_ns\"", "\",\"duration_ns\""},
        {"10000000000", "-1"},
        {"10000000000", "1e10"},
        {"10000000000", "86400000000001"},
        {"[1000000,2000000]", "[]"},
        {"[1000000,2000000]", "[1000000,-2000000]"},
        {"[1000000,2000000]", "[1000000,9007199254740993]"},
        {"[1000000,2000000]", "[1000000,\"2000000\"]"},
        {"[1000000,2000000]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]"},
        {"[1000000,2000000]", "{\"0\":1000000}"},
        {"\"rtt_ns\"", "\"rtt_ns\":1,\"rtt\""},
        {"\"download\"", "\"downloads\""},
        {"\"idle_ns\":70", "\"idle_ns\":-1"},
        {"\"idle_ns\":70", "\"idle_ns\":86400000000001"},
        {"\"idle_ns\":70", "\"idle_ns\":null"},
        {"\"idle_ns\":70", "\"idle_ns\":\"70\""},
        {"\"idle_ns\":70", "\"idle_ns\":70,\"idle_ns\":70"},
        {"\"idle_ns\":70", "\"busy_ns\":70"},
        {"\"others_bytes\":5000", "\"others_bytes\":9007199254740993"},
        {"\"others_bytes\":5000", "\"others_bytes\":5e3"},
        {"\"send_buffer_bytes\":1048576", "\"send_buffer_bytes\":-1048576"},
        {"\"rtt_min_ns\":20000000", "\"rtt_min_ns\":true"},
        {"\"line_bps\":1000000000", "\"line_bps\":0"},
        {"\"line_bps\":1000000000", "\"line_bps\":1000000000000001"},
        {"\"line_bps\":1000000000", "\"line_bps\":\"1 Gb/s\""},
        {"}", ""},
    };
    struct dk_word word = some_word(), back;
    dk_auto_buf struct dk_buf json = dk_buf_make(DK_WORD_SIZE);
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_word_build(&word, &json), DK_OK);
    CU_ASSERT_EQUAL(dk_word_read(dk_buf_text(&json), json.len, word.run, &back, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_word_read(dk_buf_text(&json), json.len, "AAAAAAAAAAAAAAAAAAAAAA", &back, &fault), DK_ERR_DATA);
    CU_ASSERT_STRING_EQUAL(fault.what, "the server's word is about another run");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *at = strstr(dk_buf_text(&json), cases[i].old);
        dk_auto_buf struct dk_buf changed = dk_buf_make(2 * DK_WORD_SIZE);

        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        CU_ASSERT_EQUAL(dk_buf_printf(&changed, "%.*s%s%s", (int)(at - json.data), json.data, cases[i].new,
                                      at + strlen(cases[i].old)),
                        DK_OK);
        fault = (struct dk_fault){0};
        if (dk_word_read(dk_buf_text(&changed), changed.len, word.run, &back, &fault) != DK_ERR_DATA)
            printf("    taken: %s\n", dk_buf_text(&changed));
        CU_ASSERT_EQUAL(fault.err, DK_ERR_DATA);
        CU_ASSERT_STRING_NOT_EQUAL(fault.what, "");
    }
}

static void a_run_is_its_clients(void)
{
    struct dk_runs *runs = NULL;
    struct dk_mono now = {5 * DK_NS_PER_S};
    struct dk_peer a = {.prefix = 1}, b = {.prefix = 2};
    struct dk_word word = some_word();

    CU_ASSERT_EQUAL_FATAL(dk_runs_new(&runs, NULL), DK_OK);
    CU_ASSERT_PTR_NULL(dk_runs_find(runs, word.run, &a, now));
    CU_ASSERT_PTR_NULL(dk_runs_name(runs, "../../etc/passwd", &a, now));
    CU_ASSERT_PTR_NULL(dk_runs_name(runs, "", &a, now));

    struct dk_seen *seen = dk_runs_name(runs, word.run, &a, now);

    CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
    CU_ASSERT_PTR_EQUAL(dk_runs_name(runs, word.run, &a, now), seen);
    CU_ASSERT_PTR_EQUAL(dk_runs_find(runs, word.run, &a, now), seen);
    CU_ASSERT_PTR_NULL(dk_runs_name(runs, word.run, &b, now));
    CU_ASSERT_PTR_NULL(dk_runs_find(runs, word.run, &b, now));

    const struct dk_moved before = {7000, 90}, later = {8000, 100}, last = {9000, 500};
    const struct dk_seen_part parts[] = {{500, dk_mono_add_ns(now, 7), 20, 6, 400, 3000},
                                         {100, dk_mono_add_ns(now, 9), 10, 5, 8, 9000},
                                         {11, dk_mono_add_ns(now, 8), 10, 8, 0, 4000},
                                         {0, now, 10, 1, 10, 10},
                                         {300, now, 10, 1, 0, 0}};

    dk_seen_begin(seen, false, now, (struct dk_wall){1000}, &before);
    dk_seen_begin(seen, false, dk_mono_add_ns(now, DK_NS_PER_S), (struct dk_wall){2000}, &last);
    dk_seen_add(seen, false, 3, &parts[0], &later);
    dk_seen_add(seen, false, 1, &parts[1], &later);
    CU_ASSERT_EQUAL(seen->word.download.others_bytes, 1000);
    seen->own_bytes[0] = 700;
    dk_seen_add(seen, false, 1, &parts[2], &last);
    dk_seen_add(seen, true, 1, &parts[3], &last);
    CU_ASSERT_FALSE(seen->word.upload.seen);
    CU_ASSERT_EQUAL(seen->word.download.others_bytes, 1300);
    CU_ASSERT_EQUAL(seen->word.download.idle_ns, 102);
    CU_ASSERT_EQUAL(seen->word.download.send_buffer_bytes, 9000);
    CU_ASSERT_EQUAL(seen->word.download.rtt_min_ns, 5);
    CU_ASSERT_EQUAL(seen->word.download.start.ns, 1000);
    CU_ASSERT_EQUAL(seen->word.download.duration_ns, 9);
    CU_ASSERT_EQUAL(seen->word.download.rtt_ns, 20);
    CU_ASSERT_EQUAL(seen->word.download.streams, 4);
    CU_ASSERT_EQUAL(seen->word.download.bytes[1], 111);
    CU_ASSERT_EQUAL(seen->word.download.bytes[3], 500);
    dk_seen_begin(seen, true, now, (struct dk_wall){3000}, &before);
    seen->own_bytes[1] = 410; // noted a moment later than the server's
    dk_seen_add(seen, true, 0, &parts[4], &last);
    CU_ASSERT_EQUAL(seen->word.upload.others_bytes, 0);
    CU_ASSERT_EQUAL(seen->word.upload.idle_ns, -1);
    CU_ASSERT_EQUAL(seen->word.upload.rtt_min_ns, -1);
    CU_ASSERT_EQUAL(seen->word.upload.send_buffer_bytes, -1);

    now = dk_mono_add_ns(now, DK_RUN_KEPT_S * DK_NS_PER_S - 1);
    CU_ASSERT_PTR_EQUAL(dk_runs_find(runs, word.run, &a, now), seen);
    now = dk_mono_add_ns(now, 1);
    CU_ASSERT_PTR_NULL(dk_runs_find(runs, word.run, &a, now));
    seen->connections = 1;
    CU_ASSERT_PTR_EQUAL(dk_runs_find(runs, word.run, &a, now), seen);
    dk_runs_free(runs);
}

static struct dk_seen *name_another(struct dk_runs *runs, uint64_t client, struct dk_mono now)
{
    const struct dk_peer peer = {.prefix = client};
    char record_id[32], id[DK_RUN_ID_SIZE];

    snprintf(record_id, sizeof record_id, "%llx", (unsigned long long)dk_random());
    CU_ASSERT_EQUAL_FATAL(dk_run_id(device, record_id, id), DK_OK);
    return dk_runs_name(runs, id, &peer, now);
}

static void the_table_of_runs_is_bounded_and_fair(void)
{
    struct dk_runs *runs = NULL;
    struct dk_mono now = {5 * DK_NS_PER_S};
    struct dk_peer us = {.prefix = 1};
    struct dk_word word = some_word();

    CU_ASSERT_EQUAL_FATAL(dk_runs_new(&runs, NULL), DK_OK);

    // A client that names one run after the other pushes out only its own.
    struct dk_seen *ours = dk_runs_name(runs, word.run, &us, now);

    CU_ASSERT_PTR_NOT_NULL_FATAL(ours);
    for (int i = 0; i < 5000; i++)
        CU_ASSERT_PTR_NOT_NULL(name_another(runs, 2, dk_mono_add_ns(now, i + 1)));
    CU_ASSERT_PTR_EQUAL(dk_runs_find(runs, word.run, &us, now), ours);

    // All the world does, but not one that is under way.
    ours->connections = 1;
    for (int i = 0; i < 5000; i++)
        CU_ASSERT_PTR_NOT_NULL(name_another(runs, (uint64_t)i + 10, dk_mono_add_ns(now, 10000 + i)));
    CU_ASSERT_PTR_EQUAL(dk_runs_find(runs, word.run, &us, now), ours);
    ours->connections = 0;
    CU_ASSERT_PTR_NOT_NULL(name_another(runs, 3, dk_mono_add_ns(now, 20000)));
    CU_ASSERT_PTR_NULL(dk_runs_find(runs, word.run, &us, now));
    dk_runs_free(runs);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(a_run_is_one_record_of_one_device),
                                           DK_CASE(what_is_built_is_read_back),
                                           DK_CASE(the_hint_is_of_its_direction),
                                           DK_CASE(a_word_without_a_hint_is_one),
                                           DK_CASE(what_is_no_word_is_refused),
                                           DK_CASE(a_run_is_its_clients),
                                           DK_CASE(the_table_of_runs_is_bounded_and_fair),
                                           {0}};

    return dk_harness_main(argc, argv, "word", cases);
}
