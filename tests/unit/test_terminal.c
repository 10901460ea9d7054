// SPDX-License-Identifier: Apache-2.0
#include "agent/base/parse.h"
#include "agent/report/progress.h"
#include "agent/report/terminal.h"
#include "agent/base/language.h"
#include "agent/report/text.h"
#include "tests/harness/harness.h"
#include "tests/sample/sample.h"

#include <jansson.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const struct dk_terminal pipe_80 = {.is_terminal = false, .utf8 = true, .columns = 80};
static const struct dk_terminal colour_80 = {
    .is_terminal = true, .utf8 = true, .colour = true, .columns = 80};

// What was written to a FILE of memory.
static char *written;
static size_t written_len;

static FILE *capture(void)
{
    free(written);
    written = NULL;
    return open_memstream(&written, &written_len);
}

static void report(const struct dk_sample *sample, const struct dk_terminal *terminal)
{
    FILE *out = capture();
    struct dk_report_input input = {.kind = sample->facts.kind,
                                    .reason = sample->facts.reason,
                                    .server_name = sample->facts.server_name,
                                    .server_url = sample->facts.server_url,
                                    .site_operator = sample->facts.site_operator,
                                    .context = &sample->context,
                                    .measurement = &sample->measurement,
                                    .validity = sample->facts.validity,
                                    .verdict = sample->facts.verdict,
                                    .id = sample->facts.id,
                                    .seq = sample->facts.seq,
                                    .kept = "/var/lib/dokiem"};

    dk_report_result(out, terminal, &input);
    fclose(out);
}

static bool says(const char *text)
{
    return strstr(written, text) != NULL;
}

// Every line is clean text within `columns`, unless it is one long word.
static void assert_lines_fit(size_t columns)
{
    char *rest = written;

    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        const char *text = line + strspn(line, " ");

        CU_ASSERT_TRUE(dk_text_is_clean(line, strlen(line)));
        CU_ASSERT_TRUE(dk_text_columns(line) <= columns || strchr(text, ' ') == NULL);
    }
}

static void each_outcome_is_said_with_its_basis(void)
{
    static const struct {
        enum dk_technology technology;
        int64_t bps;
        const char *outcome, *basis;
    } rows[] = {
        {DK_TECHNOLOGY_5G, 120000000, "PASS  download, rate of the whole transfer",
         "national technical regulation: QCVN 126:2021/BTTTT, 2.1.5.2"},
        {DK_TECHNOLOGY_5G, 90000000, "FAIL  download",
         "national technical regulation: QCVN 126:2021/BTTTT, 2.1.5.2"},
        {DK_TECHNOLOGY_5G, 105500000, "INCONCLUSIVE  download", "the interval contains the threshold"},
        {DK_TECHNOLOGY_4G, 36000000, "FAIL  download", "target of a plan: Quyết định 1132/QĐ-TTg"},
        {DK_TECHNOLOGY_AUTO, 36000000, "NOT JUDGED  technology not declared", "4g|5g|fixed"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_sample sample;

        dk_sample_make(&sample, rows[i].technology, rows[i].bps);
        report(&sample, &pipe_80);
        CU_ASSERT_TRUE(says(rows[i].outcome));
        CU_ASSERT_TRUE(says(rows[i].basis));
        CU_ASSERT_TRUE(says("daklak, 203.0.113.5"));
        CU_ASSERT_TRUE(says("not used: http://192.0.2.7: connection refused"));
        CU_ASSERT_TRUE(says("number 7, 019aa0b1-7c2a-7def-8123-456789abcdef"));
        CU_ASSERT_TRUE(says("One run is one sample."));
        if (rows[i].technology == DK_TECHNOLOGY_4G)
            CU_ASSERT_FALSE(says("QCVN"));
        dk_measurement_free(&sample.measurement);
    }
}

static void rules_say_what_they_lack(void)
{
    struct dk_sample sample;
    struct dk_rule *rule = &sample.rules.rules[0];

    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 41000000);
    rule->unconfirmed = true;
    snprintf(rule->note, sizeof rule->note, "chưa xem được nguyên văn");
    rule->factor_ppm = 800000;
    rule->site_rate = DK_SITE_RATE_DECLARED_DOWNLOAD;
    dk_sample_judge(&sample);
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("NOT JUDGED  download, rate of the whole transfer"));
    CU_ASSERT_TRUE(says("[site] declared_download is not set: the rule refers to it"));
    CU_ASSERT_TRUE(says("not confirmed: chưa xem được nguyên văn"));
    CU_ASSERT_FALSE(says("at least"));
    sample.site.rate_bps[DK_SITE_RATE_DECLARED_DOWNLOAD] = 15000000;
    dk_sample_judge(&sample);
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("at least 12.00 Mb/s; measured"));
    CU_ASSERT_TRUE(says("not confirmed: chưa xem được nguyên văn"));
    CU_ASSERT_FALSE(says("is not set"));
    dk_measurement_free(&sample.measurement);
}

static void figures_have_two_decimals_and_never_flatter(void)
{
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 41000000);
    sample.measurement.download.rate_whole_bps = 39999999;
    sample.measurement.latency_idle.rtt_median_ns = 20000001;
    dk_sample_judge(&sample);
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("41.00 Mb/s  (95 % 40.18 to 41.82;"));
    CU_ASSERT_TRUE(says("measured 39.99 (95 %"));
    CU_ASSERT_TRUE(says("20.01 ms  (stamp, median;"));
    CU_ASSERT_TRUE(says("lost 1 of 50"));
    dk_measurement_free(&sample.measurement);
}

static void a_failed_run_says_why_once(void)
{
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 0);
    dk_measurement_free(&sample.measurement);
    sample.facts.kind = DK_KIND_FAILED;
    sample.measurement.server.status = DK_STATUS_FAILED;
    snprintf(sample.measurement.server.reason, DK_REASON_SIZE, "speed.example.vn does not resolve");
    snprintf(sample.facts.reason, DK_REASON_SIZE, "server: speed.example.vn does not resolve");
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("FAILED  server: speed.example.vn does not resolve"));
    CU_ASSERT_EQUAL(strstr(strstr(written, "resolve") + 1, "resolve"), NULL);
    CU_ASSERT_FALSE(says("Mb/s"));
    CU_ASSERT_FALSE(says("Verdict"));
    CU_ASSERT_TRUE(says("number 7"));
    sample.facts.kind = DK_KIND_SKIPPED;
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("SKIPPED"));
}

static void a_missing_figure_has_its_reason_not_a_zero(void)
{
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_5G, 90000000);
    sample.measurement.upload.status = DK_STATUS_FAILED;
    snprintf(sample.measurement.upload.reason, DK_REASON_SIZE, "the server\x1b[2J closed\xff");
    sample.context.link.medium = DK_MEDIUM_TUNNEL;
    dk_sample_judge(&sample);
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("failed: the server?[2J closed?"));
    CU_ASSERT_FALSE(says(" 0.00 Mb/s"));
    CU_ASSERT_TRUE(says("INCONCLUSIVE"));
    CU_ASSERT_TRUE(says("measured through a tunnel"));
    dk_measurement_free(&sample.measurement);
}

static void lines_fit_and_only_a_terminal_gets_colour(void)
{
    static const size_t columns[] = {40, 60, 80, 100, 500};
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_5G, 90000000);
    snprintf(sample.rules.rules[1].basis, DK_BASIS_SIZE,
             "Mục tiêu “tốc độ tải xuống trung bình tối thiểu 40 Mb/s cho mạng 4G” của kế hoạch phát triển "
             "hạ tầng số");
    sample.context.clock.state = DK_CLOCK_UNSYNCHRONISED;
    dk_sample_judge(&sample);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct dk_terminal terminal = pipe_80;

        terminal.columns = columns[i];
        report(&sample, &terminal);
        CU_ASSERT_TRUE(says("FAIL"));
        assert_lines_fit(columns[i] < 120 ? columns[i] : 120);
    }
    report(&sample, &colour_80);
    CU_ASSERT_TRUE(says("\x1b[31;1mFAIL\x1b[0m"));
    dk_measurement_free(&sample.measurement);
}

static void widths_and_wrapping(void)
{
    dk_auto_buf struct dk_buf out = dk_buf_make(200), small = dk_buf_make(5);

    CU_ASSERT_EQUAL(dk_text_columns(""), 0);
    CU_ASSERT_EQUAL(dk_text_columns("Đo kiểm"), 7);
    CU_ASSERT_EQUAL(dk_text_columns("e\xcc\x82"), 1);    // e + combining circumflex
    CU_ASSERT_EQUAL(dk_text_columns("\xe6\xb8\xac"), 2); // one wide character
    CU_ASSERT_EQUAL(dk_text_append_wrapped(&out, "aaa bbb  ccc dddddddddd e", 2, 2, 9), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&out), "aaa bbb\n  ccc\n  dddddddddd\n  e");
    CU_ASSERT_EQUAL(dk_text_append_wrapped(&small, "aaa bbb", 0, 0, 80), DK_ERR_DATA);
}

static void the_bar_is_one_line_that_goes_away(void)
{
    static const size_t columns[] = {40, 45, 80, 200};

    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct dk_terminal terminal = {.is_terminal = true, .utf8 = i % 2 == 0, .columns = columns[i]};
        FILE *out = capture();
        struct dk_progress_view view = dk_progress_view_make(out, &terminal, DK_PROGRESS_AUTO);

        for (int64_t ms = 0; ms <= 12000; ms += 100) {
            struct dk_progress progress = {"download", ms * DK_NS_PER_MS, 10 * DK_NS_PER_S, {0}, ms * 1000,
                                           dk_random_between(0, 2000000000)};

            dk_progress_show(&view, &progress);
            fflush(out);

            const char *line = strrchr(written, '\r') + 1;

            CU_ASSERT_TRUE(dk_text_is_clean(line, strlen(line)));
            CU_ASSERT_TRUE(dk_text_columns(line) < columns[i]);
            CU_ASSERT_TRUE(terminal.utf8 || dk_text_columns(line) == strlen(line));
        }
        CU_ASSERT_TRUE(says("Download"));
        CU_ASSERT_TRUE(says("s left"));
        CU_ASSERT_TRUE(says("Mb/s"));
        CU_ASSERT_EQUAL(says(terminal.utf8 ? "█" : "#"), columns[i] > 50);
        CU_ASSERT_FALSE(says("\n"));
        CU_ASSERT_FALSE(says("\x1b"));
        dk_progress_end(&view);
        dk_progress_end(&view);
        fclose(out);

        const char *last = strrchr(written, '\r');
        const char *blank = written + written_len - 2;

        CU_ASSERT_STRING_EQUAL(last, "\r");
        while (*blank == ' ')
            blank--;
        CU_ASSERT_EQUAL(*blank, '\r');
    }
}

static void the_last_rates_stand_beside_the_bar(void)
{
    static const struct {
        struct dk_terminal terminal;
        const char *line;
    } cases[] = {
        {{.is_terminal = true, .utf8 = true, .columns = 80}, "                     ▄█▂      1.00 Mb/s"},
        {{.is_terminal = true, .columns = 80}, "                     -#."},
        {{.is_terminal = true, .columns = 60}, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *out = capture();
        struct dk_progress_view view = dk_progress_view_make(out, &cases[i].terminal, DK_PROGRESS_BAR);
        struct dk_progress progress = {"download", DK_NS_PER_S, 10 * DK_NS_PER_S, {0}, 1, 0};

        // Rates of another probe are not of this line.
        progress.probe = "upload";
        progress.rate_bps = 1;
        dk_progress_show(&view, &progress);
        progress.probe = "download";
        for (int k = 0; k < 3; k++) {
            progress.rate_bps = (const int64_t[]){2'000'000, 4'000'000, 1'000'000}[k];
            dk_progress_show(&view, &progress);
        }
        fclose(out);

        const char *line = strrchr(written, '\r') + 1;

        if (cases[i].line != NULL) {
            CU_ASSERT_PTR_NOT_NULL(strstr(line, cases[i].line));
        }
        CU_ASSERT_EQUAL(strstr(line, "▄") != NULL, i == 0);
    }
}

static void a_longer_line_leaves_nothing_behind(void)
{
    struct dk_terminal terminal = {.is_terminal = true, .columns = 80};
    FILE *out = capture();
    struct dk_progress_view view = dk_progress_view_make(out, &terminal, DK_PROGRESS_BAR);
    struct dk_progress known = {"download", DK_NS_PER_S, 10 * DK_NS_PER_S, {0}, 1, 1000000};
    struct dk_progress unknown = {"x", DK_NS_PER_S, 0, {0}, 0, 0};

    dk_progress_show(&view, &known);

    size_t drawn = view.drawn;

    dk_progress_show(&view, &unknown);
    fclose(out);
    CU_ASSERT_EQUAL(strlen(strrchr(written, '\r') + 1), drawn);
    CU_ASSERT_EQUAL(strncmp(strrchr(written, '\r') + 1, "x  1 s ", 7), 0);
}

static void without_a_terminal_nothing_is_drawn(void)
{
    static const enum dk_progress_mode modes[] = {DK_PROGRESS_AUTO, DK_PROGRESS_BAR, DK_PROGRESS_NONE};
    struct dk_progress progress = {"download", 1, 2, {0}, 3, 4};

    for (size_t i = 0; i < 3; i++) {
        FILE *out = capture();
        struct dk_progress_view view = dk_progress_view_make(out, &pipe_80, modes[i]);

        dk_progress_show(&view, &progress);
        dk_progress_end(&view);
        fclose(out);
        CU_ASSERT_EQUAL(written_len, 0);
    }

    FILE *out = capture();
    struct dk_progress_view view = dk_progress_view_make(out, &colour_80, DK_PROGRESS_NONE);

    dk_progress_show(&view, &progress);
    dk_progress_end(&view);
    fclose(out);
    CU_ASSERT_EQUAL(written_len, 0);
}

static void json_events_are_one_object_a_line(void)
{
    FILE *out = capture();
    struct dk_progress_view view = dk_progress_view_make(out, &pipe_80, DK_PROGRESS_JSON);
    struct dk_progress progress = {"upload", 5, 10, {0}, 1000, 8000};

    dk_progress_show(&view, &progress);
    progress.duration_ns = 0;
    dk_progress_show(&view, &progress);
    dk_progress_end(&view);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(written,
                           "{\"event\":\"progress\",\"probe\":\"upload\",\"elapsed_ns\":5,\"bytes\":1000,"
                           "\"rate_bps\":8000,\"duration_ns\":10}\n"
                           "{\"event\":\"progress\",\"probe\":\"upload\",\"elapsed_ns\":5,\"bytes\":1000,"
                           "\"rate_bps\":8000}\n");

    enum dk_progress_mode mode = DK_PROGRESS_AUTO;

    CU_ASSERT_TRUE(dk_progress_mode_parse("json", &mode));
    CU_ASSERT_EQUAL(mode, DK_PROGRESS_JSON);
    CU_ASSERT_FALSE(dk_progress_mode_parse("JSON", &mode));
    CU_ASSERT_EQUAL(mode, DK_PROGRESS_JSON);
}

static void a_file_is_no_terminal(void)
{
    FILE *file = tmpfile();
    struct dk_terminal terminal;

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    terminal = dk_terminal_of(file);
    CU_ASSERT_FALSE(terminal.is_terminal);
    CU_ASSERT_FALSE(terminal.colour);
    CU_ASSERT_EQUAL(terminal.columns, 80);
    fclose(file);
}

static void assert_vietnamese(void)
{
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 36000000);
    report(&sample, &pipe_80);
#if DK_NLS
    CU_ASSERT_TRUE(says("KHÔNG ĐẠT  tải xuống"));
    CU_ASSERT_TRUE(says("36,00 Mb/s"));
    CU_ASSERT_TRUE(says("mục tiêu kế hoạch: Quyết định 1132/QĐ-TTg"));
    CU_ASSERT_FALSE(says("QCVN"));
    CU_ASSERT_TRUE(says("Một lần đo là một mẫu."));
    assert_lines_fit(80);
#else
    CU_ASSERT_TRUE(says("FAIL  download"));
#endif
    unsetenv("LANGUAGE");
    setlocale(LC_ALL, "C");
    dk_measurement_free(&sample.measurement);
}

static void vietnamese_where_the_language_is_asked_for(void)
{
    CU_ASSERT_PTR_NOT_NULL(setlocale(LC_ALL, "C.UTF-8"));
    setenv("LANGUAGE", "vi", 1);
    dk_language_bind(DK_CATALOGUES);
    assert_vietnamese();
}

static void vietnamese_where_the_system_lacks_the_locale(void)
{
    const char *before = getenv("LC_ALL");
    char kept[64] = "";

    snprintf(kept, sizeof kept, "%s", before != NULL ? before : "");
    setenv("LC_ALL", "vi_VN.UTF-8", 1);
    setlocale(LC_ALL, "");
    dk_language_bind(DK_CATALOGUES);
    setenv("LC_ALL", kept, 1);
    assert_vietnamese();
}

static void english_where_no_language_is_asked_for(void)
{
    struct dk_sample sample;

    setenv("LC_ALL", "C.UTF-8", 1);
    setlocale(LC_ALL, "");
    dk_language_bind(DK_CATALOGUES);
    dk_sample_make(&sample, DK_TECHNOLOGY_4G, 36000000);
    report(&sample, &pipe_80);
    CU_ASSERT_TRUE(says("FAIL  download"));
    CU_ASSERT_PTR_NULL(getenv("LANGUAGE"));
    setlocale(LC_ALL, "C");
    dk_measurement_free(&sample.measurement);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(each_outcome_is_said_with_its_basis),
        DK_CASE(rules_say_what_they_lack),
        DK_CASE(figures_have_two_decimals_and_never_flatter),
        DK_CASE(a_failed_run_says_why_once),
        DK_CASE(a_missing_figure_has_its_reason_not_a_zero),
        DK_CASE(lines_fit_and_only_a_terminal_gets_colour),
        DK_CASE(widths_and_wrapping),
        DK_CASE(the_bar_is_one_line_that_goes_away),
        DK_CASE(the_last_rates_stand_beside_the_bar),
        DK_CASE(a_longer_line_leaves_nothing_behind),
        DK_CASE(without_a_terminal_nothing_is_drawn),
        DK_CASE(json_events_are_one_object_a_line),
        DK_CASE(a_file_is_no_terminal),
        DK_CASE(vietnamese_where_the_language_is_asked_for),
        DK_CASE(vietnamese_where_the_system_lacks_the_locale),
        DK_CASE(english_where_no_language_is_asked_for),
        {0},
    };

    unsetenv("LANGUAGE");

    int status = dk_harness_main(argc, argv, "terminal", cases);

    free(written);
    return status;
}
