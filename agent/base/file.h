// SPDX-License-Identifier: Apache-2.0
//
// Files, read with a bound and written so that a power cut leaves the old state or the new one, never a third.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <errno.h>
#include <stddef.h>

// The result of a system call that gives -1 with errno; made again as long as a signal breaks it off.
#define DK_RETRY(call)                                                                                       \
    __extension__({                                                                                          \
        int result_;                                                                                         \
        do                                                                                                   \
            result_ = (call);                                                                                \
        while (result_ == -1 && errno == EINTR);                                                             \
        result_;                                                                                             \
    })

enum dk_write_mode {
    DK_WRITE_NEW,     // the name must not exist yet (renameat2 RENAME_NOREPLACE); DK_ERR_NOT_NOW when it does
    DK_WRITE_REPLACE, // an existing file is replaced in one step
};

// Appends the whole of the regular file `path` to `out`. `where` in the fault is the path.
// Errors: NO_INPUT (missing, or not a regular file), PERMISSION, DATA (longer than the buffer's maximum), IO, MEMORY.
enum dk_err dk_file_read(const char *path, struct dk_buf *out, struct dk_fault *fault);

// Writes `len` bytes as `directory`/`name`, mode 0600, durable when it returns DK_OK: temporary file in the same
// directory, fsync, rename, fsync of the directory. On an error the old state stands and no temporary file is left;
// only when the last step fails, the fsync of the directory, is the new file there, though it may not survive a power
// cut.
// Errors: PERMISSION, IO (also: disk full), NO_INPUT (no such directory), NOT_NOW (DK_WRITE_NEW and the name exists).
enum dk_err dk_file_write(const char *directory, const char *name, const void *data, size_t len,
                          enum dk_write_mode mode, struct dk_fault *fault);

// Waits until the disk has the data of the file `path`, or the entries of the folder.
// Errors: NO_INPUT (missing), PERMISSION, IO.
enum dk_err dk_file_sync(const char *path, struct dk_fault *fault);

// Removes `directory`/`name`, durable when it returns DK_OK. Errors: NO_INPUT (missing), PERMISSION, IO.
enum dk_err dk_file_remove(const char *directory, const char *name, struct dk_fault *fault);

// Makes `path` and its missing parents, mode 0700. An existing directory is fine. Durable as dk_file_write is.
// Errors: PERMISSION, IO.
enum dk_err dk_directory_make(const char *path, struct dk_fault *fault);
