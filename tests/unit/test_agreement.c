// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/record/agreement.h"
#include "agent/record/seal.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MS DK_NS_PER_MS

static const char device[] = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
static const char record[] = "01977420-5a00-7cde-8f01-23456789abcd";
static const int64_t day_ns = INT64_C(1760000000000000000);

// 100 Mb/s for 10 s, over four streams; t is 250 + 30 ms, so 1 MiB and 2.8 % of the larger count are allowed.
static struct dk_claim some_claim(void)
{
    struct dk_claim claim = {
        .start = {day_ns}, .end = {day_ns + 25 * DK_NS_PER_S}, .clock_synchronised = true,
        .download = {true, 125000000, 10 * DK_NS_PER_S, 100000000},
        .upload = {true, 125000000, 10 * DK_NS_PER_S, 100000000},
    };

    CU_ASSERT_EQUAL_FATAL(dk_run_id(device, record, claim.run), DK_OK);
    return claim;
}

static struct dk_word some_word(void)
{
    const struct dk_word_direction seen = {true, {day_ns + DK_NS_PER_S}, 10010 * MS, 30 * MS, 4,
                                           {31250000, 31250000, 31250000, 31250000}, -1, -1, -1, -1};
    struct dk_word word = {.client = "203.0.113.0/24", .download = seen, .upload = seen,
                           .issued = {day_ns + 24 * DK_NS_PER_S}};

    CU_ASSERT_EQUAL_FATAL(dk_run_id(device, record, word.run), DK_OK);
    return word;
}

static void both_agree_within_the_limits(void)
{
    enum { ALLOWED = (1 << 20) + 3500000 }; // of the device's 125,000,000 when they are the larger
    static const struct {
        int64_t claim_bytes, claim_ms, rate_bps, word_bytes, word_ms, rtt_ms; // 0: as above
        const char *differs;                                                  // NULL: agree
    } cases[] = {
        {0, 0, 0, 0, 0, 0, NULL},
        {0, 0, 0, 125000000 - ALLOWED, 0, 0, NULL},
        {0, 0, 0, 125000000 - ALLOWED - 4, 0, 0, "bytes came through"},
        {0, 0, 0, 129679604, 0, 0, NULL}, // 1 MiB and 2.8 % of it
        {0, 0, 0, 129679612, 0, 0, "bytes came through"},
        {0, 0, 0, 125000000 / 2, 0, 0, "bytes came through"},
        {0, 0, 0, 125000000 * 2, 0, 0, "bytes came through"},
        {0, 0, 0, 120000000, 0, 1000, NULL}, // a long way
        {0, 0, 0, 100000000, 0, 1000, "bytes came through"},
        {0, 0, 0, 90000000, 0, 60000, "bytes came through"}, // and none is longer than 2 s
        {0, 0, 0, 0, 9720, 0, NULL},
        {0, 0, 0, 0, 9719, 0, "took"},
        {0, 0, 0, 0, 10280, 0, NULL},
        {0, 0, 0, 0, 10281, 0, "took"},
        {0, 0, 0, 0, 12250, 5000, NULL},
        {0, 0, 0, 0, 12251, 5000, "took"},
        {0, 5000, 200000000, 0, 0, 0, "took"}, // the same bytes in half the time
        {0, 0, 100100000, 0, 0, 0, NULL},
        {0, 0, 100100009, 0, 0, 0, "whole rate"},
        {0, 0, 200000000, 0, 0, 0, "whole rate"},
        {250000000, 0, 200000000, 0, 0, 0, "bytes came through"},
        {INT64_C(1) << 53, 0, 0, 0, 0, 0, "bytes came through"},
    };

    for (size_t i = 0; i < COUNT(cases) * 2; i++) {
        struct dk_claim claim = some_claim();
        struct dk_word word = some_word();
        struct dk_claim_direction *ours = i % 2 ? &claim.upload : &claim.download;
        struct dk_word_direction *theirs = i % 2 ? &word.upload : &word.download;
        const char *differs = cases[i / 2].differs;
        struct dk_fault fault = {0};

        if (cases[i / 2].claim_bytes > 0)
            ours->bytes = cases[i / 2].claim_bytes;
        if (cases[i / 2].claim_ms > 0)
            ours->duration_ns = cases[i / 2].claim_ms * MS;
        if (cases[i / 2].rate_bps > 0)
            ours->rate_whole_bps = cases[i / 2].rate_bps;
        if (cases[i / 2].word_ms > 0)
            theirs->duration_ns = cases[i / 2].word_ms * MS;
        if (cases[i / 2].rtt_ms > 0)
            theirs->rtt_ns = cases[i / 2].rtt_ms * MS;
        for (size_t s = 0; s < 4 && cases[i / 2].word_bytes > 0; s++)
            theirs->bytes[s] = cases[i / 2].word_bytes / 4;

        enum dk_err err = dk_agree(&claim, &word, &fault);

        if ((err == DK_OK) != (differs == NULL))
            printf("    case %zu: %s\n", i / 2, fault.what);
        CU_ASSERT_EQUAL(err, differs == NULL ? DK_OK : DK_ERR_DATA);
        CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, differs != NULL ? differs : ""));
        CU_ASSERT_STRING_EQUAL(fault.where, differs == NULL ? "" : i % 2 ? "upload" : "download");
    }
}

static void what_one_side_has_not_is_told(void)
{
    struct dk_claim claim = some_claim();
    struct dk_word word = some_word();
    struct dk_fault fault = {0};

    // What the device does not claim needs no witness.
    claim.upload = (struct dk_claim_direction){0};
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_OK);
    word.upload = (struct dk_word_direction){0};
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_OK);
    word.download = (struct dk_word_direction){0};
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, &fault), DK_ERR_DATA);
    CU_ASSERT_STRING_EQUAL(fault.what, "the server saw none");
    word = some_word();
    claim.download.duration_ns = 0;
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_ERR_DATA);
    claim = some_claim();
    memcpy(claim.run, "AAAAAAAAAAAAAAAAAAAAAA", sizeof claim.run);
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_ERR_DATA);

    claim = some_claim();
    word.download.start.ns = claim.start.ns - 600 * DK_NS_PER_S;
    word.upload.start.ns = claim.end.ns + 600 * DK_NS_PER_S;
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_OK);
    word.upload.start.ns++;
    fault = (struct dk_fault){0};
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, &fault), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "dates the run"));
    claim.clock_synchronised = false;
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_OK);
    claim.clock_synchronised = true;
    word.upload.start.ns--;
    word.download.start.ns--;
    CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_ERR_DATA);
}

// Whatever both claim: nobody crashes, and twice as much of either is never agreed to.
static void no_lie_of_twice_is_agreed_to(void)
{
    for (int i = 0; i < 20000; i++) {
        struct dk_claim claim = some_claim();
        struct dk_word word = some_word();
        int64_t total = dk_random_between(50000000, INT64_C(100000000000));
        int64_t duration_ns = dk_random_between(5000, 60000) * MS;
        bool ours = dk_random() % 2;

        claim.upload.measured = false;
        claim.download.duration_ns = word.download.duration_ns = duration_ns;
        claim.download.bytes = total;
        claim.download.rate_whole_bps = total * 8 / (duration_ns / MS) * 1000;
        word.download.rtt_ns = dk_random_between(0, 1000 * MS);
        memset(word.download.bytes, 0, sizeof word.download.bytes);
        word.download.bytes[3] = total;
        CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_OK);
        *(ours ? &claim.download.bytes : &word.download.bytes[3]) *= 2;
        CU_ASSERT_EQUAL(dk_agree(&claim, &word, NULL), DK_ERR_DATA);
    }
}

static void find(const char *jws, const struct dk_keys *servers, int64_t bytes, enum dk_witness expected)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(1 << 16);
    enum dk_witness witness = DK_WITNESS_NONE;
    struct dk_fault why = {0};

    CU_ASSERT_EQUAL(dk_buf_printf(&payload,
                                  "{\"id\":\"%s\",\"device\":{\"id\":\"%s\"},"
                                  "\"time\":{\"start\":\"2025-10-09T08:53:20.000Z\","
                                  "\"end\":\"2025-10-09T08:53:45.000Z\",\"clock\":{\"state\":\"synchronised\"}},"
                                  "\"download\":{\"status\":\"ok\",\"bytes\":%lld,\"duration_ns\":10000000000,"
                                  "\"rate_whole_bps\":%lld},\"server\":{\"word\":\"%s\"}}",
                                  record, device, (long long)bytes, (long long)bytes * 8 / 10, jws),
                    DK_OK);
    CU_ASSERT_EQUAL(dk_witness_find(dk_buf_text(&payload), payload.len, servers, &witness, &why), DK_OK);
    if (witness != expected)
        printf("    %s: %s\n", dk_witness_text(witness), why.what);
    CU_ASSERT_EQUAL(witness, expected);
    CU_ASSERT_TRUE((why.what[0] != '\0') == (witness != DK_WITNESS_AGREES));
}

static void a_word_is_its_servers_and_about_its_record(void)
{
    struct dk_word word = some_word();
    dk_auto(key) struct dk_key *key = NULL, *other = NULL;
    dk_auto_keys struct dk_keys servers = {0}, others = {0}, nobody = {0};
    dk_auto_buf struct dk_buf json = dk_buf_make(DK_WORD_SIZE), jws = dk_buf_make(DK_WORD_SIZE),
                              jwk = dk_buf_make(1024), wrong = dk_buf_make(1 << 15);
    enum dk_witness witness = DK_WITNESS_AGREES;

    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&other, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_key_public_jwk(key, &jwk), DK_OK);
    CU_ASSERT_EQUAL(dk_keys_read_public("key", dk_buf_text(&jwk), jwk.len, &servers, NULL), DK_OK);
    dk_buf_free(&jwk);
    CU_ASSERT_EQUAL(dk_key_public_jwk(other, &jwk), DK_OK);
    CU_ASSERT_EQUAL(dk_keys_read_public("other", dk_buf_text(&jwk), jwk.len, &others, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_word_build(&word, &json), DK_OK);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_WORD, json.data, json.len, &jws, NULL), DK_OK);

    const char *text = dk_buf_text(&jws);

    find(text, &servers, 125000000, DK_WITNESS_AGREES);
    find(text, &servers, 250000000, DK_WITNESS_DIFFERS);
    find(text, &others, 125000000, DK_WITNESS_UNCHECKED);
    find(text, &nobody, 125000000, DK_WITNESS_UNCHECKED);
    find(text, NULL, 125000000, DK_WITNESS_UNCHECKED);

    // One bit of the payload; another purpose; not JWS at all; too long.
    CU_ASSERT_EQUAL(dk_buf_append(&wrong, text, jws.len), DK_OK);
    wrong.data[jws.len - 3] = wrong.data[jws.len - 3] == 'A' ? 'B' : 'A';
    find(dk_buf_text(&wrong), &servers, 125000000, DK_WITNESS_INVALID);
    dk_buf_free(&wrong);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_RECEIPT, json.data, json.len, &wrong, NULL), DK_OK);
    find(dk_buf_text(&wrong), &servers, 125000000, DK_WITNESS_INVALID);
    find("a.b.c", &servers, 125000000, DK_WITNESS_INVALID);
    find("", &servers, 125000000, DK_WITNESS_INVALID);
    dk_buf_free(&wrong);
    for (int i = 0; i < 5000; i++)
        CU_ASSERT_EQUAL(dk_buf_append(&wrong, "AAAA", 4), DK_OK);
    find(dk_buf_text(&wrong), &servers, 125000000, DK_WITNESS_INVALID);

    // The word of another record of the same device.
    CU_ASSERT_EQUAL(dk_run_id(device, "01977420-5a00-7cde-8f01-23456789abce", word.run), DK_OK);
    dk_buf_free(&json), dk_buf_free(&wrong);
    CU_ASSERT_EQUAL(dk_word_build(&word, &json), DK_OK);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_WORD, json.data, json.len, &wrong, NULL), DK_OK);
    find(dk_buf_text(&wrong), &servers, 125000000, DK_WITNESS_INVALID);

    CU_ASSERT_EQUAL(dk_witness_find("{\"server\":{}}", 13, &servers, &witness, NULL), DK_OK);
    CU_ASSERT_EQUAL(witness, DK_WITNESS_NONE);
    CU_ASSERT_EQUAL(dk_witness_find("{\"note\":\"word\",\"word\":[]}", 25, &servers, &witness, NULL), DK_OK);
    CU_ASSERT_EQUAL(witness, DK_WITNESS_NONE);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(both_agree_within_the_limits),
                                           DK_CASE(what_one_side_has_not_is_told),
                                           DK_CASE(no_lie_of_twice_is_agreed_to),
                                           DK_CASE(a_word_is_its_servers_and_about_its_record),
                                           {0}};

    return dk_harness_main(argc, argv, "agreement", cases);
}
