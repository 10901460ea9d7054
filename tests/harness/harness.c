// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/harness.h"

#include <CUnit/Basic.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed, state;
static char directory[PATH_MAX];
static unsigned asserts_before, cases_without_assertion;

uint64_t dk_random(void)
{
    // splitmix64: small, and the same on every machine.
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t dk_random_between(int64_t low, int64_t high)
{
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;

    return (int64_t)((uint64_t)low + (span == 0 ? dk_random() : dk_random() % span));
}

const char *dk_harness_directory(void)
{
    if (directory[0] == '\0') {
        const char *parent = getenv("TMPDIR");

        snprintf(directory, sizeof directory, "%s/dokiem-test-XXXXXX", parent == NULL ? "/tmp" : parent);
        if (mkdtemp(directory) == NULL) {
            perror("mkdtemp");
            exit(99);
        }
    }
    return directory;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void before_case(const CU_pTest test, const CU_pSuite suite)
{
    (void)suite;
    (void)test;
    state = seed;
    asserts_before = CU_get_number_of_asserts();
}

static void after_case(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
    (void)suite;
    if (CU_get_number_of_asserts() == asserts_before) {
        printf("not ok - %s: asserts nothing\n", test->pName);
        cases_without_assertion++;
    } else {
        printf("%s - %s\n", failure == NULL ? "ok" : "not ok", test->pName);
    }
    for (CU_pFailureRecord f = failure; f != NULL; f = f->pNext)
        printf("    %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    fflush(stdout);
    if (directory[0] != '\0') {
        nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        directory[0] = '\0';
    }
}

int dk_harness_main(int argc, char **argv, const char *suite, const struct dk_case cases[])
{
    const char *given = getenv("DK_SEED");
    unsigned count = 0;

    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        given = argv[2];
    else if (argc != 1) {
        fprintf(stderr, "usage: %s [--seed N]\n", argv[0]);
        return 64;
    }
    if (given != NULL) {
        seed = strtoull(given, NULL, 10);
    } else {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        seed = (uint64_t)now.tv_sec * UINT64_C(1000000007) ^ (uint64_t)now.tv_nsec;
    }
    printf("suite %s, seed %" PRIu64 "\n", suite, seed);

    setenv("TZ", "Asia/Ho_Chi_Minh", 1);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 99;

    CU_pSuite registered = CU_add_suite(suite, NULL, NULL);

    for (; registered != NULL && cases[count].name != NULL; count++)
        if (CU_add_test(registered, cases[count].name, cases[count].run) == NULL)
            return 99;
    if (registered == NULL || count == 0) {
        fprintf(stderr, "%s: no case to run\n", suite);
        return 99;
    }
    CU_set_error_action(CUEA_FAIL);
    CU_set_test_start_handler(before_case);
    CU_set_test_complete_handler(after_case);

    CU_ErrorCode code = CU_run_all_tests();
    unsigned ran = CU_get_number_of_tests_run();
    unsigned failures = CU_get_number_of_failures();
    unsigned failed_suites = CU_get_number_of_suites_failed();

    CU_cleanup_registry();
    printf("%s: %u of %u cases ran, %u failed assertions, %u cases without assertion\n", suite, ran, count,
           failures, cases_without_assertion);
    return code == CUE_SUCCESS && ran == count && failures == 0 && failed_suites == 0 &&
                   cases_without_assertion == 0
               ? 0
               : 1;
}
