// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define auto_fd __attribute__((cleanup(close_fd)))

static enum dk_err fail_errno(struct dk_fault *fault, const char *path, const char *action)
{
    int error_number = errno;
    const char *todo = NULL;

    if (error_number == ENOSPC || error_number == EDQUOT)
        todo = "free some space and try again; nothing that was kept before is lost";
    else if (error_number == EACCES || error_number == EPERM)
        todo = "run as the user who owns it, or correct its owner and mode";
    else if (error_number == EROFS)
        todo = "choose a folder on a writable file system (--state)";
    return dk_fail(fault, dk_err_from_errno(error_number), path, todo, "%s: %s", action,
                   strerror(error_number));
}

enum dk_err dk_file_read(const char *path, struct dk_buf *out, struct dk_fault *fault)
{
    // O_NONBLOCK: opening a FIFO must not hang before fstat() can refuse it.
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;

    if (fd < 0)
        return fail_errno(fault, path, "cannot be opened");
    if (fstat(fd, &status) != 0)
        return fail_errno(fault, path, "cannot be examined");
    if (!S_ISREG(status.st_mode))
        return dk_fail(fault, DK_ERR_NO_INPUT, path, "name a regular file", "is not a regular file");

    for (;;) {
        char part[16384];
        ssize_t got = read(fd, part, sizeof part);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(fault, path, "cannot be read");
        if (got == 0)
            return DK_OK;

        enum dk_err err = dk_buf_append(out, part, (size_t)got);

        if (err == DK_ERR_DATA)
            return dk_fail(fault, err, path, NULL, "is longer than the %zu bytes allowed here", out->max);
        if (err != DK_OK)
            return dk_fail(fault, err, path, NULL, "out of memory");
    }
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, data, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        data += put;
        len -= (size_t)put;
    }
    return true;
}

static int rename_new(int directory, const char *from, const char *to)
{
    if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    // File systems without RENAME_NOREPLACE: link() does not replace either.
    if (linkat(directory, from, directory, to, 0) != 0)
        return -1;
    return unlinkat(directory, from, 0);
}

enum dk_err dk_file_write(const char *directory, const char *name, const void *data, size_t len,
                          enum dk_write_mode mode, struct dk_fault *fault)
{
    char path[PATH_MAX];
    char temporary[NAME_MAX + 1];

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path ||
        snprintf(temporary, sizeof temporary, ".%s.%d.tmp", name, (int)getpid()) >= (int)sizeof temporary)
        return dk_fail(fault, DK_ERR_IO, name, NULL, "the path is too long");

    auto_fd int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return fail_errno(fault, directory, "the folder cannot be opened");

    // A process that died with our number may have left its temporary file.
    (void)unlinkat(folder, temporary, 0);

    auto_fd int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return fail_errno(fault, path, "cannot be created");

    enum dk_err err = DK_OK;

    if (!write_all(fd, data, len))
        err = fail_errno(fault, path, "cannot be written");
    else if (fsync(fd) != 0)
        err = fail_errno(fault, path, "cannot be made durable");
    else if ((mode == DK_WRITE_NEW ? rename_new(folder, temporary, name)
                                   : renameat(folder, temporary, folder, name)) != 0)
        err = errno == EEXIST ? dk_fail(fault, DK_ERR_NOT_NOW, path, NULL, "exists already")
                              : fail_errno(fault, path, "cannot be put in place");
    if (err != DK_OK) {
        (void)unlinkat(folder, temporary, 0);
        return err;
    }
    if (fsync(folder) != 0)
        return fail_errno(fault, directory, "the folder cannot be made durable");
    return DK_OK;
}

static enum dk_err make_one(const char *path, struct dk_fault *fault)
{
    char parent[PATH_MAX];

    if (mkdir(path, 0700) != 0) {
        int error_number = errno;
        struct stat status;

        if (error_number == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            return DK_OK;
        errno = error_number == EEXIST ? ENOTDIR : error_number;
        return fail_errno(fault, path, "the folder cannot be made");
    }

    snprintf(parent, sizeof parent, "%s", path);

    char *slash = strrchr(parent, '/');

    if (slash == NULL)
        snprintf(parent, sizeof parent, ".");
    else if (slash == parent)
        parent[1] = '\0';
    else
        *slash = '\0';

    auto_fd int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && fsync(fd) != 0)
        return fail_errno(fault, parent, "the folder cannot be made durable");
    return DK_OK;
}

enum dk_err dk_directory_make(const char *path, struct dk_fault *fault)
{
    char part[PATH_MAX];

    if (path[0] == '\0' || snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return dk_fail(fault, DK_ERR_IO, path, NULL, "the path is empty or too long");

    for (char *at = part + 1; *at != '\0'; at++) {
        struct stat status;

        if (*at != '/')
            continue;
        *at = '\0';
        // A parent that exists may be unreadable to us; only what is missing is made.
        if (stat(part, &status) != 0) {
            enum dk_err err = make_one(part, fault);

            if (err != DK_OK)
                return err;
        }
        *at = '/';
    }
    return make_one(part, fault);
}
