// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.h"
#include "config/ini.h"
#include "config/rules.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define PROFILE "[profile]\nid = x\nversion = 1\ntitle = T\n"
#define RULE                                                                                                 \
    "[rule a]\nfamily = target\nbasis = B\ntechnology = 4g\nindicator = download.rate_bps\nop = at least\n"  \
    "threshold = 40 Mb/s\nmin_samples = 1\n"

#define PROFILES DK_SOURCE_ROOT "/config/profiles/"

static const char *const shipped[] = {"vn-2025",     "qcvn-34-2022", "qcvn-81-2019", "qcvn-126-2021",
                                      "daklak-2023", "vn-2030",      "xgspon-10g"};

static bool says(const struct dk_fault *fault, const char *word)
{
    bool found = strstr(fault->where, word) != NULL || strstr(fault->what, word) != NULL ||
                 strstr(fault->todo, word) != NULL;

    if (!found)
        printf("    no \"%s\" in \"%s: %s; %s\"\n", word, fault->where, fault->what, fault->todo);
    return found;
}

static void shipped_path(const char *profile, char out[static 300])
{
    snprintf(out, 300, PROFILES "%s.ini", profile);
}

static void built_in_profiles_are_the_shipped_ones(void)
{
    for (size_t i = 0; i < COUNT(shipped); i++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
        struct dk_rules built_in = {0}, from_file = {0};
        char hex[DK_SHA256_HEX_SIZE], path[300];
        struct dk_fault fault = {0};

        shipped_path(shipped[i], path);
        CU_ASSERT_EQUAL_FATAL(dk_file_read(path, &text, &fault), DK_OK);
        CU_ASSERT_EQUAL(dk_rules_load(&from_file, path, &fault), DK_OK);
        CU_ASSERT_EQUAL(dk_rules_load(&built_in, shipped[i], &fault), DK_OK);
        CU_ASSERT_STRING_EQUAL(fault.what, "");
        CU_ASSERT_EQUAL(memcmp(&built_in, &from_file, sizeof built_in), 0);
        CU_ASSERT_EQUAL(dk_sha256_hex(text.data, text.len, hex), DK_OK);
        CU_ASSERT_STRING_EQUAL(built_in.sha256, hex);
        CU_ASSERT_STRING_EQUAL(built_in.id, shipped[i]);
    }
}

// The rule in one line, without its words.
static void write_rule(const struct dk_rule *rule, struct dk_buf *out)
{
    CU_ASSERT_EQUAL(dk_buf_printf(out, "%s %s%s%s %s %s %s ", dk_rule_family_text(rule->family),
                                  dk_technology_text(rule->technology),
                                  rule->subscriber != DK_SUBSCRIBER_UNSTATED ? " " : "",
                                  rule->subscriber == DK_SUBSCRIBER_UNSTATED ? ""
                                                                             : dk_subscriber_text(rule->subscriber),
                                  dk_indicator_text(rule->indicator), dk_statistic_text(rule->statistic),
                                  dk_op_text(rule->op)),
                    DK_OK);
    CU_ASSERT_EQUAL(dk_rule_print_threshold(rule, out), DK_OK);
    if (rule->share_ppm > 0)
        CU_ASSERT_EQUAL(dk_buf_printf(out, " of %d ppm", (int)rule->share_ppm), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_printf(out, ", %d/%d, %d s%s", (int)rule->min_samples, (int)rule->min_samples_stratum,
                                  (int)(rule->min_gap_ns / 1000000000), rule->unconfirmed ? ", unconfirmed" : ""),
                    DK_OK);
}

static void shipped_rules_are_the_law_and_the_plans(void)
{
    // In the order of the profiles and their rules.
    static const struct {
        const char *profile, *rule, *says, *words; // words: that its basis must hold
    } expected[] = {
        {"vn-2025", "download-4g", "target 4g download.rate_bps mean >= 40 Mb/s, 300/0, 30 s", "QĐ 1132/QĐ-TTg"},
        {"vn-2025", "download-5g", "qcvn 5g download.rate_whole_bps mean >= 100 Mb/s, 1500/500, 30 s",
         "QCVN 126:2021/BTTTT"},
        {"vn-2025", "download-fixed", "target fixed download.rate_bps mean >= 200 Mb/s, 300/0, 30 s",
         "tốc độ trung bình 200 Mb/s"},
        {"vn-2025", "download-organisation",
         "target fixed organisation download.rate_bps mean >= 1 Gb/s, 300/0, 30 s, unconfirmed", "khu vực thành thị"},
        {"qcvn-34-2022", "download",
         "qcvn fixed download.rate_whole_bps mean >= 0.8 * site.subscribed_download, 1000/0, 0 s, unconfirmed",
         "Thông tư 20/2022/TT-BTTTT), mục 2.1"},
        {"qcvn-34-2022", "upload",
         "qcvn fixed upload.rate_whole_bps mean >= 0.8 * site.subscribed_upload, 1000/0, 0 s, unconfirmed",
         "Pu ≥ 0,8 Vu"},
        {"qcvn-34-2022", "delay", "qcvn fixed latency.idle.rtt_median_ns mean <= 50 ms, 1000/0, 0 s, unconfirmed",
         "QCVN 34:2022/BTTTT"},
        {"qcvn-81-2019", "access-failure", "qcvn 4g server.status failures <= 5 %, 1500/500, 30 s", "mục 2.1.2"},
        {"qcvn-81-2019", "access-delay", "qcvn 4g server.access_ns mean <= 5 s, 1500/500, 30 s, unconfirmed",
         "mục 2.1.3"},
        {"qcvn-81-2019", "download-dropped", "qcvn 4g download.status failures <= 5 %, 1500/500, 30 s, unconfirmed",
         "mục 2.1.4"},
        {"qcvn-81-2019", "upload-dropped", "qcvn 4g upload.status failures <= 5 %, 1500/500, 30 s, unconfirmed",
         "mục 2.1.4"},
        {"qcvn-81-2019", "download",
         "qcvn 4g download.rate_whole_bps mean >= site.declared_download, 1500/500, 30 s, unconfirmed", "mục 2.1.5"},
        {"qcvn-81-2019", "upload",
         "qcvn 4g upload.rate_whole_bps mean >= site.declared_upload, 1500/500, 30 s, unconfirmed", "mục 2.1.5"},
        {"qcvn-81-2019", "download-minimum",
         "qcvn 4g download.rate_whole_bps share >= site.minimum_download of 950000 ppm, 1500/500, 30 s, unconfirmed",
         "mục 2.1.5"},
        {"qcvn-126-2021", "download", "qcvn 5g download.rate_whole_bps mean >= 100 Mb/s, 1500/500, 30 s",
         "mục 2.1.5.2"},
        {"qcvn-126-2021", "upload", "qcvn 5g upload.rate_whole_bps mean >= 30 Mb/s, 1500/500, 30 s", "mục 2.1.5.2"},
        {"qcvn-126-2021", "download-share",
         "qcvn 5g download.rate_whole_bps share >= 30 Mb/s of 950000 ppm, 1500/500, 30 s", "mục 2.1.5.2"},
        {"qcvn-126-2021", "delay", "qcvn 5g latency.idle.rtt_median_ns mean <= 50 ms, 1500/500, 30 s", "mục 2.1.3"},
        {"qcvn-126-2021", "access-failure", "qcvn 5g server.status failures <= 5 %, 1500/500, 30 s", "mục 2.1.2"},
        {"qcvn-126-2021", "download-dropped", "qcvn 5g download.status failures <= 5 %, 1500/500, 30 s, unconfirmed",
         "mục 2.1.4"},
        {"qcvn-126-2021", "upload-dropped", "qcvn 5g upload.status failures <= 5 %, 1500/500, 30 s, unconfirmed",
         "mục 2.1.4"},
        {"daklak-2023", "download-4g", "target 4g download.rate_bps mean >= 40 Mb/s, 300/0, 30 s", "40Mbps"},
        {"daklak-2023", "download-5g", "target 5g download.rate_bps mean >= 40 Mb/s, 300/0, 30 s", "40Mbps"},
        {"daklak-2023", "download-fixed", "target fixed download.rate_bps mean >= 75 Mb/s, 300/0, 30 s", "75Mbps"},
        {"vn-2030", "download-fixed", "target fixed download.rate_bps mean >= 1 Gb/s, 300/0, 30 s, unconfirmed",
         "1Gb/s trở lên"},
        {"xgspon-10g", "download", "target fixed download.rate_bps mean >= 10 Gb/s, 300/0, 30 s, unconfirmed",
         "10 Gbps) đối xứng"},
        {"xgspon-10g", "upload", "target fixed upload.rate_bps mean >= 10 Gb/s, 300/0, 30 s, unconfirmed",
         "10 Gbps) đối xứng"},
    };
    size_t row = 0;

    for (size_t i = 0; i < COUNT(shipped); i++) {
        struct dk_rules rules = {0};

        CU_ASSERT_EQUAL_FATAL(dk_rules_load(&rules, shipped[i], NULL), DK_OK);
        for (size_t k = 0; k < rules.count; k++, row++) {
            const struct dk_rule *rule = &rules.rules[k];
            dk_auto_buf struct dk_buf line = dk_buf_make(1000);

            CU_ASSERT_TRUE_FATAL(row < COUNT(expected));
            write_rule(rule, &line);
            CU_ASSERT_STRING_EQUAL(shipped[i], expected[row].profile);
            CU_ASSERT_STRING_EQUAL(rule->id, expected[row].rule);
            CU_ASSERT_STRING_EQUAL(dk_buf_text(&line), expected[row].says);
            CU_ASSERT_PTR_NOT_NULL(strstr(rule->basis, expected[row].words));
            // A target is never called a regulation.
            CU_ASSERT_EQUAL(strstr(rule->basis, "QCVN") != NULL, rule->family == DK_RULE_FAMILY_QCVN);
        }
    }
    CU_ASSERT_EQUAL(row, COUNT(expected));
}

// In a right profile, `replace` becomes `with`.
static const struct {
    const char *replace, *with;
    const char *words[4];
} wrong[] = {
    {"id = x", "id = X", {"x.ini:2 [profile] id", "\"X\"", "lower-case"}},
    {"id = x", "id = ../x", {"lower-case"}},
    {"id = x\n", "", {"[profile]", "\"id\" is missing"}},
    {"version = 1\n", "", {"\"version\" is missing"}},
    {"title = T", "title =", {"[profile] title", "1 to 511"}},
    {"title = T", "titel = T", {"[profile] titel", "unknown key", "id, version, title"}},
    {"title = T", "title = T\ntitle = U", {"twice"}},
    {"[profile]", "[profiles]", {"unknown section", "rule NAME"}},
    {PROFILE, "", {"\"profile\" is missing"}},
    {RULE, "", {"no rule"}},
    {"[rule a]", "[rule]", {"unknown section \"rule\""}},
    {"[rule a]", "[rule a b]", {"x.ini:5", "proper name"}},
    {"[rule a]", "[rule A]", {"x.ini:5", "lower-case"}},
    {RULE, RULE RULE, {"[rule a]", "twice"}},
    {"family = target", "family = law", {"[rule a] family", "\"law\"", "qcvn, target"}},
    {"family = target\n", "", {"[rule a]", "\"family\" is missing"}},
    {"basis = B", "basis =", {"[rule a] basis", "1 to 511"}},
    {"technology = 4g", "technology = 3g", {"4g, 5g, fixed"}},
    {"technology = 4g", "technology = auto", {"4g, 5g, fixed"}},
    {"technology = 4g", "technology = unknown", {"4g, 5g, fixed"}},
    {"download.rate_bps", "download.rate", {"[rule a] indicator", "download.rate_bps, download.rate_whole_bps"}},
    {"at least", ">", {"[rule a] op", "at least, at most, >=, <="}},
    {"40 Mb/s", "40", {"[rule a] threshold", "\"40\"", "kb/s Mb/s"}},
    {"40 Mb/s", "40 MB/s", {"threshold"}},
    {"40 Mb/s", "40 ms", {"threshold"}},
    {"40 Mb/s", "040 Mb/s", {"threshold"}},
    {"40 Mb/s", "4e1 Mb/s", {"threshold"}},
    {"40 Mb/s", "-40 Mb/s", {"threshold"}},
    {"40 Mb/s", "0 Mb/s", {"threshold"}},
    {"40 Mb/s", "1001 Gb/s", {"threshold", "1000 Gb/s"}},
    {"40 Mb/s", "5 %", {"threshold"}},
    {"40 Mb/s", "0.8 * site.subscribed", {"[rule a] threshold", "FACTOR", "minimum_download"}},
    {"40 Mb/s", "0.8 * subscribed_download", {"threshold"}},
    {"40 Mb/s", "0.8  * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "0.8 site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "* site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "0 * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "10.1 * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "0.0000001 * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "-0.8 * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "0,8 * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "8e-1 * site.subscribed_download", {"threshold"}},
    {"40 Mb/s", "site.subscribed_download * 0.8", {"threshold"}},
    {"40 Mb/s", "0.8 * site.subscribed_download + 1 Mb/s", {"threshold"}},
    {"op = at", "statistic = average\nop = at", {"[rule a] statistic", "mean, median, share, failures"}},
    {"op = at", "statistic = failures\nop = at", {"server.status"}},
    {"op = at", "statistic = share\nop = at", {"share = 95 %"}},
    {"op = at", "share = 95 %\nop = at", {"no other statistic"}},
    {"op = at", "statistic = share\nshare = 0 %\nop = at", {"[rule a] share", "1 ppm to 100 %"}},
    {"op = at", "statistic = share\nshare = 95\nop = at", {"share"}},
    {"op = at", "statistic = share\nshare = 101 %\nop = at", {"share"}},
    {"download.rate_bps\n", "download.status\n", {"threshold", "1 ppm to 100 %"}},
    {"download.rate_bps\nop = at least\nthreshold = 40 Mb/s", "download.status\nop = at most\nthreshold = 5 %",
     {"statistic = failures"}},
    {"download.rate_bps\nop = at least\nthreshold = 40 Mb/s",
     "server.status\nstatistic = failures\nop = at least\nthreshold = 5 %", {"op = at most"}},
    {"download.rate_bps\nop = at least\nthreshold = 40 Mb/s",
     "server.access_ns\nop = at most\nthreshold = 0.8 * site.subscribed_download", {"threshold"}},
    {"op = at", "environment = unstated\nop = at", {"[rule a] environment", "any, indoor, outdoor, moving"}},
    {"op = at", "environment = indoors\nop = at", {"environment"}},
    {"op = at", "subscriber = unstated\nop = at", {"subscriber", "any, household, organisation"}},
    {"op = at", "confirmed = maybe\nop = at", {"[rule a] confirmed", "yes, no"}},
    {"op = at", "confirmed = no\nop = at", {"[rule a]", "a note"}},
    {"op = at", "note =\nop = at", {"note", "1 to 511"}},
    {"op = at", "min_gap = 30\nop = at", {"min_gap"}},
    {"op = at", "min_gap = 25 h\nop = at", {"min_gap", "1 d"}},
    {"op = at", "min_samples_per_stratum = 1\nop = at", {"more than a third"}},
    {"min_samples = 1", "min_samples = 3\nmin_samples_per_stratum = 1\nenvironment = indoor", {"any environment"}},
    {"title = T", "title = T\nextends = y", {"unknown key", "id, version, title"}},
    {"min_samples = 1", "min_samples = 0", {"min_samples", "1 to 1000000"}},
    {"min_samples = 1", "min_samples = 010", {"min_samples"}},
    {"min_samples = 1", "min_samples = 1.0", {"min_samples"}},
    {"min_samples = 1", "samples = 1", {"unknown key \"samples\"", "family, basis"}},
    {"min_samples = 1", "min_samples = 1 # one", {"lines of their own"}},
    {PROFILE RULE, "", {"empty"}},
};

static void wrong_profiles_are_refused_in_words(void)
{
    static const char right[] = PROFILE RULE;

    for (size_t i = 0; i < COUNT(wrong); i++) {
        const char *place = strstr(right, wrong[i].replace);
        dk_auto_buf struct dk_buf text = dk_buf_make(4096);
        struct dk_rules rules = {.count = 7};
        struct dk_fault fault = {0};

        CU_ASSERT_PTR_NOT_NULL_FATAL(place);
        CU_ASSERT_EQUAL(dk_buf_printf(&text, "%.*s%s%s", (int)(place - right), right, wrong[i].with,
                                      place + strlen(wrong[i].replace)),
                        DK_OK);

        enum dk_err err = dk_rules_read_text(&rules, "x.ini", dk_buf_text(&text), text.len, &fault);

        if (err != DK_ERR_CONFIG)
            printf("    not refused: %s\n", wrong[i].with);
        CU_ASSERT_EQUAL(err, DK_ERR_CONFIG);
        CU_ASSERT_EQUAL(rules.count, 7);
        for (size_t w = 0; w < COUNT(wrong[i].words) && wrong[i].words[w] != NULL; w++)
            CU_ASSERT_TRUE(says(&fault, wrong[i].words[w]));
    }
}

static void latency_rules_have_time_units(void)
{
    static const char text[] = PROFILE "[rule rtt]\nmin_samples = 1000\nthreshold = 50 ms\nop = <=\n"
                                       "indicator = latency.idle.rtt_median_ns\ntechnology = fixed\n"
                                       "basis = \"B; C\"\nfamily = qcvn\n";
    struct dk_rules rules = {0};
    struct dk_fault fault = {0};
    dk_auto_buf struct dk_buf printed = dk_buf_make(64);

    CU_ASSERT_EQUAL_FATAL(dk_rules_read_text(&rules, "x", text, sizeof text - 1, &fault), DK_OK);
    CU_ASSERT_EQUAL(rules.count, 1);
    CU_ASSERT_EQUAL(rules.rules[0].threshold, 50000000);
    CU_ASSERT_STRING_EQUAL(dk_op_text(rules.rules[0].op), "<=");
    CU_ASSERT_STRING_EQUAL(rules.rules[0].basis, "B; C");
    CU_ASSERT_STRING_EQUAL(dk_indicator_text(rules.rules[0].indicator), "latency.idle.rtt_median_ns");
    CU_ASSERT_EQUAL(dk_quantity_print(rules.rules[0].threshold, dk_indicator_units(rules.rules[0].indicator), " ",
                                      &printed),
                    DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&printed), "50 ms");
}

static void thresholds_follow_from_the_site(void)
{
    static const struct {
        const char *text, *printed; // printed NULL: as `text`
        enum dk_site_rate of;
        int64_t rate_bps, threshold; // 0: cannot be applied
    } cases[] = {
        {"40 Mb/s", NULL, DK_SITE_RATE_SUBSCRIBED_DOWNLOAD, 0, 40000000},
        {"0.8 * site.subscribed_download", NULL, DK_SITE_RATE_SUBSCRIBED_DOWNLOAD, 150000000, 120000000},
        {"0.8*site.subscribed_upload", "0.8 * site.subscribed_upload", DK_SITE_RATE_SUBSCRIBED_UPLOAD, 1, 1},
        {"0.8 * site.subscribed_download", NULL, DK_SITE_RATE_SUBSCRIBED_UPLOAD, 150000000, 0},
        {"site.minimum_download", NULL, DK_SITE_RATE_MINIMUM_DOWNLOAD, 2500000, 2500000},
        {"1 * site.declared_upload", "site.declared_upload", DK_SITE_RATE_DECLARED_UPLOAD, 256000, 256000},
        {"1.0 * site.declared_download", "site.declared_download", DK_SITE_RATE_DECLARED_DOWNLOAD, 5, 5},
        // Rounded up: 0.333333 · 100000001 = 33333300.333333
        {"0.333333 * site.declared_download", NULL, DK_SITE_RATE_DECLARED_DOWNLOAD, 100000001, 33333301},
        {"1.05 * site.declared_download", NULL, DK_SITE_RATE_DECLARED_DOWNLOAD, 0, 0},
        {"10 * site.subscribed_download", NULL, DK_SITE_RATE_SUBSCRIBED_DOWNLOAD, DK_SITE_RATE_MAX_BPS,
         10 * DK_SITE_RATE_MAX_BPS},
        {"0.000001 * site.subscribed_download", NULL, DK_SITE_RATE_SUBSCRIBED_DOWNLOAD, DK_SITE_RATE_MAX_BPS, 1000000},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *place = strstr(RULE, "40 Mb/s");
        dk_auto_buf struct dk_buf text = dk_buf_make(4096), printed = dk_buf_make(100);
        struct dk_site site = {.rate_bps = {0}};
        struct dk_rules rules = {0};
        int64_t threshold = -7;

        CU_ASSERT_EQUAL(dk_buf_printf(&text, PROFILE "%.*s%s%s", (int)(place - RULE), RULE, cases[i].text,
                                      place + strlen("40 Mb/s")),
                        DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_rules_read_text(&rules, "x", text.data, text.len, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_rule_print_threshold(&rules.rules[0], &printed), DK_OK);
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&printed), cases[i].printed != NULL ? cases[i].printed : cases[i].text);
        site.rate_bps[cases[i].of] = cases[i].rate_bps;
        CU_ASSERT_EQUAL(dk_rule_resolve(&rules.rules[0], &site, &threshold), cases[i].threshold > 0);
        CU_ASSERT_EQUAL(threshold, cases[i].threshold > 0 ? cases[i].threshold : -7);
    }
}

static void rules_are_about_their_samples(void)
{
    static const struct dk_site place = {DK_ENVIRONMENT_INDOOR, DK_SUBSCRIBER_ORGANISATION, {0}}, nowhere = {0};
    struct dk_rule rule = {.technology = DK_TECHNOLOGY_4G};

    CU_ASSERT_TRUE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &nowhere));
    CU_ASSERT_FALSE(dk_rule_is_about(&rule, DK_TECHNOLOGY_5G, &nowhere));
    rule.environment = DK_ENVIRONMENT_INDOOR;
    CU_ASSERT_TRUE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &place));
    CU_ASSERT_FALSE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &nowhere));
    rule.environment = DK_ENVIRONMENT_MOVING;
    CU_ASSERT_FALSE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &place));
    rule.environment = DK_ENVIRONMENT_UNSTATED;
    rule.subscriber = DK_SUBSCRIBER_ORGANISATION;
    CU_ASSERT_TRUE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &place));
    CU_ASSERT_FALSE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &nowhere));
    rule.subscriber = DK_SUBSCRIBER_HOUSEHOLD;
    CU_ASSERT_FALSE(dk_rule_is_about(&rule, DK_TECHNOLOGY_4G, &place));
}

static void too_many_rules_are_refused(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    struct dk_rules rules = {0};
    struct dk_fault fault = {0};
    const char *body = strchr(RULE, '\n');

    CU_ASSERT_EQUAL(dk_buf_append(&text, PROFILE, sizeof PROFILE - 1), DK_OK);
    for (int i = 0; i < DK_RULES_MAX; i++)
        CU_ASSERT_EQUAL_FATAL(dk_buf_printf(&text, "[rule r%d]%s", i, body), DK_OK);
    CU_ASSERT_EQUAL(dk_rules_read_text(&rules, "x", text.data, text.len, &fault), DK_OK);
    CU_ASSERT_EQUAL(rules.count, DK_RULES_MAX);
    CU_ASSERT_EQUAL(dk_buf_printf(&text, "[rule last]%s", body), DK_OK);
    CU_ASSERT_EQUAL(dk_rules_read_text(&rules, "x", text.data, text.len, &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "64 are allowed"));
}

static void profiles_are_looked_for_by_name_or_path(void)
{
    char path[160];
    struct dk_rules rules = {0};
    struct dk_fault fault = {0};

    snprintf(path, sizeof path, "%s/mine.ini", dk_harness_directory());
    CU_ASSERT_EQUAL(dk_rules_load(&rules, path, &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "mine.ini"));
    CU_ASSERT_EQUAL_FATAL(dk_file_write(dk_harness_directory(), "mine.ini", PROFILE RULE, sizeof PROFILE RULE - 1,
                                        DK_WRITE_NEW, NULL),
                          DK_OK);
    CU_ASSERT_EQUAL(dk_rules_load(&rules, path, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(rules.id, "x");
    fault = (struct dk_fault){0};
    CU_ASSERT_EQUAL(dk_rules_load(&rules, "no-such-profile", &fault), DK_ERR_CONFIG);
    CU_ASSERT_TRUE(says(&fault, "no-such-profile") && says(&fault, "built in: vn-2025"));
    CU_ASSERT_EQUAL(dk_rules_load(&rules, "", NULL), DK_ERR_CONFIG);
}

static void damaged_profiles_are_refused_or_whole(void)
{
    struct dk_buf whole[COUNT(shipped)];
    int accepted = 0, refused = 0;

    for (size_t i = 0; i < COUNT(shipped); i++) {
        char path[300];

        whole[i] = dk_buf_make(DK_INI_MAX_BYTES);
        shipped_path(shipped[i], path);
        CU_ASSERT_EQUAL_FATAL(dk_file_read(path, &whole[i], NULL), DK_OK);
    }
    for (int round = 0; round < 1500; round++) {
        const struct dk_buf *one = &whole[dk_random_between(0, COUNT(shipped) - 1)];
        dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
        struct dk_rules rules = {0};
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL_FATAL(dk_buf_append(&text, one->data, one->len), DK_OK);

        size_t place = (size_t)dk_random_between(0, (int64_t)text.len - 1);

        if (dk_random_between(0, 4) == 0)
            text.len = place + 1;
        else
            text.data[place] = (char)(text.data[place] ^ 1 << dk_random_between(0, 7));

        enum dk_err err = dk_rules_read_text(&rules, "x", text.data, text.len, &fault);

        CU_ASSERT_TRUE(err == DK_OK ? rules.count >= 1 && rules.count <= 7
                                    : err == DK_ERR_CONFIG && fault.what[0] != '\0' && rules.count == 0);
        err == DK_OK ? accepted++ : refused++;
        for (size_t i = 0; i < rules.count; i++)
            CU_ASSERT_TRUE((rules.rules[i].threshold > 0) != (rules.rules[i].factor_ppm > 0) &&
                           rules.rules[i].min_samples > 0 &&
                           rules.rules[i].basis[0] != '\0' && rules.rules[i].id[0] != '\0');
    }
    CU_ASSERT_TRUE(accepted > 0 && refused > 0);
    for (size_t i = 0; i < COUNT(shipped); i++)
        dk_buf_free(&whole[i]);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(built_in_profiles_are_the_shipped_ones),
        DK_CASE(shipped_rules_are_the_law_and_the_plans),
        DK_CASE(wrong_profiles_are_refused_in_words),
        DK_CASE(latency_rules_have_time_units),
        DK_CASE(thresholds_follow_from_the_site),
        DK_CASE(rules_are_about_their_samples),
        DK_CASE(too_many_rules_are_refused),
        DK_CASE(profiles_are_looked_for_by_name_or_path),
        DK_CASE(damaged_profiles_are_refused_or_whole),
        {0},
    };

    return dk_harness_main(argc, argv, "rules", cases);
}
