// SPDX-License-Identifier: Apache-2.0
#include "agent/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Texts may quote what a server or a file said: nothing in them may steer a terminal.
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f)
            *text = '?';
    }
}

enum dk_err dk_fail(struct dk_fault *fault, enum dk_err err, const char *where, const char *todo,
                    const char *what_format, ...)
{
    if (fault == NULL || fault->err != DK_OK)
        return err;

    va_list arguments;

    va_start(arguments, what_format);
    vsnprintf(fault->what, sizeof fault->what, _(what_format), arguments);
    va_end(arguments);
    // A text that was made elsewhere may be in the catalogue as a whole.
    if (strcmp(what_format, "%s") == 0 && fault->what[0] != '\0') {
        char whole[DK_FAULT_WHAT_SIZE];

        memcpy(whole, fault->what, sizeof whole);
        snprintf(fault->what, sizeof fault->what, "%s", _(whole));
    }
    snprintf(fault->where, sizeof fault->where, "%s", where != NULL ? where : "");
    // The catalogue has its own header under "".
    snprintf(fault->todo, sizeof fault->todo, "%s", todo != NULL && todo[0] != '\0' ? _(todo) : "");
    make_printable(fault->where);
    make_printable(fault->what);
    make_printable(fault->todo);
    fault->err = err;
    return err;
}

int dk_err_exit_status(enum dk_err err)
{
    static const int statuses[] = {
#define X(name, exit_status, text) [DK_ERR_##name] = (exit_status),
        DK_ERR_LIST(X)
#undef X
    };

    return statuses[err];
}

const char *dk_err_text(enum dk_err err)
{
    static const char *const texts[] = {
#define X(name, exit_status, text) [DK_ERR_##name] = (text),
        DK_ERR_LIST(X)
#undef X
    };

    return texts[err];
}

enum dk_err dk_err_from_errno(int error_number)
{
    switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
        return DK_ERR_PERMISSION;
    case ENOMEM:
        return DK_ERR_MEMORY;
    case ENOENT:
        return DK_ERR_NO_INPUT;
    default:
        return DK_ERR_IO;
    }
}
