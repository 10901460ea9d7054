// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "agent/base/parse.h"
#include "agent/deliver/answer.h"
#include "agent/record/seal.h"
#include "tests/harness/harness.h"

static void meaning_of_a_status(void)
{
    static const struct {
        int64_t from, to;
        enum dk_meaning meaning;
    } rows[] = {
        {200, 201, DK_MEANING_STORED},    {400, 400, DK_MEANING_MALFORMED}, {401, 401, DK_MEANING_FORBIDDEN},
        {403, 403, DK_MEANING_FORBIDDEN}, {409, 409, DK_MEANING_FORK},      {413, 413, DK_MEANING_NOT_NOW},
        {429, 429, DK_MEANING_NOT_NOW},   {500, 599, DK_MEANING_NOT_NOW},
    };

    for (int64_t status = -1; status < 700; status++) {
        enum dk_meaning expected = DK_MEANING_NONSENSE;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (status >= rows[i].from && status <= rows[i].to)
                expected = rows[i].meaning;
        CU_ASSERT_EQUAL(dk_status_meaning(status), expected);
    }
}

static void lines_are_read_strictly(void)
{
    static const struct {
        const char *line;
        int64_t status; // 0: refused
        const char *reason, *receipt;
    } rows[] = {
        {"{\"status\":201,\"receipt\":\"a.b.c\"}", 201, "", "a.b.c"},
        {"{\"id\":\"x\",\"seq\":1,\"status\":400,\"reason\":\"bad\"}", 400, "bad", ""},
        {"{\"status\":503}", 503, "", ""},
        {"{\"status\":400,\"reason\":\"kh\\u00f4ng\"}", 400, "không", ""},
        {"", 0, NULL, NULL},
        {"null", 0, NULL, NULL},
        {"[]", 0, NULL, NULL},
        {"{}", 0, NULL, NULL},
        {"{\"status\":\"201\"}", 0, NULL, NULL},
        {"{\"status\":201.0}", 0, NULL, NULL},
        {"{\"status\":99}", 0, NULL, NULL},
        {"{\"status\":600}", 0, NULL, NULL},
        {"{\"status\":201,\"status\":400}", 0, NULL, NULL},
        {"{\"status\":400,\"reason\":1}", 0, NULL, NULL},
        {"{\"status\":400,\"reason\":\"a\\nb\"}", 0, NULL, NULL},
        {"{\"status\":400,\"reason\":\"\\u202e\"}", 0, NULL, NULL},
        {"{\"status\":201,\"receipt\":{}}", 0, NULL, NULL},
        {"{\"status\":201} x", 0, NULL, NULL},
        {"<html>", 0, NULL, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_answer answer = {.receipt = dk_buf_make(64)};

        CU_ASSERT_EQUAL(dk_answer_read(rows[i].line, strlen(rows[i].line), &answer),
                        rows[i].status != 0 ? DK_OK : DK_ERR_DATA);
        if (rows[i].status != 0) {
            CU_ASSERT_EQUAL(answer.status, rows[i].status);
            CU_ASSERT_STRING_EQUAL(answer.reason, rows[i].reason);
            CU_ASSERT_STRING_EQUAL(dk_buf_text(&answer.receipt), rows[i].receipt);
        }
        dk_buf_free(&answer.receipt);
    }
}

static void long_reasons_are_cut_between_characters(void)
{
    for (size_t lead = 0; lead < 4; lead++) {
        dk_auto_buf struct dk_buf line = dk_buf_make(4096);
        struct dk_answer answer = {.receipt = dk_buf_make(64)};

        CU_ASSERT_EQUAL(dk_buf_printf(&line, "{\"status\":400,\"reason\":\"%.*s", (int)lead, "aaaa"), DK_OK);
        for (int i = 0; i < 200; i++)
            CU_ASSERT_EQUAL(dk_buf_append(&line, "ệ", strlen("ệ")), DK_OK);
        CU_ASSERT_EQUAL(dk_buf_append(&line, "\"}", 2), DK_OK);
        CU_ASSERT_EQUAL(dk_answer_read(line.data, line.len, &answer), DK_OK);
        CU_ASSERT_TRUE(strlen(answer.reason) > DK_ANSWER_REASON_SIZE - 5);
        CU_ASSERT_TRUE(dk_text_is_clean(answer.reason, strlen(answer.reason)));
        dk_buf_free(&answer.receipt);
    }
}

#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define ME   "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
#define RECEIPT(version, hash, device, seq, received)                                                        \
    "{\"schema\":\"dokiem.receipt/" version "\",\"record_sha256\":\"" hash "\",\"device\":\"" device              \
    "\",\"seq\":" seq ",\"received\":\"" received "\",\"last_seq\":9}"

static void receipts_are_about_this_record(void)
{
    static const struct {
        const char *payload;
        enum dk_err err;
    } rows[] = {
        {RECEIPT("1", HASH, ME, "7", "2026-11-20T04:05:06.789Z"), DK_OK},
        {RECEIPT("2", HASH, ME, "7", "2026-11-20T04:05:06.789Z"), DK_ERR_DATA},
        {RECEIPT("1", ME, ME, "7", "2026-11-20T04:05:06.789Z"), DK_ERR_DATA},
        {RECEIPT("1", HASH, HASH, "7", "2026-11-20T04:05:06.789Z"), DK_ERR_DATA},
        {RECEIPT("1", HASH, "me", "7", "2026-11-20T04:05:06.789Z"), DK_ERR_DATA},
        {RECEIPT("1", HASH, ME, "8", "2026-11-20T04:05:06.789Z"), DK_ERR_DATA},
        {RECEIPT("1", HASH, ME, "\"7\"", "2026-11-20T04:05:06.789Z"), DK_ERR_DATA},
        {RECEIPT("1", HASH, ME, "7", "yesterday"), DK_ERR_DATA},
        {"[]", DK_ERR_DATA},
        {"nonsense", DK_ERR_DATA},
    };
    struct dk_wall received = {0}, expected = {0};
    dk_auto(key) struct dk_key *collector = NULL, *other = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&collector, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&other, NULL), DK_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), wrong = dk_buf_make(DK_JWS_MAX_BYTES);

        CU_ASSERT_EQUAL(
            dk_seal(collector, DK_TYP_RECEIPT, rows[i].payload, strlen(rows[i].payload), &jws, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_receipt_check(collector, jws.data, jws.len, HASH, ME, 7, &received, NULL), rows[i].err);
        CU_ASSERT_EQUAL(dk_receipt_check(other, jws.data, jws.len, HASH, ME, 7, &received, NULL), DK_ERR_DATA);
        CU_ASSERT_EQUAL(
            dk_seal(collector, DK_TYP_RECORD, rows[i].payload, strlen(rows[i].payload), &wrong, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_receipt_check(collector, wrong.data, wrong.len, HASH, ME, 7, &received, NULL),
                        DK_ERR_DATA);
    }
    CU_ASSERT(dk_wall_parse("2026-11-20T04:05:06.789Z", &expected) && received.ns == expected.ns);
    CU_ASSERT_EQUAL(dk_receipt_check(collector, "", 0, HASH, ME, 7, &received, NULL), DK_ERR_DATA);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(meaning_of_a_status),
        DK_CASE(lines_are_read_strictly),
        DK_CASE(long_reasons_are_cut_between_characters),
        DK_CASE(receipts_are_about_this_record),
        {0},
    };

    return dk_harness_main(argc, argv, "answer", cases);
}
