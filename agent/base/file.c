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
    auto_fd int fd = DK_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
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

static int open_folder(const char *path)
{
    return DK_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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
    // The file is in place under its name: that the other name stays is no failure.
    (void)unlinkat(directory, from, 0);
    return 0;
}

enum dk_err dk_file_write(const char *directory, const char *name, const void *data, size_t len,
                          enum dk_write_mode mode, struct dk_fault *fault)
{
    char path[PATH_MAX];
    char temporary[NAME_MAX + 1];

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path ||
        snprintf(temporary, sizeof temporary, ".%s.%d.tmp", name, (int)getpid()) >= (int)sizeof temporary)
        return dk_fail(fault, DK_ERR_IO, name, NULL, "the path is too long");

    auto_fd int folder = open_folder(directory);

    if (folder < 0)
        return fail_errno(fault, directory, "the folder cannot be opened");

    // A process that died with our number may have left its temporary file.
    (void)unlinkat(folder, temporary, 0);

    auto_fd int fd = DK_RETRY(
        openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));

    if (fd < 0)
        return fail_errno(fault, path, "cannot be created");

    enum dk_err err = DK_OK;

    if (!write_all(fd, data, len))
        err = fail_errno(fault, path, "cannot be written");
    else if (DK_RETRY(fsync(fd)) != 0)
        err = fail_errno(fault, path, "cannot be made durable");
    else if ((mode == DK_WRITE_NEW ? rename_new(folder, temporary, name)
                                   : renameat(folder, temporary, folder, name)) != 0)
        err = errno == EEXIST ? dk_fail(fault, DK_ERR_NOT_NOW, path, NULL, "exists already")
                              : fail_errno(fault, path, "cannot be put in place");
    if (err != DK_OK) {
        (void)unlinkat(folder, temporary, 0);
        return err;
    }
    if (DK_RETRY(fsync(folder)) != 0)
        return fail_errno(fault, directory, "the folder cannot be made durable");
    return DK_OK;
}

enum dk_err dk_file_sync(const char *path, struct dk_fault *fault)
{
    auto_fd int fd = DK_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));

    return fd >= 0 && DK_RETRY(fsync(fd)) == 0 ? DK_OK : fail_errno(fault, path, "cannot be made durable");
}

enum dk_err dk_file_remove(const char *directory, const char *name, struct dk_fault *fault)
{
    auto_fd int folder = open_folder(directory);

    if (folder < 0)
        return fail_errno(fault, directory, "the folder cannot be opened");
    if (unlinkat(folder, name, 0) != 0)
        return dk_fail(fault, dk_err_from_errno(errno), name, NULL, "cannot be removed: %s", strerror(errno));
    return DK_RETRY(fsync(folder)) == 0 ? DK_OK
                                        : fail_errno(fault, directory, "the folder cannot be made durable");
}

// Makes the entry of `path` in its folder durable.
static enum dk_err sync_parent(const char *path, struct dk_fault *fault)
{
    char parent[PATH_MAX];

    snprintf(parent, sizeof parent, "%s", path);

    char *slash = strrchr(parent, '/');

    if (slash == NULL)
        snprintf(parent, sizeof parent, ".");
    else if (slash == parent)
        parent[1] = '\0';
    else
        *slash = '\0';

    auto_fd int fd = open_folder(parent);

    // A folder may let us make an entry and yet not be read.
    if (fd < 0 && errno == EACCES)
        return DK_OK;
    if (fd < 0 || DK_RETRY(fsync(fd)) != 0)
        return fail_errno(fault, parent, "the folder cannot be made durable");
    return DK_OK;
}

static enum dk_err make_one(const char *path, struct dk_fault *fault)
{
    struct stat status;

    if (mkdir(path, 0700) == 0)
        return sync_parent(path, fault);

    int error_number = errno;
    int looked = stat(path, &status);

    // Whoever made it may have died, or failed, before it was durable. What is older than us cannot always be
    // synced, and need not be.
    if (looked == 0 && S_ISDIR(status.st_mode)) {
        (void)sync_parent(path, NULL);
        return DK_OK;
    }
    if (error_number != EEXIST)
        errno = error_number;
    else if (looked == 0)
        errno = ENOTDIR;
    return fail_errno(fault, path, "the folder cannot be made");
}

enum dk_err dk_directory_make(const char *path, struct dk_fault *fault)
{
    char part[PATH_MAX];

    if (path[0] == '\0' || snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return dk_fail(fault, DK_ERR_IO, path, NULL, "the path is empty or too long");

    for (char *at = part + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';

        enum dk_err err = make_one(part, fault);

        if (err != DK_OK)
            return err;
        *at = '/';
    }
    return make_one(part, fault);
}
