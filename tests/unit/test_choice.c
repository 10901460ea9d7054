// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"
#include "probes/choice.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { NONE = 99, OUT = -1 };

static void table_of_cases(void)
{
    static const struct {
        const char *what;
        int64_t connect_us[5]; // OUT: did not answer; 0: the end
        size_t last, avoid;
        const char *order; // digits
    } cases[] = {
        {"one server", {20'000}, NONE, NONE, "0"},
        {"the nearest first", {30'000, 10'000, 20'000}, NONE, NONE, "120"},
        {"the earlier of two as near", {20'000, 10'000, 10'000}, NONE, NONE, "120"},
        {"who does not answer is out", {OUT, 20'000, OUT, 10'000}, NONE, NONE, "31"},
        {"the last one stays within a quarter", {40'000, 50'000, 45'000}, 1, NONE, "102"},
        {"not beyond a quarter", {40'000, 50'001, 45'000}, 1, NONE, "021"},
        {"within 2 ms of a very near one", {100, 2'100}, 1, NONE, "10"},
        {"not beyond 2 ms", {100, 2'101}, 1, NONE, "01"},
        {"2 ms and a quarter meet at 8 ms", {8'000, 10'000}, 1, NONE, "10"},
        {"the last one is the nearest", {30'000, 10'000}, 1, NONE, "10"},
        {"the last one does not answer", {30'000, OUT, 20'000}, 1, NONE, "20"},
        {"the one to avoid comes last", {10'000, 90'000, 20'000}, NONE, 0, "210"},
        {"also when it was the last one", {10'000, 90'000, 20'000}, 0, 0, "210"},
        {"also when it is the only one that answers", {OUT, 10'000, OUT}, NONE, 1, "1"},
        {"it is not what others are near to", {10'000, 40'000, 50'000}, 2, 0, "210"},
        {"nobody answers: the first says why", {OUT, OUT, OUT}, NONE, NONE, "0"},
        {"nobody answers: the last one", {OUT, OUT, OUT}, 2, NONE, "2"},
        {"nobody answers: another one", {OUT, OUT, OUT}, NONE, 0, "1"},
        {"nobody answers: another than the last", {OUT, OUT, OUT}, 0, 0, "1"},
        {"nobody answers: there is only that one", {OUT}, NONE, 0, "0"},
        {"nobody is there", {0}, NONE, NONE, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dk_candidate candidates[DK_CANDIDATES_MAX] = {0};
        size_t order[DK_CANDIDATES_MAX], count = 0;
        char got[DK_CANDIDATES_MAX + 1] = "";

        for (; count < COUNT(cases[i].connect_us) && cases[i].connect_us[count] != 0; count++) {
            bool out = cases[i].connect_us[count] == OUT;

            candidates[count].status = out ? DK_STATUS_FAILED : DK_STATUS_OK;
            candidates[count].connect_ns = out ? -1 : cases[i].connect_us[count] * DK_NS_PER_US;
        }

        size_t chosen = dk_choose_servers(candidates, count, cases[i].last, cases[i].avoid, order);

        for (size_t k = 0; k < chosen && k < DK_CANDIDATES_MAX; k++)
            got[k] = (char)('0' + order[k]);
        if (strcmp(got, cases[i].order) != 0)
            printf("    %s: %s, not %s\n", cases[i].what, got, cases[i].order);
        CU_ASSERT_STRING_EQUAL(got, cases[i].order);
    }
}

static size_t make_random(struct dk_candidate candidates[static DK_CANDIDATES_MAX])
{
    size_t count = (size_t)dk_random_between(1, DK_CANDIDATES_MAX);

    memset(candidates, 0, DK_CANDIDATES_MAX * sizeof candidates[0]);
    for (size_t i = 0; i < count; i++) {
        bool out = dk_random_between(0, 3) == 0;

        candidates[i].status = out ? DK_STATUS_FAILED : DK_STATUS_OK;
        candidates[i].connect_ns = out ? -1 : dk_random_between(0, 60) * DK_NS_PER_MS;
    }
    return count;
}

// Whoever answered is there once, and nobody else; the order is by distance but for the last and the avoided one.
static void all_that_answered_are_there_once(void)
{
    for (int round = 0; round < 5000; round++) {
        struct dk_candidate candidates[DK_CANDIDATES_MAX];
        size_t order[DK_CANDIDATES_MAX], answered = 0, seen[DK_CANDIDATES_MAX] = {0};
        size_t count = make_random(candidates), last = (size_t)dk_random_between(0, DK_CANDIDATES_MAX);
        size_t avoid = (size_t)dk_random_between(0, DK_CANDIDATES_MAX);
        size_t chosen = dk_choose_servers(candidates, count, last, avoid, order);

        for (size_t i = 0; i < count; i++)
            answered += candidates[i].status == DK_STATUS_OK;
        CU_ASSERT_EQUAL_FATAL(chosen, answered > 0 ? answered : 1);
        for (size_t k = 0; k < chosen; k++) {
            CU_ASSERT_TRUE_FATAL(order[k] < count);
            CU_ASSERT_EQUAL(seen[order[k]]++, 0);
            CU_ASSERT_TRUE(answered == 0 || candidates[order[k]].status == DK_STATUS_OK);
            CU_ASSERT_TRUE(order[k] != avoid || k == chosen - 1 || answered == 0);
            if (k > 1 && order[k] != avoid)
                CU_ASSERT_TRUE(candidates[order[k]].connect_ns >= candidates[order[k - 1]].connect_ns);
        }
    }
}

// Connect times that move by less than the margin never change the server of a series.
static void a_series_is_stable(void)
{
    for (int round = 0; round < 500; round++) {
        struct dk_candidate base[DK_CANDIDATES_MAX];
        size_t order[DK_CANDIDATES_MAX], count = make_random(base), chosen = NONE;

        for (int run = 0; run < 20; run++) {
            struct dk_candidate candidates[DK_CANDIDATES_MAX];

            memcpy(candidates, base, sizeof candidates);
            for (size_t i = 0; i < count; i++)
                if (candidates[i].status == DK_STATUS_OK)
                    candidates[i].connect_ns += dk_random_between(0, DK_NS_PER_MS);
            (void)dk_choose_servers(candidates, count, chosen, NONE, order);
            CU_ASSERT_TRUE(run == 0 || order[0] == chosen);
            chosen = order[0];
        }
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(table_of_cases),
        DK_CASE(all_that_answered_are_there_once),
        DK_CASE(a_series_is_stable),
        {0},
    };

    return dk_harness_main(argc, argv, "choice", cases);
}
