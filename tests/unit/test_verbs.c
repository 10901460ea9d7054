// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/verbs/calibrate.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/text.h"
#include "tests/harness/harness.h"

static void text_from_outside_is_cleaned(void)
{
    static const struct {
        const char *text, *line, *lines;
    } cases[] = {
        {"", "", ""},
        {"Nhà văn hóa thôn Ea Tul", "Nhà văn hóa thôn Ea Tul", "Nhà văn hóa thôn Ea Tul"},
        {"a\x1b[2Jb", "a?[2Jb", "a?[2Jb"},
        {"a\nb\r\n", "a?b??", "a\nb?\n"},
        {"\x7f\x01", "??", "??"},
        {"\xc2\x9b", "?", "?"},
        {"a\xe2\x80\xae"
         "b",
         "a?b", "a?b"},
        {"\xff\xfe", "??", "??"},
        {"\xe1\xba", "?", "?"},
        {"😀", "😀", "😀"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dk_auto_buf struct dk_buf line = dk_buf_make(100), lines = dk_buf_make(100);

        CU_ASSERT_EQUAL(dk_text_clean(cases[i].text, strlen(cases[i].text), false, &line), DK_OK);
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&line), cases[i].line);
        CU_ASSERT_EQUAL(dk_text_clean(cases[i].text, strlen(cases[i].text), true, &lines), DK_OK);
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&lines), cases[i].lines);
    }
    for (int round = 0; round < 5000; round++) {
        char noise[40];
        dk_auto_buf struct dk_buf clean = dk_buf_make(sizeof noise);

        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)dk_random();
        CU_ASSERT_EQUAL(dk_text_clean(noise, sizeof noise, false, &clean), DK_OK);
        CU_ASSERT_TRUE(dk_text_is_clean(dk_buf_text(&clean), clean.len));
    }
}

static void rates_have_one_decimal(void)
{
    char text[DK_RATE_TEXT_SIZE];

    dk_rate_text(129960000, text);
    CU_ASSERT_STRING_EQUAL(text, "129.9 Mb/s");
    dk_rate_text(0, text);
    CU_ASSERT_STRING_EQUAL(text, "0.0 Mb/s");
    dk_rate_text(-1, text);
    CU_ASSERT_STRING_EQUAL(text, "-");
    dk_rate_text(INT64_MAX, text);
    CU_ASSERT_STRING_EQUAL(text, "9223372036854.7 Mb/s");
}

static enum dk_err note_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    const char *slash = strrchr(file, '/');

    return dk_buf_printf(argument, "%s:%" PRId64 " %zu %.10s|", slash != NULL ? slash + 1 : file, line, len,
                         text);
}

static void put(const char *name, const char *text, size_t len)
{
    CU_ASSERT_EQUAL_FATAL(dk_file_write(dk_harness_directory(), name, text, len, DK_WRITE_REPLACE, NULL),
                          DK_OK);
}

static void assert_lines(const char *name, const char *expected)
{
    char path[200];
    dk_auto_buf struct dk_buf said = dk_buf_make(1000);

    snprintf(path, sizeof path, "%s/%s", dk_harness_directory(), name);
    CU_ASSERT_EQUAL(dk_lines_read(path, DK_LINES_RECORDS, 5000, note_line, &said, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&said), expected);
}

static void lines_are_read(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "x:0 0 |"},
        {"\n", "x:0 0 |"},
        {"a", "x:0 1 a|"},
        {"a\n", "x:0 1 a|"},
        {"a\nb", "x:1 1 a|x:2 1 b|"},
        {"a\nb\n", "x:1 1 a|x:2 1 b|"},
        {"a\n\nb\n", "x:1 1 a|x:2 0 |x:3 1 b|"},
        {"\na", "x:1 0 |x:2 1 a|"},
        {"a\r\n", "x:0 2 a\r|"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("x", cases[i].text, strlen(cases[i].text));
        assert_lines("x", cases[i].expected);
    }
    put("x", "a\0b\n", 4);
    assert_lines("x", "x:0 3 a|");
}

static void long_lines_are_cut_and_the_next_is_whole(void)
{
    static const int lengths[] = {4095, 4096, 4097, 4999, 5000, 5001, 5002, 8192, 20000};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(30000);
        char expected[100];

        for (int k = 0; k < lengths[i]; k++)
            CU_ASSERT_EQUAL(dk_buf_append(&text, "L", 1), DK_OK);
        CU_ASSERT_EQUAL(dk_buf_append(&text, "\nnext\n", 6), DK_OK);
        put("x", text.data, text.len);
        snprintf(expected, sizeof expected, "x:1 %d LLLLLLLLLL|x:2 4 next|",
                 lengths[i] < 5001 ? lengths[i] : 5001);
        assert_lines("x", expected);
    }
}

static void folders_give_their_records_in_order(void)
{
    char path[200];
    dk_auto_buf struct dk_buf said = dk_buf_make(1000);

    put("0000000002.jws", "b\n", 2);
    put("0000000001.jws", "a\n", 2);
    put("0000000001.receipt.jws", "r\n", 2);
    put("0000000001.refused", "r\n", 2);
    put(".0000000003.jws", "t\n", 2);
    put("0000000003.jws.tmp", "t\n", 2);
    assert_lines(".", "0000000001.jws:0 1 a|0000000002.jws:0 1 b|");
    snprintf(path, sizeof path, "%s/empty", dk_harness_directory());
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    CU_ASSERT_EQUAL(dk_lines_read(path, DK_LINES_RECORDS, 5000, note_line, &said, NULL), DK_ERR_NO_INPUT);
    snprintf(path, sizeof path, "%s/nowhere", dk_harness_directory());
    CU_ASSERT_EQUAL(dk_lines_read(path, DK_LINES_RECORDS, 5000, note_line, &said, NULL), DK_ERR_NO_INPUT);
}

static void the_highest_rate_is_found_and_nothing_is_left(void)
{
    struct dk_settings settings;
    struct dk_measurement found;

    dk_settings_default(&settings);
    settings.streams = 3;
    CU_ASSERT_EQUAL(dk_calibrate(&settings, &found, NULL), DK_OK);
    CU_ASSERT_EQUAL(found.download.status, DK_STATUS_OK);
    CU_ASSERT_STRING_EQUAL(found.download.reason, "");
    CU_ASSERT_TRUE(found.download.rate_bps > 10000000);
    CU_ASSERT_EQUAL(found.download.streams, 3);
    CU_ASSERT_EQUAL(found.upload.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    dk_measurement_free(&found);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(text_from_outside_is_cleaned),
        DK_CASE(rates_have_one_decimal),
        DK_CASE(lines_are_read),
        DK_CASE(long_lines_are_cut_and_the_next_is_whole),
        DK_CASE(folders_give_their_records_in_order),
        DK_CASE(the_highest_rate_is_found_and_nothing_is_left),
        {0},
    };

    return dk_harness_main(argc, argv, "verbs", cases);
}
