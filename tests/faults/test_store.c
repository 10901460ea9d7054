// SPDX-License-Identifier: Apache-2.0
//
// The collector's store: each call of SQLite fails in turn, in each way, once and for ever; the power goes at each
// point, also after a kill; each allocation fails in turn. Then the store opens, and what was answered is there, once,
// with the receipt that was given. A part of all that, drawn at random; all of it with DOKIEM_LONG=1.
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/database.h"
#include "tests/faults/disk.h"
#include "tests/faults/inject.h"
#include "tests/faults/intake.h"
#include "tests/faults/memory.h"
#include "tests/faults/story.h"
#include "tests/harness/harness.h"

enum { MIXES = 4 };

// One of how many is tried: `n` in the short form, all in the long one.
static int64_t share(int64_t n)
{
    const char *text = getenv("DOKIEM_LONG");

    return text != NULL && strcmp(text, "1") == 0 ? 1 : n;
}

// True for one of `n`.
static bool is_drawn(int64_t n)
{
    return dk_random_between(1, n) == 1;
}

// What is not tried at random: the calls that make something durable.
static bool is_sync(int64_t call)
{
    return strcmp(inject_function(call), "fdatasync") == 0 || strcmp(inject_function(call), "fsync") == 0;
}

static const char *begin(bool first)
{
    const char *folder = story_begin();

    intake_make();
    intake_forget();
    disk_start(folder, MIXES);
    if (!first)
        intake_first(folder);
    return folder;
}

// What was answered survives a power cut after `changes` changes: in each way, or in one of `n`.
static int64_t cut(size_t changes, int64_t n, bool *holds)
{
    int64_t cuts = 0;

    for (unsigned choice = 0; *holds; choice++) {
        // Where nothing was drawn nothing is built.
        if (choice > 0 && !is_drawn(n)) {
            if (choice > 4096)
                break;
            continue;
        }

        const char *to = story_other();

        if (!disk_cut(changes, choice, to))
            break;
        cuts++;
        *holds = intake_holds(to, changes);
        if (!*holds)
            printf("    power cut after change %zu of %zu, choice %u\n", changes, disk_changes(), choice);
    }
    return cuts;
}

static void (*const lives[])(const char *) = {intake_first, intake_next};
static const char *const titles[] = {"first", "next"};

static bool try_one(int life, const struct inject_fault *fault, int64_t at)
{
    const struct inject plan = {.at = at, .times = fault->times, .error_number = fault->error_number};
    const char *folder = begin(life == 0);
    int descriptors = story_descriptors();
    bool holds = true;

    inject_start(titles[life], &plan);
    lives[life](folder);
    inject_stop();
    disk_stop();
    cut(disk_changes(), 16, &holds);
    holds = holds && story_descriptors() == descriptors && intake_holds(folder, SIZE_MAX) && intake_goes_on(folder);
    CU_ASSERT(holds);
    if (!holds)
        printf("    %s, call %" PRId64 " (%s), %s\n", titles[life], at, inject_hit(), fault->name);
    story_end();
    return holds;
}

// How many calls there are, without a fault; says them.
static int64_t list(int life)
{
    const struct inject plan = {.list = true};
    const char *folder;

    begin(false); // what SQLite calls but once
    story_end();
    folder = begin(life == 0);
    inject_start(titles[life], &plan);
    lives[life](folder);

    int64_t calls = inject_stop();

    disk_stop();
    inject_say_functions();
    CU_ASSERT(calls > 100);
    CU_ASSERT_EQUAL(intake_answers(), life == 0 ? 3 : 3 + 3 + 4 + 3 + 1);
    story_end();
    return calls;
}

static void test_errors(void)
{
    for (int life = 0; life < 2; life++) {
        int64_t calls = list(life), points = 0, failed = 0;

        for (const struct inject_fault *fault = inject_faults; fault < inject_faults + INJECT_FAULTS; fault++)
            for (int64_t at = 1; at <= calls && failed < 5; at++)
                if ((is_sync(at) && fault->error_number == EIO) || is_drawn(share(100))) {
                    failed += !try_one(life, fault, at);
                    points++;
                }
        printf("    %s: %" PRId64 " calls, %d ways, %" PRId64 " faults tried\n", titles[life], calls, INJECT_FAULTS,
               points);
    }
}

static void test_power(void)
{
    const char *folder = begin(true);
    int64_t cuts = 0;
    bool holds = true;

    intake_first(folder);
    intake_next(folder);
    disk_stop();
    for (size_t changes = 0; changes <= disk_changes() && holds; changes++)
        cuts += cut(changes, share(20), &holds);
    CU_ASSERT(holds);
    printf("    %zu changes of the disk, %" PRId64 " cuts\n", disk_changes(), cuts);
    story_end();
}

// A collector is killed at each call, another one takes over, and then the power goes.
static void test_kill_then_power(void)
{
    int64_t calls = list(1), cuts = 0, kills = 0;
    bool holds = true;

    for (int64_t at = 1; at <= calls && holds; at++) {
        const struct inject plan = {.at = at, .killed = true};

        if (!is_sync(at) && !is_drawn(share(20)))
            continue;

        const char *folder = begin(false);
        int status = 0;

        (void)fflush(stdout);

        pid_t child = fork();

        if (child == 0) {
            inject_start("kill", &plan);
            intake_next(folder);
            _exit(0);
        }
        CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                  WEXITSTATUS(status) == INJECT_KILLED);

        size_t before = intake_answers();

        kills++;
        intake_again(folder);
        disk_stop();
        CU_ASSERT(intake_answers() >= before + INTAKE_RECORDS);
        for (size_t i = before; i < intake_answers() && holds; i++)
            cuts += cut(intake_changes(i), 30, &holds);
        CU_ASSERT(holds);
        if (!holds)
            printf("    killed at call %" PRId64 "\n", at);
        story_end();
    }
    printf("    killed at %" PRId64 " points of %" PRId64 ", %" PRId64 " cuts\n", kills, calls, cuts);
}

static void test_memory(void)
{
    int64_t counted = 0, points = 0;
    bool holds = true;

    for (int ever = 0; ever <= 1; ever++)
        for (int64_t at = 0; (at == 0 || at <= counted) && holds; at++) {
            const struct inject plan = {.at = at, .times = ever ? INJECT_FOR_EVER : 1, .allocations = true};

            if (at > 0 && !is_drawn(share(60)))
                continue;

            const char *folder = begin(false);
            int descriptors = story_descriptors();

            disk_stop();
            inject_start("memory", &plan);
            intake_short(folder);

            int64_t calls = inject_stop();

            counted = at == 0 ? calls : counted;
            points += at > 0;
            holds = story_descriptors() == descriptors && intake_holds(folder, SIZE_MAX) && intake_goes_on(folder);
            CU_ASSERT(holds);
            if (!holds)
                printf("    allocation %" PRId64 " %s\n", at, ever ? "and all after it" : "alone");
            story_end();
        }
    CU_ASSERT(counted > 100);
    printf("    %" PRId64 " allocations, %" PRId64 " faults tried\n", counted, points);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(test_errors), DK_CASE(test_power), DK_CASE(test_kill_then_power), DK_CASE(test_memory), {0}};

    memory_start();
    database_start();
    return dk_harness_main(argc, argv, "store", cases);
}
