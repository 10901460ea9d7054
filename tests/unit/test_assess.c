// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/finding.h"
#include "agent/assess/row.h"
#include "agent/assess/sample.h"
#include "agent/assess/select.h"
#include "tests/harness/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BEGIN_NS (INT64_C(1795113000000) * DK_NS_PER_MS) // 2026-11-20T01:30:00 in Vietnam

enum { ROW_SIZE = 1024 };

// A row as the tests want it; what is NULL or 0 stands as in a plain good sample.
struct plain {
    int64_t number;   // of the sample: its id
    int64_t start_s;  // after BEGIN_NS
    int64_t rate_bps; // 0: the download failed; -1: it was not asked for
    const char *device, *site, *environment, *technology, *flags, *kind, *server_status, *more;
};

static const char *or_else(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

static void write_row(const struct plain *plain, char out[static ROW_SIZE])
{
    char start[DK_RFC3339_SIZE], rate[64] = "";

    dk_wall_rfc3339((struct dk_wall){BEGIN_NS + plain->start_s * DK_NS_PER_S}, start);
    if (plain->rate_bps > 0)
        snprintf(rate, sizeof rate, ",\"download.rate_bps\":%" PRId64, plain->rate_bps);
    snprintf(out, ROW_SIZE,
             "{\"schema\":\"dokiem.sample/1\",\"id\":\"019aa0b1-7c2a-7def-8123-%012" PRIx64
             "\",\"kind\":\"%s\",\"time.start\":\"%s\",\"time.duration_ns\":10000000000,\"device.id\":\"%s\","
             "\"site.code\":\"%s\",\"site.environment\":\"%s\",\"link.technology\":\"%s\",\"server.status\":\"%s\","
             "\"download.status\":\"%s\"%s,\"validity.flags\":\"%s\"%s}",
             (uint64_t)plain->number, or_else(plain->kind, "measurement"), start, or_else(plain->device, "D1"),
             or_else(plain->site, "S1"), or_else(plain->environment, "indoor"), or_else(plain->technology, "4g"),
             or_else(plain->server_status, "ok"),
             plain->rate_bps > 0 ? "ok" : plain->rate_bps == 0 ? "failed" : "not_measured", rate,
             or_else(plain->flags, ""), or_else(plain->more, ""));
}

static enum dk_intake add_text(struct dk_samples *samples, const char *text)
{
    enum dk_intake intake = DK_INTAKE_TAKEN;
    struct dk_fault why = {0};

    CU_ASSERT_EQUAL(dk_samples_add_row(samples, text, strlen(text), &intake, &why), DK_OK);
    CU_ASSERT_EQUAL(intake == DK_INTAKE_SCHEMA || intake == DK_INTAKE_MALFORMED || intake == DK_INTAKE_DUPLICATE ||
                        intake == DK_INTAKE_CONFLICT,
                    why.what[0] != '\0');
    return intake;
}

static enum dk_intake add(struct dk_samples *samples, const struct plain *plain)
{
    char text[ROW_SIZE];

    write_row(plain, text);
    return add_text(samples, text);
}

static struct dk_samples *new_samples(void)
{
    struct dk_samples *samples = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_samples_new(DK_INDICATORS_ALL, &samples), DK_OK);
    return samples;
}

static const struct dk_filter everything = {.from = {INT64_MIN}, .to = {INT64_MAX}};

static struct dk_rule rule_of(enum dk_statistic statistic, enum dk_indicator indicator, int64_t threshold)
{
    return (struct dk_rule){.id = "rule",
                            .technology = DK_TECHNOLOGY_4G,
                            .indicator = indicator,
                            .statistic = statistic,
                            .op = statistic == DK_STATISTIC_FAILURES ? DK_OP_AT_MOST : DK_OP_AT_LEAST,
                            .threshold = threshold,
                            .share_ppm = statistic == DK_STATISTIC_SHARE ? 950000 : 0,
                            .min_samples = 1};
}

// The finding of one rule over all samples.
static struct dk_finding find(const struct dk_samples *samples, const struct dk_rule *rule)
{
    dk_auto_selection struct dk_selection selection = {0};
    dk_auto_findings struct dk_findings findings = {0};
    static struct dk_rules rules;
    struct dk_finding out;

    memset(&out, 0, sizeof out);
    rules = (struct dk_rules){.count = 1};
    rules.rules[0] = *rule;
    CU_ASSERT_EQUAL_FATAL(dk_select(samples, &everything, &selection, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_findings_make(&selection, &rules, &findings, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(findings.count, 1);

    const struct dk_finding *f = &findings.items[0];
    size_t sum = f->samples + f->failures, flags = 0;

    for (int i = 0; i < DK_EXCLUSION_COUNT; i++)
        sum += f->excluded[i];
    for (int i = 0; i < DK_FINDING_FLAGS; i++)
        flags += f->by_flag[i];
    CU_ASSERT_EQUAL(sum, f->considered);
    CU_ASSERT_EQUAL(flags, f->excluded[DK_EXCLUSION_FLAGGED]);
    out = *f;
    out.group = NULL;
    out.rule = NULL;
    return out;
}

static void test_rows_that_are_taken_and_refused(void)
{
#define GOOD                                                                                                 \
    "\"schema\":\"dokiem.sample/1\",\"id\":\"019aa0b1-7c2a-7def-8123-456789abcdef\",\"kind\":\"measurement\","   \
    "\"time.start\":\"2026-11-20T04:05:06.789Z\",\"device.id\":\"D\""
    static const struct {
        const char *text;
        enum dk_intake intake;
    } rows[] = {
        {"{" GOOD "}", DK_INTAKE_TAKEN},
        {" { " GOOD " , \"later.name\" : true } ", DK_INTAKE_TAKEN},
        {"{" GOOD ",\"site.name\":\"Bu\\u00f4n \\ud83d\\ude00 \\\"x\\\"\"}", DK_INTAKE_TAKEN},
        {"{" GOOD ",\"validity.flags\":\"host_limited:download new_flag:new_figure\"}", DK_INTAKE_TAKEN},
        {"{" GOOD ",\"link.ipv6\":true,\"seq\":7}", DK_INTAKE_TAKEN},
        {"", DK_INTAKE_MALFORMED},
        {"[]", DK_INTAKE_MALFORMED},
        {"{}", DK_INTAKE_MALFORMED},
        {"{" GOOD, DK_INTAKE_MALFORMED},
        {"{" GOOD "}}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"id\":\"019aa0b1-7c2a-7def-8123-456789abcdee\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"seq\":0}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"seq\":01}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.rate_bps\":1.5}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.rate_bps\":1e9}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.rate_bps\":-1}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.rate_bps\":\"40\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.rate_bps\":1000000000001}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.rate_bps\":99999999999999999999}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download.status\":\"fine\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"download\":{\"status\":\"ok\"}}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"later\":[1]}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"site.name\":\"a\\u0000b\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"site.name\":\"\\ud800\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"site.name\":\"\xc0\xaf\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"site.name\":\"a\tb\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"site.name\":null}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"validity.flags\":\"host_limited\"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"validity.flags\":\"host_limited:download \"}", DK_INTAKE_MALFORMED},
        {"{" GOOD ",\"link.ipv6\":1}", DK_INTAKE_MALFORMED},
        {"{\"schema\":\"dokiem.sample/2\"}", DK_INTAKE_SCHEMA},
        {"{\"schema\":7}", DK_INTAKE_SCHEMA},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto(samples) struct dk_samples *samples = new_samples();
        enum dk_intake intake = add_text(samples, rows[i].text);

        if (intake != rows[i].intake)
            printf("    %s\n", rows[i].text);
        CU_ASSERT_EQUAL(intake, rows[i].intake);
        CU_ASSERT_EQUAL(dk_samples_count(samples), rows[i].intake == DK_INTAKE_TAKEN);
    }
}

static enum dk_err add_csv(struct dk_samples *samples, const char *head, const char *line, enum dk_intake *intake)
{
    dk_auto(csv_columns) struct dk_csv_columns *columns = NULL;
    struct dk_fault why = {0};
    enum dk_err err = dk_csv_columns_read(head, strlen(head), &columns, &why);

    *intake = DK_INTAKE_TAKEN;
    return err == DK_OK ? dk_samples_add_csv(samples, columns, line, strlen(line), intake, &why) : err;
}

static void test_lines_of_csv(void)
{
#define HEAD "schema,id,kind,time.start,device.id,site.code,site.name,download.rate_bps,other"
#define LINE "dokiem.sample/1,019aa0b1-7c2a-7def-8123-456789abcdef,measurement,2026-11-20T04:05:06.789Z,D,"
    static const struct {
        const char *head, *line, *name; // name: site.name as it must be read; NULL when the line is refused
    } rows[] = {
        {HEAD, LINE "S,Thôn 1,40000000,", "Thôn 1"},
        {HEAD "\r", LINE "S,\"a, \"\"b\"\"\",,x\r", "a, \"b\""},
        {"\xef\xbb\xbf" HEAD, LINE "S,'=cmd(),40000000,x", "=cmd()"},
        {HEAD, LINE "S,it's,40000000,x", "it's"},
        {HEAD, LINE "S,name,40000000", NULL},
        {HEAD, LINE "S,name,40000000,x,y", NULL},
        {HEAD, LINE "S,name,40.5,x", NULL},
        {HEAD, LINE "S,na\"me,1,x", NULL},
        {HEAD, LINE "S,\"name,1,x", NULL},
        {HEAD, LINE "S,\"name\"x,1,x", NULL},
    };
    enum dk_intake intake = DK_INTAKE_TAKEN;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto(samples) struct dk_samples *samples = new_samples();

        CU_ASSERT_EQUAL(add_csv(samples, rows[i].head, rows[i].line, &intake), DK_OK);
        CU_ASSERT_EQUAL(intake, rows[i].name != NULL ? DK_INTAKE_TAKEN : DK_INTAKE_MALFORMED);
        if (rows[i].name != NULL && dk_samples_count(samples) == 1)
            CU_ASSERT_STRING_EQUAL(dk_samples_origin(samples, 0)->text[DK_ORIGIN_SITE_NAME], rows[i].name);
    }
    dk_auto(samples) struct dk_samples *samples = new_samples();

    CU_ASSERT_EQUAL(add_csv(samples, "a,b", "", &intake), DK_ERR_DATA);
    CU_ASSERT_EQUAL(add_csv(samples, "schema,id,id", "", &intake), DK_ERR_DATA);
    CU_ASSERT_EQUAL(add_csv(samples, "schema;id", "dokiem.sample/2;x", &intake), DK_OK);
    CU_ASSERT_EQUAL(intake, DK_INTAKE_SCHEMA);
}

static enum dk_err accept_all(void *argument, const struct dk_sample_head *head, struct dk_fault *why)
{
    const char *device = argument;

    return strcmp(device, head->device_id) == 0 && head->seq == 7
               ? DK_OK
               : dk_fail(why, DK_ERR_DATA, "device.id", NULL, "is another");
}

static void test_records(void)
{
#define RECORD                                                                                               \
    "{\"schema\":\"dokiem.record/1\",\"id\":\"019aa0b1-7c2a-7def-8123-456789abcdef\",\"seq\":7,\"kind\":\"failed\"," \
    "\"device\":{\"id\":\"D\"},\"time\":{\"start\":\"2026-11-20T04:05:06.789Z\"},\"site\":{\"name\":\"x\"},"     \
    "\"download\":{\"status\":\"ok\",\"rate_bps\":41,\"series\":{\"bytes\":[[1,2],[3]]}},"                     \
    "\"validity\":{\"flags\":[{\"figure\":\"download\",\"code\":\"brief\"},{\"code\":\"tunnel\",\"figure\":\"all\"}]}"
    static const struct {
        const char *text;
        enum dk_intake intake;
    } rows[] = {
        {RECORD "}", DK_INTAKE_TAKEN},
        {RECORD ",\"inspection\":{\"confirms\":\"019aa0b1-7c2a-7def-8123-456789abcdee\"}}", DK_INTAKE_TAKEN},
        // A path has one meaning.
        {RECORD ",\"site.code\":\"x\"}", DK_INTAKE_MALFORMED},
        {RECORD ",\"validity.flags\":\"a:b\"}", DK_INTAKE_MALFORMED},
        {RECORD ",\"site\":{\"name\":\"y\"}}", DK_INTAKE_MALFORMED},
        {RECORD ",\"deep\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}", DK_INTAKE_MALFORMED},
        {"{\"schema\":\"dokiem.record/9\"}", DK_INTAKE_SCHEMA},
        {"{\"schema\":\"dokiem.sample/1\"}", DK_INTAKE_SCHEMA},
    };
    char device[] = "D", other[] = "E";

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto(samples) struct dk_samples *samples = new_samples();
        enum dk_intake intake = DK_INTAKE_TAKEN;
        struct dk_fault why = {0};

        CU_ASSERT_EQUAL(dk_samples_add_record(samples, rows[i].text, strlen(rows[i].text), accept_all, device,
                                              &intake, &why),
                        DK_OK);
        CU_ASSERT_EQUAL(intake, rows[i].intake);
        if (intake != DK_INTAKE_TAKEN)
            continue;
        CU_ASSERT_EQUAL(dk_samples_value(samples, 0, DK_INDICATOR_DOWNLOAD_RATE), 41);
        CU_ASSERT_EQUAL(dk_samples_state(samples, 0)->flags[DK_FLAG_FIGURE_DOWNLOAD], UINT32_C(1) << DK_FLAG_BRIEF);
        CU_ASSERT_EQUAL(dk_samples_state(samples, 0)->flags[DK_FLAG_FIGURE_ALL], UINT32_C(1) << DK_FLAG_TUNNEL);
        CU_ASSERT_EQUAL(dk_samples_state(samples, 0)->confirms, i == 1);
        CU_ASSERT_EQUAL(dk_samples_add_record(samples, rows[i].text, strlen(rows[i].text), accept_all, other, &intake,
                                              &why),
                        DK_OK);
        CU_ASSERT_EQUAL(intake, DK_INTAKE_REFUSED);
    }
}

static void test_duplicates_do_not_count(void)
{
    dk_auto(samples) struct dk_samples *samples = new_samples();
    const struct plain one = {.number = 1, .rate_bps = 50000000}, same_id = {.number = 1, .rate_bps = 60000000};
    const struct plain other = {.number = 2, .start_s = 100, .rate_bps = 70000000};
    const struct dk_rule rule = rule_of(DK_STATISTIC_MEAN, DK_INDICATOR_DOWNLOAD_RATE, 40000000);

    CU_ASSERT_EQUAL(add(samples, &one), DK_INTAKE_TAKEN);
    CU_ASSERT_EQUAL(add(samples, &one), DK_INTAKE_DUPLICATE);
    CU_ASSERT_EQUAL(add(samples, &other), DK_INTAKE_TAKEN);
    CU_ASSERT_EQUAL(dk_samples_count(samples), 2);
    CU_ASSERT_EQUAL(find(samples, &rule).samples, 2);

    // Two that say different things under one id: neither is believed.
    CU_ASSERT_EQUAL(add(samples, &same_id), DK_INTAKE_CONFLICT);
    CU_ASSERT_EQUAL(add(samples, &one), DK_INTAKE_DUPLICATE);

    struct dk_finding f = find(samples, &rule);

    CU_ASSERT_EQUAL(f.samples, 1);
    CU_ASSERT_EQUAL(f.excluded[DK_EXCLUSION_CONFLICT], 1);
    CU_ASSERT_EQUAL(f.estimate.mean, 70000000);
}

static void test_what_does_not_count(void)
{
    static const struct {
        struct plain plain;
        enum dk_exclusion exclusion; // COUNT: it counts
        size_t failures;
    } rows[] = {
        {{.rate_bps = 50000000}, DK_EXCLUSION_COUNT, 0},
        {{.rate_bps = 0}, DK_EXCLUSION_COUNT, 1},
        {{.rate_bps = -1}, DK_EXCLUSION_NOT_MEASURED, 0},
        {{.rate_bps = -1, .kind = "failed", .server_status = "failed"}, DK_EXCLUSION_COUNT, 1},
        {{.rate_bps = 50000000, .flags = "host_limited:download"}, DK_EXCLUSION_FLAGGED, 0},
        {{.rate_bps = 50000000, .flags = "host_limited:upload"}, DK_EXCLUSION_COUNT, 0},
        {{.rate_bps = 50000000, .flags = "tunnel:all"}, DK_EXCLUSION_FLAGGED, 0},
        {{.rate_bps = 50000000, .flags = "unsteady:download burst:download"}, DK_EXCLUSION_COUNT, 0},
        {{.rate_bps = 50000000, .flags = "clock_unsynchronised:all capture_dropped:all"}, DK_EXCLUSION_COUNT, 0},
        {{.rate_bps = 50000000, .flags = "brief:download"}, DK_EXCLUSION_FLAGGED, 0},
        {{.rate_bps = 50000000, .flags = "of_tomorrow:download"}, DK_EXCLUSION_FLAGGED, 0},
        {{.rate_bps = 50000000, .more = ",\"validity.state\":\"invalid\""}, DK_EXCLUSION_INVALID, 0},
        {{.rate_bps = 50000000, .more = ",\"inspection.confirms\":\"x\""}, DK_EXCLUSION_CONFIRMATION, 0},
    };
    const struct dk_rule rule = rule_of(DK_STATISTIC_MEAN, DK_INDICATOR_DOWNLOAD_RATE, 40000000);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto(samples) struct dk_samples *samples = new_samples();

        CU_ASSERT_EQUAL(add(samples, &rows[i].plain), DK_INTAKE_TAKEN);

        struct dk_finding f = find(samples, &rule);

        CU_ASSERT_EQUAL(f.considered, 1);
        CU_ASSERT_EQUAL(f.failures, rows[i].failures);
        if (rows[i].exclusion != DK_EXCLUSION_COUNT)
            CU_ASSERT_EQUAL(f.excluded[rows[i].exclusion], 1);
        CU_ASSERT_EQUAL(f.samples, rows[i].exclusion == DK_EXCLUSION_COUNT && rows[i].failures == 0);
        // A failure is no rate of 0.
        CU_ASSERT_EQUAL(f.estimate.count, f.samples);
    }
}

static void test_gaps(void)
{
    dk_auto(samples) struct dk_samples *samples = new_samples();
    struct dk_rule rule = rule_of(DK_STATISTIC_MEAN, DK_INDICATOR_DOWNLOAD_RATE, 40000000);
    // Each takes 10 s. From the end of one that counts to the start of the next: 30 s or more.
    static const struct plain rows[] = {
        {.number = 1, .start_s = 0, .rate_bps = 1000000},   {.number = 2, .start_s = 39, .rate_bps = 2000000},
        {.number = 3, .start_s = 40, .rate_bps = 4000000},  {.number = 4, .start_s = 79, .rate_bps = 8000000},
        {.number = 5, .start_s = 120, .rate_bps = 16000000}, {.number = 6, .start_s = 1, .rate_bps = 32000000,
                                                             .device = "D2"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(add(samples, &rows[(i * 5) % 6]), DK_INTAKE_TAKEN);
    CU_ASSERT_EQUAL(find(samples, &rule).samples, 6);
    rule.min_gap_ns = 30 * DK_NS_PER_S;

    struct dk_finding f = find(samples, &rule);

    CU_ASSERT_EQUAL(f.samples, 4);
    CU_ASSERT_EQUAL(f.excluded[DK_EXCLUSION_TOO_CLOSE], 2);
    CU_ASSERT_EQUAL(f.estimate.mean, (1000000 + 4000000 + 16000000 + 32000000) / 4);
    CU_ASSERT_EQUAL(f.devices, 2);
}

static void add_many(struct dk_samples *samples, int64_t good, int64_t bad, int64_t failed)
{
    for (int64_t i = 0; i < good + bad + failed; i++) {
        struct plain plain = {.number = i,
                              .start_s = i * 600,
                              .rate_bps = i < good ? 50000000 : i < good + bad ? 10000000 : 0,
                              .environment = i % 3 == 0 ? "indoor" : i % 3 == 1 ? "outdoor" : "moving"};

        CU_ASSERT_EQUAL(add(samples, &plain), DK_INTAKE_TAKEN);
    }
}

static void check_bins(const struct dk_finding *f)
{
    size_t sum = 0, good = 0;

    for (size_t i = 0; i < DK_FINDING_BINS; i++) {
        sum += f->bins[i];
        good += (int64_t)i * f->bin_width >= f->threshold ? f->bins[i] : 0;
    }
    CU_ASSERT_EQUAL(sum, f->estimate.count);
    CU_ASSERT_EQUAL(f->bin_width > 0, f->estimate.count > 0);
    // 40 Mb/s is where a bin begins: those from there on are the good ones.
    if (f->bin_width > 0) {
        CU_ASSERT_EQUAL(good, f->good);
        CU_ASSERT_TRUE(f->threshold < DK_FINDING_BINS * f->bin_width);
    }
}

static void test_outcomes(void)
{
    static const struct {
        enum dk_statistic statistic;
        int64_t good, bad, failed, min, stratum;
        enum dk_finding_outcome outcome, by_point;
        int64_t needed;
    } rows[] = {
        {DK_STATISTIC_SHARE, 59, 0, 0, 1, 0, DK_FINDING_PASS, DK_FINDING_PASS, 0},
        {DK_STATISTIC_SHARE, 58, 0, 0, 1, 0, DK_FINDING_INCONCLUSIVE, DK_FINDING_PASS, 0},
        {DK_STATISTIC_SHARE, 59, 0, 9, 1, 0, DK_FINDING_PASS, DK_FINDING_PASS, 0}, // failures are counted elsewhere
        {DK_STATISTIC_SHARE, 292, 8, 0, 300, 100, DK_FINDING_PASS, DK_FINDING_PASS, 0},
        {DK_STATISTIC_SHARE, 291, 9, 0, 300, 100, DK_FINDING_INCONCLUSIVE, DK_FINDING_PASS, 0},
        {DK_STATISTIC_SHARE, 284, 16, 0, 300, 0, DK_FINDING_INCONCLUSIVE, DK_FINDING_FAIL, 0},
        {DK_STATISTIC_SHARE, 278, 22, 0, 300, 0, DK_FINDING_FAIL, DK_FINDING_FAIL, 0},
        {DK_STATISTIC_SHARE, 299, 0, 0, 300, 0, DK_FINDING_TOO_FEW, DK_FINDING_PASS, 1},
        {DK_STATISTIC_SHARE, 300, 0, 0, 300, 101, DK_FINDING_TOO_FEW, DK_FINDING_PASS, 0},
        {DK_STATISTIC_MEAN, 300, 0, 0, 300, 0, DK_FINDING_PASS, DK_FINDING_PASS, 0},
        {DK_STATISTIC_MEAN, 0, 300, 0, 300, 0, DK_FINDING_FAIL, DK_FINDING_FAIL, 0},
        {DK_STATISTIC_MEAN, 225, 75, 0, 300, 0, DK_FINDING_INCONCLUSIVE, DK_FINDING_PASS, 0},
        {DK_STATISTIC_MEAN, 99, 0, 0, 1, 0, DK_FINDING_INCONCLUSIVE, DK_FINDING_PASS, 0}, // too few for limits
        {DK_STATISTIC_MEAN, 0, 0, 5, 1, 0, DK_FINDING_TOO_FEW, DK_FINDING_NOT_APPLICABLE, 1},
        {DK_STATISTIC_MEDIAN, 30, 3, 0, 1, 0, DK_FINDING_PASS, DK_FINDING_PASS, 0},
        {DK_STATISTIC_MEDIAN, 9, 8, 0, 1, 0, DK_FINDING_INCONCLUSIVE, DK_FINDING_PASS, 0},
        {DK_STATISTIC_FAILURES, 59, 0, 0, 1, 0, DK_FINDING_PASS, DK_FINDING_PASS, 0},
        {DK_STATISTIC_FAILURES, 50, 8, 1, 1, 0, DK_FINDING_INCONCLUSIVE, DK_FINDING_PASS, 0},
        {DK_STATISTIC_FAILURES, 278, 0, 22, 300, 0, DK_FINDING_FAIL, DK_FINDING_FAIL, 0},
        {DK_STATISTIC_FAILURES, 290, 0, 9, 300, 0, DK_FINDING_TOO_FEW, DK_FINDING_PASS, 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto(samples) struct dk_samples *samples = new_samples();
        bool failures = rows[i].statistic == DK_STATISTIC_FAILURES;
        struct dk_rule rule = rule_of(rows[i].statistic, failures ? DK_INDICATOR_DOWNLOAD : DK_INDICATOR_DOWNLOAD_RATE,
                                      failures ? 50000 : 40000000);

        rule.min_samples = rows[i].min;
        rule.min_samples_stratum = rows[i].stratum;
        add_many(samples, rows[i].good, rows[i].bad, rows[i].failed);

        struct dk_finding f = find(samples, &rule);

        if (f.outcome != rows[i].outcome || f.by_point != rows[i].by_point)
            printf("    row %zu: %s, %s\n", i, dk_finding_outcome_text(f.outcome), dk_finding_outcome_text(f.by_point));
        CU_ASSERT_EQUAL(f.outcome, rows[i].outcome);
        CU_ASSERT_EQUAL(f.by_point, rows[i].by_point);
        CU_ASSERT_EQUAL(f.needed, rows[i].needed);
        CU_ASSERT_EQUAL(f.failures, (size_t)rows[i].failed);
        CU_ASSERT_EQUAL(f.needed_to_decide != 0, f.by_interval == DK_FINDING_INCONCLUSIVE);
        check_bins(&f);
        if (rows[i].stratum > 100)
            CU_ASSERT_EQUAL(f.needed_strata[0] + f.needed_strata[1] + f.needed_strata[2], 3);
    }
}

static void test_a_rule_that_refers_to_the_site(void)
{
    dk_auto(samples) struct dk_samples *samples = new_samples();
    dk_auto_selection struct dk_selection selection = {0};
    dk_auto_findings struct dk_findings findings = {0};
    static struct dk_rules rules = {.count = 2};
    static const char *const subscribed[] = {",\"site.subscribed_download_bps\":100000000",
                                             ",\"site.subscribed_download_bps\":50000000", ""};

    rules.rules[0] = rule_of(DK_STATISTIC_MEAN, DK_INDICATOR_DOWNLOAD_RATE, 0);
    rules.rules[0].factor_ppm = 800000;
    rules.rules[0].site_rate = DK_SITE_RATE_SUBSCRIBED_DOWNLOAD;
    rules.rules[1] = rule_of(DK_STATISTIC_MEAN, DK_INDICATOR_DOWNLOAD_RATE, 200000000);
    rules.rules[1].technology = DK_TECHNOLOGY_FIXED;
    for (int64_t i = 0; i < 9; i++)
        CU_ASSERT_EQUAL(add(samples, &(struct plain){.number = i, .start_s = i * 60, .rate_bps = 60000000,
                                                     .more = subscribed[i % 3]}),
                        DK_INTAKE_TAKEN);
    CU_ASSERT_EQUAL(dk_select(samples, &everything, &selection, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_findings_make(&selection, &rules, &findings, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(findings.count, 4);
    // One for each threshold, and one for the samples that have none: none is lost.
    CU_ASSERT_EQUAL(findings.items[0].reason, DK_FINDING_REASON_NO_RATE);
    CU_ASSERT_EQUAL(findings.items[0].considered, 3);
    CU_ASSERT_EQUAL(findings.items[1].threshold, 40000000);
    CU_ASSERT_EQUAL(findings.items[1].by_point, DK_FINDING_PASS);
    CU_ASSERT_EQUAL(findings.items[2].threshold, 80000000);
    CU_ASSERT_EQUAL(findings.items[2].by_point, DK_FINDING_FAIL);
    CU_ASSERT_EQUAL(findings.items[3].outcome, DK_FINDING_NOT_APPLICABLE);
    CU_ASSERT_EQUAL(findings.items[3].reason, DK_FINDING_REASON_NO_SAMPLES);
}

static void test_groups_and_periods(void)
{
    dk_auto(samples) struct dk_samples *samples = new_samples();
    struct dk_filter filter = everything;
    struct dk_selection selection = {0};
    static const char *const sites[] = {"b", "", "a"};

    // Every 8 hours for 4 days, from half past one in the morning on.
    for (int64_t i = 0; i < 12; i++)
        CU_ASSERT_EQUAL(add(samples, &(struct plain){.number = i, .start_s = i * 8 * 3600, .rate_bps = 1,
                                                     .site = sites[i % 3]}),
                        DK_INTAKE_TAKEN);
    filter.by[filter.by_count++] = DK_DIMENSION_DAY;
    filter.by[filter.by_count++] = DK_DIMENSION_SITE;
    CU_ASSERT_EQUAL(dk_select(samples, &filter, &selection, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(selection.count, 12);
    CU_ASSERT_STRING_EQUAL(selection.groups[0].key[0], "2026-11-20");
    CU_ASSERT_STRING_EQUAL(selection.groups[0].key[1], "");
    CU_ASSERT_STRING_EQUAL(selection.groups[11].key[0], "2026-11-23");
    CU_ASSERT_STRING_EQUAL(selection.groups[11].key[1], "b");
    dk_selection_free(&selection);

    filter = everything;
    filter.by[filter.by_count++] = DK_DIMENSION_HOUR;
    CU_ASSERT_TRUE(dk_period_parse("2026-11-21", false, &filter.from));
    CU_ASSERT_TRUE(dk_period_parse("2026-11-22", true, &filter.to));
    filter.text[DK_DIMENSION_SITE] = "a";
    CU_ASSERT_EQUAL(dk_select(samples, &filter, &selection, NULL), DK_OK);
    CU_ASSERT_EQUAL(selection.outside, 10);
    CU_ASSERT_EQUAL_FATAL(selection.count, 1);
    CU_ASSERT_STRING_EQUAL(selection.groups[0].key[0], "17");
    CU_ASSERT_EQUAL(selection.groups[0].count, 2);
    dk_selection_free(&selection);

    filter.text[DK_DIMENSION_SITE] = "nowhere";
    CU_ASSERT_EQUAL(dk_select(samples, &filter, &selection, NULL), DK_OK);
    CU_ASSERT_EQUAL(selection.count, 0);
    CU_ASSERT_EQUAL(selection.outside, 12);
    dk_selection_free(&selection);
}

static void test_days_and_instants(void)
{
    static const struct {
        const char *text, *start, *end; // in UTC; NULL: refused
    } rows[] = {
        {"2026-11-20", "2026-11-19T17:00:00.000Z", "2026-11-20T17:00:00.000Z"},
        {"2026-12-31", "2026-12-30T17:00:00.000Z", "2026-12-31T17:00:00.000Z"},
        {"2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000Z", "2026-11-20T08:00:00.000Z"},
        {"2026-11-20T08:00:00.123+07:00", "2026-11-20T01:00:00.123Z", "2026-11-20T01:00:00.123Z"},
        {"2026-11-20T08:00:00-03:30", "2026-11-20T11:30:00.000Z", "2026-11-20T11:30:00.000Z"},
        {"2026-02-29", NULL, NULL},
        {"2026-11-20T08:00:00", NULL, NULL},
        {"2026-11-20T08:00:00+24:00", NULL, NULL},
        {"2026-11-20T24:00:00Z", NULL, NULL},
        {"20-11-2026", NULL, NULL},
        {"", NULL, NULL},
        {"2026-11-20T08:00:00.12345678901234567890Z", NULL, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_wall start, end;
        char text[DK_RFC3339_SIZE];

        CU_ASSERT_EQUAL(dk_period_parse(rows[i].text, false, &start), rows[i].start != NULL);
        CU_ASSERT_EQUAL(dk_period_parse(rows[i].text, true, &end), rows[i].end != NULL);
        if (rows[i].start == NULL)
            continue;
        dk_wall_rfc3339(start, text);
        CU_ASSERT_STRING_EQUAL(text, rows[i].start);
        dk_wall_rfc3339(end, text);
        CU_ASSERT_STRING_EQUAL(text, rows[i].end);
    }
}

enum { RANDOM_ROWS = 400 };

static struct plain random_plain(int64_t number)
{
    static const char *const devices[] = {"D1", "D2", "D3"}, *const sites[] = {"A", "B"};
    static const char *const flags[] = {"", "", "", "cross_traffic:download", "unsteady:all"};
    static const char *const environments[] = {"indoor", "outdoor", "moving", "unstated"};

    return (struct plain){.number = number,
                          .start_s = dk_random_between(0, 40000),
                          .rate_bps = dk_random_between(0, 9) == 0 ? 0 : dk_random_between(1, 90000000),
                          .device = devices[dk_random_between(0, 2)],
                          .site = sites[dk_random_between(0, 1)],
                          .flags = flags[dk_random_between(0, 4)],
                          .environment = environments[dk_random_between(0, 3)]};
}

static void check_same_interval(const struct dk_interval *a, const struct dk_interval *b)
{
    CU_ASSERT_TRUE(a->known == b->known && a->low == b->low && a->high == b->high);
}

static void check_same(const struct dk_finding *a, const struct dk_finding *b)
{
    CU_ASSERT_TRUE(a->considered == b->considered && a->samples == b->samples && a->failures == b->failures);
    CU_ASSERT_EQUAL(memcmp(a->excluded, b->excluded, sizeof a->excluded), 0);
    CU_ASSERT_EQUAL(memcmp(a->by_flag, b->by_flag, sizeof a->by_flag), 0);
    CU_ASSERT_EQUAL(memcmp(a->hours, b->hours, sizeof a->hours), 0);
    CU_ASSERT_EQUAL(memcmp(a->strata, b->strata, sizeof a->strata), 0);
    CU_ASSERT_TRUE(a->first.ns == b->first.ns && a->last.ns == b->last.ns && a->devices == b->devices);
    CU_ASSERT_TRUE(a->good == b->good && a->of == b->of && a->share_ppm == b->share_ppm);
    CU_ASSERT_TRUE(a->estimate.mean == b->estimate.mean && a->estimate.median == b->estimate.median &&
                   a->estimate.sd == b->estimate.sd && a->estimate.p5 == b->estimate.p5);
    check_same_interval(&a->share, &b->share);
    check_same_interval(&a->estimate.mean_interval, &b->estimate.mean_interval);
    check_same_interval(&a->estimate.median_interval, &b->estimate.median_interval);
    CU_ASSERT_TRUE(a->outcome == b->outcome && a->by_interval == b->by_interval && a->by_point == b->by_point);
    CU_ASSERT_EQUAL(a->needed_to_decide, b->needed_to_decide);
}

static void test_the_order_of_the_input_does_not_matter(void)
{
    static struct plain rows[RANDOM_ROWS];

    for (int round = 0; round < 10; round++) {
        struct dk_rule rule = rule_of((enum dk_statistic)(round % 3), DK_INDICATOR_DOWNLOAD_RATE, 40000000);
        struct dk_finding first = {0};

        rule.min_gap_ns = 30 * DK_NS_PER_S;
        for (int64_t i = 0; i < RANDOM_ROWS; i++)
            rows[i] = random_plain(i);
        // Two of one device at one time: which of them is too close must not depend on the order either.
        rows[1].start_s = rows[0].start_s;
        rows[1].device = rows[0].device;
        for (int order = 0; order < 3; order++) {
            dk_auto(samples) struct dk_samples *samples = new_samples();

            for (size_t i = RANDOM_ROWS - 1; i > 0 && order > 0; i--) {
                size_t k = (size_t)dk_random_between(0, (int64_t)i);
                struct plain kept = rows[i];

                rows[i] = rows[k];
                rows[k] = kept;
            }
            for (size_t i = 0; i < RANDOM_ROWS; i++)
                CU_ASSERT_EQUAL(add(samples, &rows[i]), DK_INTAKE_TAKEN);
            // A second time: nothing of it counts.
            for (size_t i = 0; i < RANDOM_ROWS && order == 2; i++)
                CU_ASSERT_EQUAL(add(samples, &rows[i]), DK_INTAKE_DUPLICATE);

            struct dk_finding f = find(samples, &rule);

            if (order == 0)
                first = f;
            check_same(&first, &f);
        }
    }
}

static void test_a_good_sample_more_never_lowers_the_share(void)
{
    dk_auto(samples) struct dk_samples *samples = new_samples();
    const struct dk_rule rule = rule_of(DK_STATISTIC_SHARE, DK_INDICATOR_DOWNLOAD_RATE, 40000000);
    struct dk_finding before = {0};

    for (int64_t i = 0; i < 150; i++) {
        bool good = dk_random_between(0, 9) > 0;

        CU_ASSERT_EQUAL(add(samples, &(struct plain){.number = i, .start_s = i * 60,
                                                     .rate_bps = good ? 50000000 : 10000000}),
                        DK_INTAKE_TAKEN);

        struct dk_finding f = find(samples, &rule);

        if (i > 0 && good)
            CU_ASSERT_TRUE(f.share_ppm >= before.share_ppm && f.share.low >= before.share.low);
        if (i > 0 && !good)
            CU_ASSERT_TRUE(f.share_ppm <= before.share_ppm && f.share.low <= before.share.low);
        before = f;
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(test_rows_that_are_taken_and_refused),
        DK_CASE(test_lines_of_csv),
        DK_CASE(test_records),
        DK_CASE(test_duplicates_do_not_count),
        DK_CASE(test_what_does_not_count),
        DK_CASE(test_gaps),
        DK_CASE(test_outcomes),
        DK_CASE(test_a_rule_that_refers_to_the_site),
        DK_CASE(test_groups_and_periods),
        DK_CASE(test_days_and_instants),
        DK_CASE(test_the_order_of_the_input_does_not_matter),
        DK_CASE(test_a_good_sample_more_never_lowers_the_share),
        {0},
    };

    return dk_harness_main(argc, argv, "assess", cases);
}
