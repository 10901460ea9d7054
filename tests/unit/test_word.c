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
                                               {1000000, 2000000}};
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

    word.upload = (struct dk_word_direction){true, {1760000011000000000}, 1, 0, DK_STREAMS_MAX, {0}};
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

    // The longest word there is has room.
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_WORD_SIZE - 1);

    word.download = word.upload;
    dk_buf_free(&json);
    CU_ASSERT_EQUAL(dk_word_build(&word, &json), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_WORD, json.data, json.len, &jws, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_word_check_form(dk_buf_text(&jws), jws.len, word.run, NULL), DK_OK);
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

    dk_seen_begin(seen, false, now, (struct dk_wall){1000});
    dk_seen_begin(seen, false, dk_mono_add_ns(now, DK_NS_PER_S), (struct dk_wall){2000});
    dk_seen_add(seen, false, 3, 500, dk_mono_add_ns(now, 7), 20);
    dk_seen_add(seen, false, 1, 100, dk_mono_add_ns(now, 9), 10);
    dk_seen_add(seen, false, 1, 11, dk_mono_add_ns(now, 8), 10);
    dk_seen_add(seen, true, 1, 0, now, 10);
    CU_ASSERT_EQUAL(seen->word.download.start.ns, 1000);
    CU_ASSERT_EQUAL(seen->word.download.duration_ns, 9);
    CU_ASSERT_EQUAL(seen->word.download.rtt_ns, 20);
    CU_ASSERT_EQUAL(seen->word.download.streams, 4);
    CU_ASSERT_EQUAL(seen->word.download.bytes[1], 111);
    CU_ASSERT_EQUAL(seen->word.download.bytes[3], 500);
    CU_ASSERT_FALSE(seen->word.upload.seen);

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
                                           DK_CASE(what_is_no_word_is_refused),
                                           DK_CASE(a_run_is_its_clients),
                                           DK_CASE(the_table_of_runs_is_bounded_and_fair),
                                           {0}};

    return dk_harness_main(argc, argv, "word", cases);
}
