// SPDX-License-Identifier: Apache-2.0
//
// CUnit through one main that cannot be green by accident: it fails when a suite cannot start, when fewer cases ran
// than were listed, when none is listed, and when a case asserts nothing.
//
//   static void test_of_something(void) { CU_ASSERT_EQUAL(f(1), 2); }
//   int main(int argc, char **argv)
//   {
//       static const struct dk_case cases[] = {DK_CASE(test_of_something), {0}};
//       return dk_harness_main(argc, argv, "something", cases);
//   }
//
// --seed N (or DK_SEED) repeats the random input of an earlier run; the seed in use is printed.
#pragma once

#include <CUnit/CUnit.h>
#include <stdint.h>

struct dk_case {
    const char *name;
    void (*run)(void);
};

#define DK_CASE(function) {#function, function}

// Runs the cases up to the one without a name. Returns the exit status of the program.
int dk_harness_main(int argc, char **argv, const char *suite, const struct dk_case cases[]);

// The next number of the seeded stream; each case starts the stream anew, so cases do not depend on each other.
uint64_t dk_random(void);

// A number from `low` to `high`, both included.
int64_t dk_random_between(int64_t low, int64_t high);

// A fresh directory for this case, removed with all it holds when the case ends.
const char *dk_harness_directory(void);
