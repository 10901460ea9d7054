// SPDX-License-Identifier: Apache-2.0
//
// Faults in the calls of the journal's write path. The test programs are linked with `--wrap` for each of these calls,
// so the code under test is the shipped one. fsync() is only pretended: what it means is judged by disk.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INJECT_FOR_EVER INT64_MAX
enum { INJECT_KILLED = 9 };

struct inject {
    int64_t at;       // number of the first call that fails, counted from 1; 0: none does
    int64_t times;    // how many calls fail, of the function that was hit first
    int error_number; // 0: write() is short once, and the next write() fails with ENOSPC when `times` is not 1
    bool killed;      // the process ends at `at` with the status INJECT_KILLED, as by kill -9
    bool dead;        // all calls fail from `at` on, as after the end of the process
    bool old_files;   // renameat2() knows no flags, as on some file systems
    bool allocations; // counts and fails allocations, not system calls
    bool list;        // says each call on stdout, and notes it for inject_function()
};

// The ways in which a call fails.
struct inject_fault {
    const char *name;
    int error_number;
    int64_t times;
};
enum { INJECT_FAULTS = 11 };
extern const struct inject_fault inject_faults[INJECT_FAULTS];

// Begins to count, and to fail as `plan` says.
void inject_start(const char *title, const struct inject *plan);
// Ends it. Returns how many calls there were.
int64_t inject_stop(void);
// The function that was hit, "" when none was.
const char *inject_hit(void);
// Call number `call`, from 1, of the last list; "" when there was none.
const char *inject_function(int64_t call);
// Says how often each function was called in the last list.
void inject_say_functions(void);
// Counts a call; true when it is to fail, and errno is set then. For calls that are caught in another way than by
// `--wrap`.
bool inject_fails(const char *function, int folder, const char *name);
// The same of a call that writes *size bytes, which may become less.
bool inject_fails_to_write(const char *function, int fd, size_t *size);
