// SPDX-License-Identifier: Apache-2.0
#include "config/campaign.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

#define HOUR_NS (INT64_C(3600) * DK_NS_PER_S)

static const char plan[] = "[campaign]\nid = hall-4g\ntitle = \"Nhà văn hóa\"\nfrom = 2026-11-20\nto = 2026-11-21\n"
                           "gap = 30s\nhours = 6-10, 14-18\n"
                           "[stratum indoor]\ntechnology = 4g\nenvironment = indoor\nsamples = 5\n"
                           "[stratum outside]\ntechnology = 4g\nsamples = 2\n";

static struct dk_campaign read_plan(void)
{
    struct dk_campaign campaign = {0};
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL_FATAL(dk_campaign_read_text(&campaign, "plan", plan, strlen(plan), &fault), DK_OK);
    return campaign;
}

// A moment of 2026-11-20 in Vietnam.
static struct dk_wall at(int hour, int minute, int second)
{
    struct dk_wall when = {0};

    CU_ASSERT_TRUE_FATAL(dk_wall_parse("2026-11-19T17:00:00.000Z", &when));
    when.ns += hour * HOUR_NS + (minute * 60 + second) * DK_NS_PER_S;
    return when;
}

static void plan_is_read(void)
{
    struct dk_campaign campaign = read_plan();

    CU_ASSERT_STRING_EQUAL(campaign.id, "hall-4g");
    CU_ASSERT_EQUAL(campaign.from.ns, at(0, 0, 0).ns);
    CU_ASSERT_EQUAL(campaign.to.ns, at(48, 0, 0).ns);
    CU_ASSERT_EQUAL(campaign.bands, 2);
    CU_ASSERT_EQUAL(campaign.strata, 2);
    CU_ASSERT_EQUAL(dk_campaign_per_band(&campaign, 0), 3);
    CU_ASSERT_EQUAL(dk_campaign_stratum(&campaign, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR), 0);
    CU_ASSERT_EQUAL(dk_campaign_stratum(&campaign, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_MOVING), 1);
    CU_ASSERT_EQUAL(dk_campaign_stratum(&campaign, DK_TECHNOLOGY_AUTO, DK_ENVIRONMENT_INDOOR), 0);
    CU_ASSERT_EQUAL(dk_campaign_stratum(&campaign, DK_TECHNOLOGY_5G, DK_ENVIRONMENT_INDOOR), -1);
    CU_ASSERT_EQUAL(dk_campaign_band(&campaign, at(5, 59, 59)), -1);
    CU_ASSERT_EQUAL(dk_campaign_band(&campaign, at(6, 0, 0)), 0);
    CU_ASSERT_EQUAL(dk_campaign_band(&campaign, at(10, 0, 0)), -1);
    CU_ASSERT_EQUAL(dk_campaign_band(&campaign, at(17, 59, 59)), 1);
}

static void nonsense_is_refused_by_name(void)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "empty"},
        {"[campaign]\nid = x\nfrom = 2026-11-20\nto = 2026-11-21\n", "at least one [stratum"},
        {"[stratum a]\nsamples = 1\n", "has [campaign]"},
        {"[campaign]\nfrom = 2026-11-20\nto = 2026-11-21\n[stratum a]\nsamples = 1\n", "\"id\" is missing"},
        {"[campaign]\nid = X\n", "lower-case"},
        {"[campaign]\nid = x\nfrom = 2026-11-31\n", "a day"},
        {"[campaign]\nid = x\nfrom = 20.11.2026\n", "a day"},
        {"[campaign]\nid = x\nfrom = 2026-11-21\nto = 2026-11-20\n[stratum a]\nsamples = 1\n", "before from"},
        {"[campaign]\nid = x\nhours = 10-6\n", "bands"},
        {"[campaign]\nid = x\nhours = 6-10, 9-12\n", "bands"},
        {"[campaign]\nid = x\nhours = 6-25\n", "bands"},
        {"[campaign]\nid = x\nhours = 6-10,\n", "bands"},
        {"[campaign]\nid = x\nhours = 06-10\n", "bands"},
        {"[campaign]\nid = x\ngap = 2d\n", "1 d"},
        {"[campaign]\nid = x\ngaps = 2s\n", "unknown key"},
        {"[stratum A]\nsamples = 1\n", "lower-case"},
        {"[stratum a]\nsamples = 0\n", "1 to 1000000"},
        {"[stratum a]\nsamples = 010\n", "1 to 1000000"},
        {"[stratum a]\ntechnology = auto\nsamples = 1\n", "4g, 5g, fixed"},
        {"[stratum a]\ntechnology = 4g\n", "\"samples\" is missing"},
        {"[else]\na = 1\n", "unknown section"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dk_campaign campaign = {.strata = 77};
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL(dk_campaign_read_text(&campaign, "plan", cases[i].text, strlen(cases[i].text), &fault),
                        DK_ERR_CONFIG);
        CU_ASSERT_EQUAL(campaign.strata, 77);
        if (strstr(fault.what, cases[i].said) == NULL)
            printf("    case %zu: %s\n", i, fault.what);
        CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, cases[i].said));
    }
}

static void samples_are_counted_where_they_belong(void)
{
    struct dk_campaign campaign = read_plan();
    struct dk_campaign_tally tally = {0};
    struct dk_wall next = {0};

    CU_ASSERT_TRUE(dk_campaign_next(&campaign, &tally, at(1, 0, 0), &next));
    CU_ASSERT_EQUAL(next.ns, at(6, 0, 0).ns);
    dk_campaign_count(&campaign, &tally, true, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR, at(6, 0, 0), at(6, 0, 20));
    CU_ASSERT_TRUE(dk_campaign_next(&campaign, &tally, at(6, 0, 21), &next));
    CU_ASSERT_EQUAL(next.ns, at(6, 0, 50).ns);
    // Too early: 29 s after the last one's end.
    dk_campaign_count(&campaign, &tally, true, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR, at(6, 0, 49), at(6, 1, 0));
    // Another's run, and one of no stratum, band or time.
    dk_campaign_count(&campaign, &tally, false, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR, at(6, 2, 0), at(6, 2, 10));
    dk_campaign_count(&campaign, &tally, true, DK_TECHNOLOGY_5G, DK_ENVIRONMENT_INDOOR, at(6, 3, 0), at(6, 3, 10));
    dk_campaign_count(&campaign, &tally, true, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR, at(12, 0, 0), at(12, 0, 10));
    CU_ASSERT_EQUAL(tally.taken[0][0], 1);
    CU_ASSERT_EQUAL(tally.too_close, 1);
    CU_ASSERT_EQUAL(tally.outside, 2);
    CU_ASSERT_EQUAL(dk_campaign_missing(&campaign, &tally, 0), 4);

    // A band that is full takes no more of what the stratum needs.
    for (int i = 0; i < 9; i++)
        dk_campaign_count(&campaign, &tally, true, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR, at(14, i, 0), at(14, i, 9));
    CU_ASSERT_EQUAL(tally.taken[0][1], 9);
    CU_ASSERT_EQUAL(dk_campaign_taken(&campaign, &tally, 0), 4);
    CU_ASSERT_EQUAL(dk_campaign_missing(&campaign, &tally, 0), 1);
    CU_ASSERT_EQUAL(dk_campaign_missing(&campaign, &tally, 1), 2);

    CU_ASSERT_TRUE(dk_campaign_next(&campaign, &tally, at(19, 0, 0), &next));
    CU_ASSERT_EQUAL(next.ns, at(30, 0, 0).ns);
    CU_ASSERT_FALSE(dk_campaign_next(&campaign, &tally, at(42, 0, 0), &next));
    // A clock that was set back is no gap.
    tally.last_end = at(30, 0, 0);
    CU_ASSERT_TRUE(dk_campaign_next(&campaign, &tally, at(7, 0, 0), &next));
    CU_ASSERT_EQUAL(next.ns, at(7, 0, 0).ns);
}

static void next_is_always_a_moment_that_counts(void)
{
    struct dk_campaign campaign = read_plan();

    for (int round = 0; round < 2000; round++) {
        struct dk_wall now = {campaign.from.ns + dk_random_between(-40, 60) * HOUR_NS + dk_random_between(0, HOUR_NS)};
        struct dk_campaign_tally tally = {.last_end = {now.ns - dk_random_between(0, 60) * DK_NS_PER_S}};
        struct dk_wall next = {0};

        if (!dk_campaign_next(&campaign, &tally, now, &next))
            continue;
        CU_ASSERT_TRUE(next.ns >= now.ns && next.ns >= tally.last_end.ns + campaign.gap_ns);
        dk_campaign_count(&campaign, &tally, true, DK_TECHNOLOGY_4G, DK_ENVIRONMENT_INDOOR, next, next);
        CU_ASSERT_TRUE(tally.outside == 0 && tally.too_close == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(plan_is_read),
        DK_CASE(nonsense_is_refused_by_name),
        DK_CASE(samples_are_counted_where_they_belong),
        DK_CASE(next_is_always_a_moment_that_counts),
        {0},
    };

    return dk_harness_main(argc, argv, "campaign", cases);
}
