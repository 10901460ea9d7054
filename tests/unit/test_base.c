// SPDX-License-Identifier: Apache-2.0
#include "agent/base/base64url.h"
#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/sha256.h"
#include "agent/base/terms.h"
#include "tests/harness/harness.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void first_fault_wins_and_is_printable(void)
{
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_fail(&fault, DK_ERR_DATA, "a\x1b[31m", NULL, "%s", "line\nbreak"), DK_ERR_DATA);
    CU_ASSERT_EQUAL(dk_fail(&fault, DK_ERR_IO, "b", "c", "later"), DK_ERR_IO);
    CU_ASSERT_EQUAL(fault.err, DK_ERR_DATA);
    CU_ASSERT_STRING_EQUAL(fault.where, "a?[31m");
    CU_ASSERT_STRING_EQUAL(fault.what, "line?break");
    CU_ASSERT_STRING_EQUAL(fault.todo, "");
    CU_ASSERT_EQUAL(dk_fail(NULL, DK_ERR_IO, NULL, NULL, "x"), DK_ERR_IO);
    CU_ASSERT_EQUAL(dk_err_exit_status(DK_ERR_CONFIG), 78);
    CU_ASSERT_EQUAL(dk_err_exit_status(DK_ERR_INTERRUPTED), 130);
}

static void base64url_round_trip_and_one_text_per_value(void)
{
    for (int round = 0; round < 500; round++) {
        uint8_t bytes[80], back[80];
        size_t len = (size_t)dk_random_between(0, sizeof bytes);
        dk_auto_buf struct dk_buf text = dk_buf_make(200);

        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)dk_random();
        CU_ASSERT_EQUAL_FATAL(dk_base64url_encode(bytes, len, &text), DK_OK);
        CU_ASSERT_EQUAL(text.len, DK_BASE64URL_LEN(len));
        CU_ASSERT_TRUE(dk_base64url_decode_exact(dk_buf_text(&text), text.len, back, len));
        CU_ASSERT_EQUAL(memcmp(bytes, back, len), 0);

        // No single bit of the text can change without changing the bytes or being refused.
        for (size_t bit = 0; bit < text.len * 8; bit++) {
            text.data[bit / 8] = (char)(text.data[bit / 8] ^ 1 << bit % 8);
            CU_ASSERT_FALSE(dk_base64url_decode_exact(text.data, text.len, back, len) &&
                            memcmp(bytes, back, len) == 0);
            text.data[bit / 8] = (char)(text.data[bit / 8] ^ 1 << bit % 8);
        }
    }
}

static void base64url_known_values(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(64);

    CU_ASSERT_EQUAL(dk_base64url_encode("\xfb\xff\xfe", 3, &text), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&text), "-__-");
    static const char *const bad[] = {"A", "AA=", "AA==", "A A", "AB", "AAB", "+/AA", "AAAAA"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dk_auto_buf struct dk_buf out = dk_buf_make(64);

        CU_ASSERT_EQUAL(dk_base64url_decode(bad[i], strlen(bad[i]), &out), DK_ERR_DATA);
    }
}

static void buffer_has_a_maximum(void)
{
    dk_auto_buf struct dk_buf buf = dk_buf_make(5);

    CU_ASSERT_EQUAL(dk_buf_append(&buf, "abc", 3), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_printf(&buf, "%d", 123), DK_ERR_DATA);
    CU_ASSERT_EQUAL(dk_buf_printf(&buf, "%d", 12), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_append(&buf, "x", 1), DK_ERR_DATA);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&buf), "abc12");
}

static void bytes_round_trip_and_bounds(void)
{
    uint8_t wire[15];
    struct dk_writer w = {wire, sizeof wire, false};

    dk_put_u8(&w, 1);
    dk_put_u16(&w, 0x0203);
    dk_put_u32(&w, 0x04050607);
    dk_put_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
    CU_ASSERT_FALSE(w.failed);
    for (uint8_t i = 0; i < 15; i++)
        CU_ASSERT_EQUAL(wire[i], i + 1);
    dk_put_u8(&w, 1);
    CU_ASSERT_TRUE(w.failed);

    struct dk_reader r = {wire, sizeof wire, false};

    dk_get_skip(&r, 1);
    CU_ASSERT_EQUAL(dk_get_u16(&r), 0x0203);
    CU_ASSERT_EQUAL(dk_get_u32(&r), 0x04050607);
    CU_ASSERT_EQUAL(dk_get_u64(&r), UINT64_C(0x08090a0b0c0d0e0f));
    CU_ASSERT_FALSE(r.failed);
    CU_ASSERT_EQUAL(dk_get_u8(&r), 0);
    CU_ASSERT_TRUE(r.failed);
}

static void dates_are_strict(void)
{
    char text[DK_RFC3339_SIZE];
    struct dk_wall when = {INT64_C(1795147506789) * DK_NS_PER_MS}, back = {0};

    dk_wall_rfc3339(when, text);
    CU_ASSERT_STRING_EQUAL(text, "2026-11-20T04:05:06.789Z");
    CU_ASSERT_TRUE(dk_wall_parse(text, &back));
    CU_ASSERT_EQUAL(back.ns, when.ns);
    static const char *const bad[] = {"",
                                      "2026-11-20",
                                      "2026-02-30T00:00:00.000Z",
                                      "2026-13-01T00:00:00.000Z",
                                      "2026-11-20T24:00:00.000Z",
                                      "2026-11-20T00:00:60.000Z",
                                      "2026-11-20 00:00:00.000Z",
                                      "1969-12-31T23:59:59.999Z",
                                      "2300-01-01T00:00:00.000Z",
                                      "2026-11-20T00:00:00.000z",
                                      "2026-11-20T00:00:00.000ZZ"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(dk_wall_parse(bad[i], &back));
    for (int i = 0; i < 2000; i++) {
        when.ns = dk_random_between(0, INT64_C(9000000000000)) * DK_NS_PER_MS;
        dk_wall_rfc3339(when, text);
        CU_ASSERT_TRUE(dk_wall_parse(text, &back) && back.ns == when.ns);
    }
}

static void numbers_are_strict(void)
{
    int64_t value = 7;
    static const char *const bad[] = {"", "-", "010", "00", "-0", "+1", " 1", "1 ", "12abc", "1e3", "0x10", "1.0",
                                      "9223372036854775808", "-9223372036854775809", "99999999999999999999"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(dk_parse_i64(bad[i], INT64_MIN, INT64_MAX, &value));
    CU_ASSERT_FALSE(dk_parse_i64("11", 0, 10, &value));
    CU_ASSERT_EQUAL(value, 7);
    for (int i = 0; i < 1000; i++) {
        char text[32];
        int64_t number = dk_random_between(INT64_MIN, INT64_MAX);

        snprintf(text, sizeof text, "%" PRId64, number);
        CU_ASSERT_TRUE(dk_parse_i64(text, INT64_MIN, INT64_MAX, &value) && value == number);
    }
    CU_ASSERT_TRUE(dk_parse_decimal("1.5", 3, 1000, 0, 9999, &value) && value == 1500);
    CU_ASSERT_TRUE(dk_parse_decimal("0", 1, 1000, 0, 9999, &value) && value == 0);
    CU_ASSERT_FALSE(dk_parse_decimal("1.5555", 6, 1000, 0, 9999, &value));
    CU_ASSERT_FALSE(dk_parse_decimal("1.", 2, 1000, 0, 9999, &value));
    CU_ASSERT_FALSE(dk_parse_decimal(".5", 2, 1000, 0, 9999, &value));
    CU_ASSERT_FALSE(dk_parse_decimal("01", 2, 1000, 0, 9999, &value));
    CU_ASSERT_FALSE(dk_parse_decimal("1,5", 3, 1000, 0, 9999, &value));
    CU_ASSERT_FALSE(dk_parse_decimal("10", 2, 1000, 0, 9999, &value));
}

static void text_is_clean_or_refused(void)
{
    CU_ASSERT_TRUE(dk_text_is_clean("Nhà văn hóa thôn Ea Tul", strlen("Nhà văn hóa thôn Ea Tul")));
    static const char *const bad[] = {"a\nb", "\x1b[2J", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x80\xae", "\xc2\x9b", "\xe1\xba"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(dk_text_is_clean(bad[i], strlen(bad[i])));
    CU_ASSERT_FALSE(dk_text_is_clean("a\0b", 3));
}

static void sha256_known_value(void)
{
    char hex[DK_SHA256_HEX_SIZE], text[DK_SHA256_TEXT_SIZE];

    CU_ASSERT_EQUAL(dk_sha256_hex("abc", 3, hex), DK_OK);
    CU_ASSERT_STRING_EQUAL(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CU_ASSERT_EQUAL(dk_sha256_text("abc", 3, text), DK_OK);
    CU_ASSERT_STRING_EQUAL(text, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;

    while (folder != NULL && readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2;
}

static void files_are_written_whole_and_private(void)
{
    char folder[128], path[160];
    dk_auto_buf struct dk_buf content = dk_buf_make(100);
    struct stat status;
    struct dk_fault fault = {0};

    snprintf(folder, sizeof folder, "%s/a/b", dk_harness_directory());
    snprintf(path, sizeof path, "%s/x", folder);
    CU_ASSERT_EQUAL(dk_file_write(folder, "x", "1", 1, DK_WRITE_NEW, NULL), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL_FATAL(dk_directory_make(folder, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_directory_make(folder, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_file_write(folder, "x", "one", 3, DK_WRITE_NEW, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_file_write(folder, "x", "two", 3, DK_WRITE_NEW, NULL), DK_ERR_NOT_NOW);
    CU_ASSERT_EQUAL(dk_file_read(path, &content, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&content), "one");
    CU_ASSERT_EQUAL(dk_file_write(folder, "x", "three", 5, DK_WRITE_REPLACE, &fault), DK_OK);
    dk_buf_free(&content);
    CU_ASSERT_EQUAL(dk_file_read(path, &content, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&content), "three");
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(entries(folder), 1);

    dk_auto_buf struct dk_buf small = dk_buf_make(4);

    CU_ASSERT_EQUAL(dk_file_read(path, &small, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(dk_file_read(folder, &small, NULL), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL(dk_directory_make(path, NULL), DK_ERR_IO);
}

static void terms_read_what_they_write(void)
{
    enum dk_technology technology = DK_TECHNOLOGY_UNKNOWN;

    CU_ASSERT_TRUE(dk_technology_parse("5g", &technology));
    CU_ASSERT_EQUAL(technology, DK_TECHNOLOGY_5G);
    CU_ASSERT_FALSE(dk_technology_parse("5G", &technology));
    CU_ASSERT_STRING_EQUAL(dk_technology_text(DK_TECHNOLOGY_FIXED), "fixed");
    CU_ASSERT_STRING_EQUAL(dk_outcome_text(DK_OUTCOME_INCONCLUSIVE), "inconclusive");
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(first_fault_wins_and_is_printable),
        DK_CASE(base64url_round_trip_and_one_text_per_value),
        DK_CASE(base64url_known_values),
        DK_CASE(buffer_has_a_maximum),
        DK_CASE(bytes_round_trip_and_bounds),
        DK_CASE(dates_are_strict),
        DK_CASE(numbers_are_strict),
        DK_CASE(text_is_clean_or_refused),
        DK_CASE(sha256_known_value),
        DK_CASE(files_are_written_whole_and_private),
        DK_CASE(terms_read_what_they_write),
        {0},
    };

    return dk_harness_main(argc, argv, "base", cases);
}
