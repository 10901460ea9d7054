// SPDX-License-Identifier: Apache-2.0
//
// Errors are values. A function that can fail returns `enum dk_err`; the compiler insists that it is looked at.
// Beside the code, a `struct dk_fault` carries what was wrong, where, and what to do about it. Only a verb prints.
#pragma once

#include "agent/base/message.h"

// One list: name, exit status (sysexits.h where it has one), meaning.
#define DK_ERR_LIST(X)                                                                                       \
    X(OK, 0, N_("done"))                                                                                         \
    X(USAGE, 64, N_("the command line is wrong"))                                                                \
    X(DATA, 65, N_("the input data is wrong"))                                                                   \
    X(NO_INPUT, 66, N_("there is no such input"))                                                                \
    X(UNREACHABLE, 69, N_("the server cannot be used"))                                                          \
    X(INTERNAL, 70, N_("an error of dokiem itself"))                                                             \
    X(MEMORY, 71, N_("out of memory"))                                                                           \
    X(IO, 74, N_("reading or writing failed"))                                                                   \
    X(NOT_NOW, 75, N_("not now; try again later"))                                                               \
    X(PERMISSION, 77, N_("permission denied"))                                                                   \
    X(CONFIG, 78, N_("the configuration is wrong"))                                                              \
    X(INTERRUPTED, 130, N_("interrupted"))

enum [[nodiscard]] dk_err {
#define X(name, exit_status, text) DK_ERR_##name,
    DK_ERR_LIST(X)
#undef X
};
#define DK_OK DK_ERR_OK

enum { DK_FAULT_WHERE_SIZE = 384, DK_FAULT_WHAT_SIZE = 512, DK_FAULT_TODO_SIZE = 384 };

// What went wrong, for a person. Start with `struct dk_fault fault = {0};`. All texts are UTF-8 and may be empty.
struct dk_fault {
    enum dk_err err;
    char where[DK_FAULT_WHERE_SIZE]; // file, section, key, host …
    char what[DK_FAULT_WHAT_SIZE];   // what was found and what is allowed
    char todo[DK_FAULT_TODO_SIZE];   // what to do
};

// Records a failure and returns `err`, so that a function can end with `return dk_fail(...)`.
// The first failure recorded wins: whoever sees it first knows most. `fault` may be NULL (then only the code goes on).
// `where` and `todo` may be NULL. `what_format` is a printf format. Both are said in the user's language where the
// catalogue has them. Control characters in the texts are replaced.
enum dk_err dk_fail(struct dk_fault *fault, enum dk_err err, const char *where, const char *todo,
                    const char *what_format, ...) __attribute__((format(printf, 5, 6)));

// The exit status that belongs to `err` (0, 64 … 78, 130).
int dk_err_exit_status(enum dk_err err);

// A short English meaning of `err`; never NULL.
const char *dk_err_text(enum dk_err err);

// The code that fits a failed system call: EACCES, EPERM and EROFS give PERMISSION, ENOMEM gives MEMORY, ENOENT
// gives NO_INPUT, all else IO.
enum dk_err dk_err_from_errno(int error_number);
