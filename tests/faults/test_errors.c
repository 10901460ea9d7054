// SPDX-License-Identifier: Apache-2.0
//
// Each call of the journal's write path fails in turn, in each way, once and for ever.
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/faults/disk.h"
#include "tests/faults/inject.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"

enum { RUN, FIRST_RUN, DELIVER, PRUNE, DROP, STORIES };

static const char *const titles[STORIES] = {"run", "first run", "deliver", "run and prune", "run and drop"};

// What the story may say of it.
static enum dk_err expected(const struct inject_fault *fault)
{
    if (fault->error_number == 0 && fault->times == 1)
        return DK_OK;
    return fault->error_number == EROFS ? DK_ERR_PERMISSION : DK_ERR_IO;
}

static enum dk_err tell(int story, const char *state)
{
    if (story == DROP)
        return story_drop(state);
    return story == DELIVER ? story_deliver(state) : story_run(state, story == PRUNE);
}

static void prepare(int story, const char *state)
{
    for (int i = 0; i < 3 && story != FIRST_RUN; i++) {
        CU_ASSERT_EQUAL_FATAL(story_run(state, false), DK_OK);
        if (i == 1)
            CU_ASSERT_EQUAL_FATAL(story_deliver(state), DK_OK);
    }
}

// These must be waited for, not given up.
static bool is_repeated(const char *function)
{
    return strcmp(function, "open") == 0 || strcmp(function, "openat") == 0 || strcmp(function, "read") == 0 ||
           strcmp(function, "write") == 0 || strcmp(function, "fsync") == 0 || strcmp(function, "flock") == 0;
}

// What was confirmed survives a power cut now.
static bool is_durable(void)
{
    bool holds = true;

    for (unsigned choice = 0; holds; choice++) {
        char state[4200];
        const char *to = story_other();

        if (!disk_cut(disk_changes(), choice, to))
            break;
        snprintf(state, sizeof state, "%s/a/state", to);
        holds = story_holds(state, SIZE_MAX);
    }
    return holds;
}

// One story with one fault. False when the story ended before the fault.
static bool try_one(int story, const struct inject_fault *fault, bool old_files, int64_t at)
{
    const struct inject plan = {
        .at = at, .times = fault->times, .error_number = fault->error_number, .old_files = old_files};
    const char *root = story_begin();
    char state[4200];
    int descriptors;

    snprintf(state, sizeof state, "%s/a/state", root);
    disk_start(root, 0);
    prepare(story, state);
    descriptors = story_descriptors();
    inject_start(titles[story], &plan);

    enum dk_err err = tell(story, state);
    int64_t calls = inject_stop();

    disk_stop();

    bool good = err == DK_OK || err == expected(fault);

    if (plan.error_number == EINTR && is_repeated(inject_hit()))
        good = err == DK_OK;
    // What cannot be written cannot have been done.
    if (plan.times == INJECT_FOR_EVER && strcmp(inject_hit(), "write") == 0)
        good = err == expected(fault);
    good = good && story_descriptors() == descriptors && (err != DK_OK || is_durable());
    // A state folder that could not be made is no journal yet.
    good = good && story_holds(state, SIZE_MAX) && story_run(state, false) == DK_OK && story_holds(state, SIZE_MAX) &&
           story_sweeps(state);
    CU_ASSERT(good);
    if (!good)
        printf("    %s, call %" PRId64 " (%s), %s: %s\n", titles[story], at, inject_hit(), fault->name,
               dk_err_text(err));
    story_end();
    return at <= calls;
}

// Says which calls there are, without a fault.
static void list(int story, bool old_files)
{
    const struct inject plan = {.old_files = old_files, .list = true};
    const char *root = story_begin();
    char state[4200];

    snprintf(state, sizeof state, "%s/a/state", root);
    prepare(story, state);
    inject_start(titles[story], &plan);
    CU_ASSERT_EQUAL(tell(story, state), DK_OK);
    CU_ASSERT(inject_stop() > 20);
    inject_say_functions();
    story_end();
}

static void try_all(int story)
{
    int64_t points = 0;

    for (int old_files = 0; old_files <= 1; old_files++) {
        list(story, old_files);
        for (size_t fault = 0; fault < INJECT_FAULTS; fault++)
            for (int64_t at = 1; try_one(story, &inject_faults[fault], old_files, at); at++)
                points++;
    }
    printf("    %s: %" PRId64 " faults\n", titles[story], points);
}

static void test_run(void)
{
    try_all(RUN);
}

static void test_first_run(void)
{
    try_all(FIRST_RUN);
}

static void test_deliver(void)
{
    try_all(DELIVER);
}

static void test_prune(void)
{
    try_all(PRUNE);
}

static void test_drop(void)
{
    try_all(DROP);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(test_run),   DK_CASE(test_first_run), DK_CASE(test_deliver),
        DK_CASE(test_prune), DK_CASE(test_drop),      {0}};

    return dk_harness_main(argc, argv, "errors", cases);
}
