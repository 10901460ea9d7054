// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/database.h"

#include "tests/faults/disk.h"
#include "tests/faults/inject.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKPOINT_PAGES = 24, HEAD_SIZE = 16 };

// SQLite's own functions.
static int (*real_open)(const char *path, int flags, int mode);
static int (*real_access)(const char *path, int mode);
static int (*real_stat)(const char *path, struct stat *out);
static int (*real_fstat)(int fd, struct stat *out);
static int (*real_ftruncate)(int fd, off_t len);
static int (*real_fcntl)(int fd, int command, ...);
static ssize_t (*real_pread)(int fd, void *data, size_t size, off_t at);
static ssize_t (*real_pwrite)(int fd, const void *data, size_t size, off_t at);
static int (*real_fchmod)(int fd, mode_t mode);
static int (*real_unlink)(const char *path);
static void *(*real_mmap)(void *at, size_t size, int protection, int flags, int fd, off_t offset);

// Opens the folder of `path`; *name is the rest of it.
static int open_parent(const char *path, char copy[static PATH_MAX], const char **name)
{
    static char parent[PATH_MAX];

    snprintf(copy, PATH_MAX, "%s", path);
    snprintf(parent, sizeof parent, "%s", path);
    *name = basename(copy);
    return real_open(dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static int own_open(const char *path, int flags, int mode)
{
    char copy[PATH_MAX];
    const char *name;
    struct statx status;
    bool is_new = (flags & O_CREAT) != 0 && statx(AT_FDCWD, path, 0, STATX_INO, &status) != 0;

    if (inject_fails("open", -1, path))
        return -1;

    int fd = real_open(path, flags, mode), folder = fd >= 0 && is_new ? open_parent(path, copy, &name) : -1;

    if (folder >= 0) {
        disk_create(folder, name, fd);
        close(folder);
    }
    return fd;
}

static int own_access(const char *path, int mode)
{
    return inject_fails("access", -1, path) ? -1 : real_access(path, mode);
}

static int own_stat(const char *path, struct stat *out)
{
    return inject_fails("stat", -1, path) ? -1 : real_stat(path, out);
}

static int own_fstat(int fd, struct stat *out)
{
    return inject_fails("fstat", fd, "") ? -1 : real_fstat(fd, out);
}

static int own_ftruncate(int fd, off_t len)
{
    int result = inject_fails("ftruncate", fd, "") ? -1 : real_ftruncate(fd, len);

    if (result == 0)
        disk_truncate(fd, len);
    return result;
}

static int own_fcntl(int fd, int command, ...)
{
    va_list arguments;

    va_start(arguments, command);

    void *argument = va_arg(arguments, void *);

    va_end(arguments);
    return inject_fails("fcntl", fd, "") ? -1 : real_fcntl(fd, command, argument);
}

static ssize_t own_pread(int fd, void *data, size_t size, off_t at)
{
    return inject_fails("pread", fd, "") ? -1 : real_pread(fd, data, size, at);
}

static ssize_t own_pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t put = inject_fails_to_write("pwrite", fd, &size) ? -1 : real_pwrite(fd, data, size, at);

    if (put > 0)
        disk_write(fd, at, data, (size_t)put);
    return put;
}

static int own_fchmod(int fd, mode_t mode)
{
    return inject_fails("fchmod", fd, "") ? -1 : real_fchmod(fd, mode);
}

static int own_unlink(const char *path)
{
    char copy[PATH_MAX];
    const char *name;

    if (inject_fails("unlink", -1, path))
        return -1;

    int result = real_unlink(path), folder = result == 0 ? open_parent(path, copy, &name) : -1;

    if (folder >= 0) {
        disk_unlink(folder, name);
        close(folder);
    }
    return result;
}

static void *own_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return inject_fails("mmap", fd, "") ? MAP_FAILED : real_mmap(at, size, protection, flags, fd, offset);
}

// In place of the C library's for SQLite, which has no other way to be asked.
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    if (inject_fails("fdatasync", fd, ""))
        return -1;
    disk_sync(fd);
    return 0;
}

// Checkpoints are made often: they are a part of the write path.
int __real_sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs);

int __wrap_sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs)
{
    int code = __real_sqlite3_open_v2(path, out, flags, vfs);

    if (code == SQLITE_OK)
        (void)sqlite3_wal_autocheckpoint(*out, CHECKPOINT_PAGES);
    return code;
}

// Blocks that know their size, as SQLite wants them.
static void *own_malloc(int size)
{
    char *block = malloc((size_t)size + HEAD_SIZE);

    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEAD_SIZE;
}

static void own_free(void *data)
{
    if (data != NULL)
        free((char *)data - HEAD_SIZE);
}

static void *own_realloc(void *data, int size)
{
    char *block = realloc((char *)data - HEAD_SIZE, (size_t)size + HEAD_SIZE);

    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEAD_SIZE;
}

static int own_size(void *data)
{
    int size = 0;

    if (data != NULL)
        memcpy(&size, (char *)data - HEAD_SIZE, sizeof size);
    return size;
}

static int own_roundup(int size)
{
    return (size + 7) & ~7;
}

static int own_init(void *data)
{
    (void)data;
    return SQLITE_OK;
}

static void own_shutdown(void *data)
{
    (void)data;
}

// A lock that cannot be had is waited for: that takes no time here.
static int own_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

// Puts `own` in the place of SQLite's function, which is returned.
static sqlite3_syscall_ptr replace(const char *name, sqlite3_syscall_ptr own)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    sqlite3_syscall_ptr real = vfs->xGetSystemCall(vfs, name);

    if (real == NULL || vfs->xSetSystemCall(vfs, name, own) != SQLITE_OK)
        abort();
    return real;
}
#define CATCH(name, function) \
    real_##function = (__typeof__(real_##function))replace(name, (sqlite3_syscall_ptr)own_##function)

void database_start(void)
{
    static const sqlite3_mem_methods methods = {.xMalloc = own_malloc,
                                                .xFree = own_free,
                                                .xRealloc = own_realloc,
                                                .xSize = own_size,
                                                .xRoundup = own_roundup,
                                                .xInit = own_init,
                                                .xShutdown = own_shutdown};

    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK || sqlite3_initialize() != SQLITE_OK)
        abort();
    sqlite3_vfs_find("unix")->xSleep = own_sleep;
    CATCH("open", open);
    CATCH("access", access);
    CATCH("stat", stat);
    CATCH("fstat", fstat);
    CATCH("ftruncate", ftruncate);
    CATCH("fcntl", fcntl);
    CATCH("pread64", pread);
    CATCH("pwrite64", pwrite);
    CATCH("fchmod", fchmod);
    CATCH("unlink", unlink);
    CATCH("mmap", mmap);
}
