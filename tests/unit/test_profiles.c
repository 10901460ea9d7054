// SPDX-License-Identifier: Apache-2.0
//
// One run judged by the shipped profiles, around their thresholds, and by profiles made at random.
#include "agent/judge/judge.h"
#include "tests/harness/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MBPS         INT64_C(1'000'000)
#define MS           INT64_C(1'000'000)

static const struct dk_validity valid = {.state = DK_VALIDITY_VALID};

// Exact figures: intervals without width.
static struct dk_measurement exact(int64_t download_bps, int64_t upload_bps, int64_t rtt_ns)
{
    struct dk_throughput down = {.status = DK_STATUS_OK,
                                 .rate_bps = download_bps,
                                 .rate_low_bps = download_bps,
                                 .rate_high_bps = download_bps,
                                 .rate_whole_bps = download_bps};
    struct dk_throughput up = down;

    up.rate_bps = up.rate_low_bps = up.rate_high_bps = up.rate_whole_bps = upload_bps;
    return (struct dk_measurement){.server = {.status = DK_STATUS_OK, .connect_ns = 9 * INT64_C(1'000'000'000)},
                                   .download = down,
                                   .upload = up,
                                   .latency_idle = {.status = DK_STATUS_OK,
                                                    .received = 50,
                                                    .rtt_min_ns = rtt_ns,
                                                    .rtt_median_ns = rtt_ns,
                                                    .rtt_p95_ns = rtt_ns}};
}

static void judge(const char *profile, enum dk_technology technology, const struct dk_site *site,
                  const struct dk_measurement *measurement, struct dk_verdict *out)
{
    struct dk_context context = {.link = {.technology = technology}};
    struct dk_rules rules;

    CU_ASSERT_EQUAL_FATAL(dk_rules_load(&rules, profile, NULL), DK_OK);
    dk_judge(&rules, measurement, &context, site, &valid, out);
}

// "rule outcome threshold; …"
static void write_checks(const struct dk_verdict *verdict, struct dk_buf *out)
{
    for (size_t i = 0; i < verdict->count; i++) {
        const struct dk_check *check = &verdict->checks[i];

        CU_ASSERT_EQUAL(dk_buf_printf(out, "%s%s %s %" PRId64, i > 0 ? "; " : "", check->rule.id,
                                      dk_outcome_text(check->outcome),
                                      check->has_threshold ? check->rule.threshold : -1),
                        DK_OK);
    }
}

static const struct dk_site nowhere = {0};
static const struct dk_site office = {.subscriber = DK_SUBSCRIBER_ORGANISATION};
static const struct dk_site home = {.subscriber = DK_SUBSCRIBER_HOUSEHOLD};
static const struct dk_site tariff = {.rate_bps = {[DK_SITE_RATE_SUBSCRIBED_DOWNLOAD] = 150 * MBPS,
                                                   [DK_SITE_RATE_SUBSCRIBED_UPLOAD] = 75 * MBPS}};
// 0.8 · 100000001 = 80000000.8: the next whole bit/s is asked for.
static const struct dk_site odd = {.rate_bps = {[DK_SITE_RATE_SUBSCRIBED_DOWNLOAD] = 100 * MBPS + 1}};
static const struct dk_site declared = {.rate_bps = {[DK_SITE_RATE_DECLARED_DOWNLOAD] = 15 * MBPS,
                                                     [DK_SITE_RATE_DECLARED_UPLOAD] = 2'500'000,
                                                     [DK_SITE_RATE_MINIMUM_DOWNLOAD] = 5 * MBPS}};

static const struct {
    const char *profile;
    enum dk_technology technology;
    const struct dk_site *site;
    int64_t download_bps, upload_bps, rtt_ns;
    enum dk_outcome outcome;
    const char *checks;
} rows[] = {
    {"vn-2025", DK_TECHNOLOGY_4G, &nowhere, 40 * MBPS, 1, MS, DK_OUTCOME_PASS, "download-4g pass 40000000"},
    {"vn-2025", DK_TECHNOLOGY_4G, &nowhere, 40 * MBPS - 1, 1, MS, DK_OUTCOME_FAIL, "download-4g fail 40000000"},
    {"vn-2025", DK_TECHNOLOGY_5G, &nowhere, 100 * MBPS, 1, MS, DK_OUTCOME_PASS, "download-5g pass 100000000"},
    {"vn-2025", DK_TECHNOLOGY_5G, &nowhere, 100 * MBPS - 1, 1, MS, DK_OUTCOME_FAIL, "download-5g fail 100000000"},
    {"vn-2025", DK_TECHNOLOGY_FIXED, &nowhere, 200 * MBPS, 1, MS, DK_OUTCOME_PASS, "download-fixed pass 200000000"},
    {"vn-2025", DK_TECHNOLOGY_FIXED, &home, 200 * MBPS - 1, 1, MS, DK_OUTCOME_FAIL, "download-fixed fail 200000000"},
    {"vn-2025", DK_TECHNOLOGY_FIXED, &office, 200 * MBPS, 1, MS, DK_OUTCOME_FAIL,
     "download-fixed pass 200000000; download-organisation fail 1000000000"},
    {"vn-2025", DK_TECHNOLOGY_FIXED, &office, 1000 * MBPS, 1, MS, DK_OUTCOME_PASS,
     "download-fixed pass 200000000; download-organisation pass 1000000000"},
    {"qcvn-34-2022", DK_TECHNOLOGY_FIXED, &nowhere, 500 * MBPS, 500 * MBPS, 50 * MS, DK_OUTCOME_PASS,
     "download not_applicable -1; upload not_applicable -1; delay pass 50000000"},
    {"qcvn-34-2022", DK_TECHNOLOGY_FIXED, &tariff, 120 * MBPS, 60 * MBPS, 50 * MS, DK_OUTCOME_PASS,
     "download pass 120000000; upload pass 60000000; delay pass 50000000"},
    {"qcvn-34-2022", DK_TECHNOLOGY_FIXED, &tariff, 120 * MBPS - 1, 60 * MBPS - 1, 50 * MS + 1, DK_OUTCOME_FAIL,
     "download fail 120000000; upload fail 60000000; delay fail 50000000"},
    {"qcvn-34-2022", DK_TECHNOLOGY_FIXED, &odd, 80 * MBPS, 1, MS, DK_OUTCOME_FAIL,
     "download fail 80000001; upload not_applicable -1; delay pass 50000000"},
    {"qcvn-34-2022", DK_TECHNOLOGY_FIXED, &odd, 80 * MBPS + 1, 1, MS, DK_OUTCOME_PASS,
     "download pass 80000001; upload not_applicable -1; delay pass 50000000"},
    {"qcvn-34-2022", DK_TECHNOLOGY_4G, &tariff, 1, 1, MS, DK_OUTCOME_NOT_APPLICABLE, ""},
    // An access of 9 s, and shares and failures, are not judged by one run.
    {"qcvn-81-2019", DK_TECHNOLOGY_4G, &nowhere, 1, 1, MS, DK_OUTCOME_NOT_APPLICABLE,
     "download not_applicable -1; upload not_applicable -1"},
    {"qcvn-81-2019", DK_TECHNOLOGY_4G, &declared, 15 * MBPS, 2'500'000, MS, DK_OUTCOME_PASS,
     "download pass 15000000; upload pass 2500000"},
    {"qcvn-81-2019", DK_TECHNOLOGY_4G, &declared, 15 * MBPS - 1, 2'499'999, MS, DK_OUTCOME_FAIL,
     "download fail 15000000; upload fail 2500000"},
    {"qcvn-126-2021", DK_TECHNOLOGY_5G, &nowhere, 100 * MBPS, 30 * MBPS, 50 * MS, DK_OUTCOME_PASS,
     "download pass 100000000; upload pass 30000000; delay pass 50000000"},
    {"qcvn-126-2021", DK_TECHNOLOGY_5G, &nowhere, 100 * MBPS, 30 * MBPS - 1, 50 * MS, DK_OUTCOME_FAIL,
     "download pass 100000000; upload fail 30000000; delay pass 50000000"},
    {"qcvn-126-2021", DK_TECHNOLOGY_5G, &nowhere, 100 * MBPS - 1, 30 * MBPS, 50 * MS + 1, DK_OUTCOME_FAIL,
     "download fail 100000000; upload pass 30000000; delay fail 50000000"},
    {"daklak-2023", DK_TECHNOLOGY_4G, &nowhere, 40 * MBPS, 1, MS, DK_OUTCOME_PASS, "download-4g pass 40000000"},
    {"daklak-2023", DK_TECHNOLOGY_5G, &nowhere, 40 * MBPS - 1, 1, MS, DK_OUTCOME_FAIL, "download-5g fail 40000000"},
    {"daklak-2023", DK_TECHNOLOGY_FIXED, &nowhere, 75 * MBPS, 1, MS, DK_OUTCOME_PASS, "download-fixed pass 75000000"},
    {"daklak-2023", DK_TECHNOLOGY_FIXED, &office, 75 * MBPS - 1, 1, MS, DK_OUTCOME_FAIL,
     "download-fixed fail 75000000"},
    {"vn-2030", DK_TECHNOLOGY_FIXED, &nowhere, 1000 * MBPS, 1, MS, DK_OUTCOME_PASS, "download-fixed pass 1000000000"},
    {"vn-2030", DK_TECHNOLOGY_FIXED, &nowhere, 1000 * MBPS - 1, 1, MS, DK_OUTCOME_FAIL,
     "download-fixed fail 1000000000"},
    {"vn-2030", DK_TECHNOLOGY_5G, &nowhere, 1, 1, MS, DK_OUTCOME_NOT_APPLICABLE, ""},
    {"xgspon-10g", DK_TECHNOLOGY_FIXED, &nowhere, 10000 * MBPS, 10000 * MBPS, MS, DK_OUTCOME_PASS,
     "download pass 10000000000; upload pass 10000000000"},
    {"xgspon-10g", DK_TECHNOLOGY_FIXED, &nowhere, 10000 * MBPS - 1, 10000 * MBPS, MS, DK_OUTCOME_FAIL,
     "download fail 10000000000; upload pass 10000000000"},
};

static void shipped_profiles_judge_around_their_thresholds(void)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct dk_measurement m = exact(rows[i].download_bps, rows[i].upload_bps, rows[i].rtt_ns);
        dk_auto_buf struct dk_buf checks = dk_buf_make(1000);
        struct dk_verdict verdict;

        judge(rows[i].profile, rows[i].technology, rows[i].site, &m, &verdict);
        write_checks(&verdict, &checks);
        if (strcmp(dk_buf_text(&checks), rows[i].checks) != 0)
            printf("    row %zu: \"%s\"\n", i, dk_buf_text(&checks));
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&checks), rows[i].checks);
        CU_ASSERT_EQUAL(verdict.outcome, rows[i].outcome);
    }
}

static void what_cannot_be_applied_says_why(void)
{
    struct dk_measurement m = exact(1, 1, MS);
    struct dk_verdict verdict;
    struct dk_rules share = {.count = 1};
    const struct dk_context on_5g = {.link = {.technology = DK_TECHNOLOGY_5G}};

    judge("qcvn-81-2019", DK_TECHNOLOGY_4G, &nowhere, &m, &verdict);
    CU_ASSERT_STRING_EQUAL(verdict.reason, "no rule can be applied without what it refers to");
    CU_ASSERT_EQUAL_FATAL(verdict.count, 2);
    CU_ASSERT_STRING_EQUAL(verdict.checks[0].reason, "site.declared_download is not set: the rule refers to it");
    CU_ASSERT_STRING_EQUAL(verdict.checks[1].reason, "site.declared_upload is not set: the rule refers to it");
    CU_ASSERT_FALSE(verdict.checks[0].has_value);
    CU_ASSERT_TRUE(verdict.checks[0].rule.unconfirmed && verdict.checks[0].rule.note[0] != '\0');
    judge("vn-2030", DK_TECHNOLOGY_5G, &nowhere, &m, &verdict);
    CU_ASSERT_STRING_EQUAL(verdict.reason, "the profile has no rule for 5g");
    m.download.status = m.upload.status = DK_STATUS_NOT_MEASURED;
    judge("xgspon-10g", DK_TECHNOLOGY_FIXED, &nowhere, &m, &verdict);
    CU_ASSERT_STRING_EQUAL(verdict.reason, "nothing that the rules look at was measured");
    share.rules[0] = (struct dk_rule){.technology = DK_TECHNOLOGY_5G, .statistic = DK_STATISTIC_SHARE, .threshold = 1};
    dk_judge(&share, &m, &on_5g, &nowhere, &valid, &verdict);
    CU_ASSERT_STRING_EQUAL(verdict.reason, "the profile's rules for 5g are about sets of samples");
    CU_ASSERT_EQUAL(verdict.count, 0);
}

static const char *pick(const char *const words[], size_t count)
{
    return words[dk_random_between(0, (int64_t)count - 1)];
}
#define PICK(...) pick((const char *const[]){__VA_ARGS__}, COUNT(((const char *const[]){__VA_ARGS__})))

// A profile of up to 12 rules from parts that mostly fit each other.
static void write_profile(struct dk_buf *out)
{
    int64_t count = dk_random_between(1, 12);

    CU_ASSERT_EQUAL(dk_buf_printf(out, "[profile]\nid = r\nversion = 1\ntitle = t\n"), DK_OK);
    for (int64_t i = 0; i < count; i++) {
        bool status = dk_random_between(0, 4) == 0, time = !status && dk_random_between(0, 4) == 0;
        bool share = !status && dk_random_between(0, 3) == 0, odd_one = dk_random_between(0, 60) == 0;

        CU_ASSERT_EQUAL(
            dk_buf_printf(out,
                          "[rule r%d]\nfamily = %s\nbasis = b\n%stechnology = %s\n%s%sindicator = %s\n%sop = %s\n"
                          "threshold = %s\nmin_samples = %s\n%s%s",
                          (int)i, PICK("qcvn", "target"), PICK("", "confirmed = yes\n", "confirmed = no\nnote = n\n"),
                          PICK("4g", "5g", "fixed"), PICK("", "", "environment = any\n", "environment = indoor\n"),
                          PICK("", "", "subscriber = household\n", "subscriber = organisation\n"),
                          status ? PICK("server.status", "download.status", "upload.status")
                          : time ? PICK("latency.idle.rtt_median_ns", "server.access_ns")
                                 : PICK("download.rate_bps", "download.rate_whole_bps", "upload.rate_bps",
                                        "upload.rate_whole_bps"),
                          status ? "statistic = failures\n"
                          : share ? "statistic = share\nshare = 95 %\n"
                                  : PICK("", "statistic = mean\n", "statistic = median\n"),
                          status ? "at most" : PICK("at least", "at most"),
                          odd_one ? PICK("0", "5", "1e9 Mb/s", "site.x", "* site.minimum_download")
                          : status ? PICK("5 %", "1 ppm", "100 %")
                          : time   ? PICK("50 ms", "1 us", "60 s")
                                   : PICK("40 Mb/s", "1 b/s", "1000 Gb/s", "0.8 * site.subscribed_download",
                                          "site.declared_upload", "10 * site.minimum_download",
                                          "0.000001 * site.subscribed_upload"),
                          PICK("1", "1500"), PICK("", "min_gap = 30 s\n"), PICK("", "min_samples_per_stratum = 0\n")),
            DK_OK);
    }
}

static int64_t random_amount(void)
{
    static const int64_t amounts[] = {0, 1, 40 * MBPS, 50 * MS, INT64_C(10'000'000'000), INT64_MAX};

    return dk_random_between(0, 1) == 0 ? amounts[dk_random_between(0, COUNT(amounts) - 1)]
                                        : dk_random_between(0, 300 * MBPS);
}

static struct dk_measurement random_measurement(void)
{
    struct dk_measurement m = exact(random_amount(), random_amount(), random_amount());

    m.download.rate_whole_bps = random_amount();
    m.upload.rate_low_bps = dk_random_between(0, 1) == 0 ? 0 : m.upload.rate_low_bps;
    m.download.status = (enum dk_status)dk_random_between(0, 3);
    m.upload.status = (enum dk_status)dk_random_between(0, 3);
    m.latency_idle.received = dk_random_between(0, 10);
    return m;
}

// The outcome of a check follows from its numbers, and the verdict from the checks.
static void check_consistency(const struct dk_verdict *verdict, const struct dk_rules *rules,
                              const struct dk_context *context, const struct dk_site *site)
{
    size_t expected = 0;
    bool pass = false, fail = false, inconclusive = false;

    for (size_t i = 0; i < rules->count; i++)
        expected += dk_rule_is_about(&rules->rules[i], context->link.technology, site) &&
                            dk_rule_is_for_one_run(&rules->rules[i])
                        ? 1
                        : 0;
    CU_ASSERT_EQUAL(verdict->count, expected);
    for (size_t i = 0; i < verdict->count; i++) {
        const struct dk_check *check = &verdict->checks[i];
        bool at_least = check->rule.op == DK_OP_AT_LEAST, good = check->outcome == DK_OUTCOME_PASS,
             bad = check->outcome == DK_OUTCOME_FAIL;
        int64_t threshold = check->rule.threshold;

        pass = pass || good;
        fail = fail || bad;
        inconclusive = inconclusive || check->outcome == DK_OUTCOME_INCONCLUSIVE;
        CU_ASSERT_TRUE(!good || (at_least ? check->low >= threshold : check->high <= threshold));
        CU_ASSERT_TRUE(!bad || (at_least ? check->high < threshold : check->low > threshold));
        CU_ASSERT_TRUE(!(good || bad) || (check->has_value && check->has_threshold && threshold > 0));
        CU_ASSERT_TRUE(check->has_threshold ||
                       (check->outcome == DK_OUTCOME_NOT_APPLICABLE && strstr(check->reason, "site.") != NULL &&
                        site->rate_bps[check->rule.site_rate] == 0));
        CU_ASSERT_NOT_EQUAL(check->reason[0], '\0');
    }
    CU_ASSERT_EQUAL(verdict->outcome, fail           ? DK_OUTCOME_FAIL
                                      : inconclusive ? DK_OUTCOME_INCONCLUSIVE
                                      : pass         ? DK_OUTCOME_PASS
                                                     : DK_OUTCOME_NOT_APPLICABLE);
    CU_ASSERT_EQUAL(verdict->reason[0] != '\0', verdict->outcome == DK_OUTCOME_NOT_APPLICABLE);
}

static void random_profiles_are_refused_or_judge_consistently(void)
{
    int accepted = 0, refused = 0;

    for (int round = 0; round < 2000; round++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(1 << 14);
        struct dk_context context = {.link = {.technology = (enum dk_technology)dk_random_between(1, 3)}};
        struct dk_site site = {.environment = (enum dk_environment)dk_random_between(0, 3),
                               .subscriber = (enum dk_subscriber)dk_random_between(0, 2)};
        struct dk_measurement m = random_measurement();
        struct dk_rules rules;
        struct dk_verdict verdict;
        struct dk_fault fault = {0};

        for (size_t i = 0; i < DK_SITE_RATES; i++)
            site.rate_bps[i] = dk_random_between(0, 1) == 0 ? 0 : dk_random_between(1, DK_SITE_RATE_MAX_BPS);
        write_profile(&text);

        enum dk_err err = dk_rules_read_text(&rules, "r", dk_buf_text(&text), text.len, &fault);

        CU_ASSERT_TRUE(err == DK_OK || (err == DK_ERR_CONFIG && strstr(fault.where, "threshold") != NULL));
        err == DK_OK ? accepted++ : refused++;
        if (err != DK_OK)
            continue;
        dk_judge(&rules, &m, &context, &site, &valid, &verdict);
        check_consistency(&verdict, &rules, &context, &site);
    }
    CU_ASSERT_TRUE(accepted > 1000 && refused > 10);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(shipped_profiles_judge_around_their_thresholds),
        DK_CASE(what_cannot_be_applied_says_why),
        DK_CASE(random_profiles_are_refused_or_judge_consistently),
        {0},
    };

    return dk_harness_main(argc, argv, "profiles", cases);
}
