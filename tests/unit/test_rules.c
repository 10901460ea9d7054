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

static const char shipped_path[] = DK_SOURCE_ROOT "/config/profiles/vn-2025.ini";

static bool says(const struct dk_fault *fault, const char *word)
{
    bool found = strstr(fault->where, word) != NULL || strstr(fault->what, word) != NULL ||
                 strstr(fault->todo, word) != NULL;

    if (!found)
        printf("    no \"%s\" in \"%s: %s; %s\"\n", word, fault->where, fault->what, fault->todo);
    return found;
}

static void built_in_profile_is_the_shipped_one(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    struct dk_rules built_in = {0}, from_file = {0};
    char hex[DK_SHA256_HEX_SIZE];
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL_FATAL(dk_file_read(shipped_path, &text, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_rules_load(&from_file, shipped_path, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_rules_load(&built_in, "vn-2025", &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(fault.what, "");
    CU_ASSERT_EQUAL(memcmp(&built_in, &from_file, sizeof built_in), 0);
    CU_ASSERT_EQUAL(dk_sha256_hex(text.data, text.len, hex), DK_OK);
    CU_ASSERT_STRING_EQUAL(built_in.sha256, hex);
    CU_ASSERT_STRING_EQUAL(built_in.id, "vn-2025");
}

static void shipped_rules_are_the_law_and_the_plans(void)
{
    static const struct {
        const char *id, *words; // the words that its basis must hold
        enum dk_rule_family family;
        enum dk_technology technology;
        enum dk_indicator indicator;
        int64_t threshold, min_samples;
    } expected[] = {
        {"download-4g", "QĐ 1132/QĐ-TTg", DK_RULE_FAMILY_TARGET, DK_TECHNOLOGY_4G, DK_INDICATOR_DOWNLOAD_RATE,
         40000000, 300},
        {"download-5g", "QCVN 126:2021/BTTTT", DK_RULE_FAMILY_QCVN, DK_TECHNOLOGY_5G,
         DK_INDICATOR_DOWNLOAD_RATE_WHOLE, 100000000, 1500},
        {"download-fixed", "tốc độ trung bình 200 Mb/s", DK_RULE_FAMILY_TARGET, DK_TECHNOLOGY_FIXED,
         DK_INDICATOR_DOWNLOAD_RATE, 200000000, 300},
    };
    struct dk_rules rules = {0};

    CU_ASSERT_EQUAL_FATAL(dk_rules_load(&rules, "vn-2025", NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(rules.count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        const struct dk_rule *rule = &rules.rules[i];

        CU_ASSERT_STRING_EQUAL(rule->id, expected[i].id);
        CU_ASSERT_PTR_NOT_NULL(strstr(rule->basis, expected[i].words));
        CU_ASSERT_EQUAL(rule->family, expected[i].family);
        CU_ASSERT_EQUAL(rule->technology, expected[i].technology);
        CU_ASSERT_EQUAL(rule->indicator, expected[i].indicator);
        CU_ASSERT_EQUAL(rule->op, DK_OP_AT_LEAST);
        CU_ASSERT_EQUAL(rule->threshold, expected[i].threshold);
        CU_ASSERT_EQUAL(rule->min_samples, expected[i].min_samples);
        // A target is never called a regulation.
        CU_ASSERT_EQUAL(strstr(rule->basis, "QCVN") != NULL, rule->family == DK_RULE_FAMILY_QCVN);
    }
}

static void wrong_profiles_are_refused_in_words(void)
{
    // In a right profile, `replace` becomes `with`.
    static const struct {
        const char *replace, *with;
        const char *words[4];
    } cases[] = {
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
        {"min_samples = 1", "min_samples = 0", {"min_samples", "1 to 1000000"}},
        {"min_samples = 1", "min_samples = 010", {"min_samples"}},
        {"min_samples = 1", "min_samples = 1.0", {"min_samples"}},
        {"min_samples = 1", "samples = 1", {"unknown key \"samples\"", "family, basis"}},
        {"min_samples = 1", "min_samples = 1 # one", {"lines of their own"}},
        {PROFILE RULE, "", {"empty"}},
    };
    static const char right[] = PROFILE RULE;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *place = strstr(right, cases[i].replace);
        dk_auto_buf struct dk_buf text = dk_buf_make(4096);
        struct dk_rules rules = {.count = 7};
        struct dk_fault fault = {0};

        CU_ASSERT_PTR_NOT_NULL_FATAL(place);
        CU_ASSERT_EQUAL(dk_buf_printf(&text, "%.*s%s%s", (int)(place - right), right, cases[i].with,
                                      place + strlen(cases[i].replace)),
                        DK_OK);

        enum dk_err err = dk_rules_read_text(&rules, "x.ini", dk_buf_text(&text), text.len, &fault);

        if (err != DK_ERR_CONFIG)
            printf("    not refused: %s\n", cases[i].with);
        CU_ASSERT_EQUAL(err, DK_ERR_CONFIG);
        CU_ASSERT_EQUAL(rules.count, 7);
        for (size_t w = 0; w < COUNT(cases[i].words) && cases[i].words[w] != NULL; w++)
            CU_ASSERT_TRUE(says(&fault, cases[i].words[w]));
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
    dk_auto_buf struct dk_buf shipped = dk_buf_make(DK_INI_MAX_BYTES);
    int accepted = 0, refused = 0;

    CU_ASSERT_EQUAL_FATAL(dk_file_read(shipped_path, &shipped, NULL), DK_OK);
    for (int round = 0; round < 1500; round++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
        struct dk_rules rules = {0};
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL_FATAL(dk_buf_append(&text, shipped.data, shipped.len), DK_OK);

        size_t place = (size_t)dk_random_between(0, (int64_t)text.len - 1);

        if (dk_random_between(0, 4) == 0)
            text.len = place + 1;
        else
            text.data[place] = (char)(text.data[place] ^ 1 << dk_random_between(0, 7));

        enum dk_err err = dk_rules_read_text(&rules, "x", text.data, text.len, &fault);

        CU_ASSERT_TRUE(err == DK_OK ? rules.count >= 1 && rules.count <= 3
                                    : err == DK_ERR_CONFIG && fault.what[0] != '\0' && rules.count == 0);
        err == DK_OK ? accepted++ : refused++;
        for (size_t i = 0; i < rules.count; i++)
            CU_ASSERT_TRUE(rules.rules[i].threshold > 0 && rules.rules[i].min_samples > 0 &&
                           rules.rules[i].basis[0] != '\0' && rules.rules[i].id[0] != '\0');
    }
    CU_ASSERT_TRUE(accepted > 0 && refused > 0);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(built_in_profile_is_the_shipped_one),
        DK_CASE(shipped_rules_are_the_law_and_the_plans),
        DK_CASE(wrong_profiles_are_refused_in_words),
        DK_CASE(latency_rules_have_time_units),
        DK_CASE(too_many_rules_are_refused),
        DK_CASE(profiles_are_looked_for_by_name_or_path),
        DK_CASE(damaged_profiles_are_refused_or_whole),
        {0},
    };

    return dk_harness_main(argc, argv, "rules", cases);
}
