// SPDX-License-Identifier: Apache-2.0
//
// Faults in the calls of the journal's write path. The test programs are linked with `--wrap` for each of these calls,
// so the code under test is the shipped one. fsync() is only pretended: what it means is judged by disk.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define INJECT_FOR_EVER INT64_MAX

struct inject {
    int64_t at;       // number of the first call that fails, counted from 1; 0: none does
    int64_t times;    // how many calls fail, of the function that was hit first
    int error_number; // 0: write() is short once, and the next write() fails with ENOSPC when `times` is not 1
    bool dead;        // all calls fail from `at` on, as after the end of the process
    bool old_files;   // renameat2() knows no flags, as on some file systems
    bool allocations; // counts and fails allocations, not system calls
    bool list;        // says each call on stdout
};

// Begins to count, and to fail as `plan` says.
void inject_start(const char *title, const struct inject *plan);
// Ends it. Returns how many calls there were.
int64_t inject_stop(void);
// The function that was hit, "" when none was.
const char *inject_hit(void);
