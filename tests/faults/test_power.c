// SPDX-License-Identifier: Apache-2.0
//
// The power goes at each point of the journal's write path; also after a process was killed at each point and another
// one went on. What was confirmed, or sent to a collector, is there when the power comes back.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/faults/disk.h"
#include "tests/faults/inject.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"

// Cuts the power after each change from `first` on, in every way.
static int64_t cut_from(size_t first)
{
    int64_t cuts = 0;

    disk_stop();
    for (size_t changes = first; changes <= disk_changes(); changes++)
        for (unsigned choice = 0;; choice++) {
            char state[4200];
            const char *to = story_other();

            if (!disk_cut(changes, choice, to))
                break;
            snprintf(state, sizeof state, "%s/a/state", to);

            bool good = story_holds(state, changes);

            CU_ASSERT(good);
            if (!good)
                printf("    power cut after change %zu of %zu, choice %u\n", changes, disk_changes(), choice);
            cuts++;
        }
    return cuts;
}

static void test_power(void)
{
    for (int old_files = 0; old_files <= 1; old_files++) {
        const struct inject plan = {.old_files = old_files};
        const char *root = story_begin();
        char state[4200];

        snprintf(state, sizeof state, "%s/a/state", root);
        disk_start(root, 0);
        inject_start("power", &plan);
        for (int i = 0; i < 4; i++) {
            CU_ASSERT_EQUAL(story_run(state, i == 3), DK_OK);
            if (i == 2)
                CU_ASSERT_EQUAL(story_deliver(state), DK_OK);
        }
        CU_ASSERT_EQUAL(story_drop(state), DK_OK);
        CU_ASSERT_EQUAL(story_drop(state), DK_OK);
        inject_stop();
        printf("    %" PRId64 " cuts\n", cut_from(0));
        story_end();
    }
}

static void first_life(const char *state)
{
    if (story_run(state, false) == DK_OK && story_run(state, false) == DK_OK && story_deliver(state) == DK_OK &&
        story_run(state, true) == DK_OK)
        (void)!story_drop(state);
}

static void test_kill_then_power(void)
{
    int64_t at = 1, cuts = 0, calls;

    do {
        const struct inject plan = {.at = at, .dead = true};
        const char *root = story_begin();
        char state[4200];

        snprintf(state, sizeof state, "%s/a/state", root);
        disk_start(root, 0);
        inject_start("kill", &plan);
        first_life(state);
        calls = inject_stop();

        size_t changes = disk_changes();

        // A delivery before any run has no journal yet.
        if (story_deliver(state) != DK_OK)
            CU_ASSERT(story_holds(state, 0));
        CU_ASSERT_EQUAL(story_drop(state), DK_OK);
        CU_ASSERT(story_holds(state, SIZE_MAX));
        cuts += cut_from(changes);
        story_end();
    } while (at++ <= calls);
    printf("    killed at %" PRId64 " points; %" PRId64 " cuts\n", at - 2, cuts);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_power), DK_CASE(test_kill_then_power), {0}};

    return dk_harness_main(argc, argv, "power", cases);
}
