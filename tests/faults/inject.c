// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/inject.h"

#include "tests/faults/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct inject_fault inject_faults[INJECT_FAULTS] = {
    {"ENOSPC once", ENOSPC, 1},
    {"ENOSPC for ever", ENOSPC, INJECT_FOR_EVER},
    {"EIO once", EIO, 1},
    {"EIO for ever", EIO, INJECT_FOR_EVER},
    {"EROFS once", EROFS, 1},
    {"EROFS for ever", EROFS, INJECT_FOR_EVER},
    {"EDQUOT once", EDQUOT, 1},
    {"EDQUOT for ever", EDQUOT, INJECT_FOR_EVER},
    {"EINTR three times", EINTR, 3},
    {"a short write", 0, 1},
    {"a short write, then ENOSPC", 0, INJECT_FOR_EVER},
};

static struct inject plan;
static const char *title, *hit;
static int64_t calls, hits;
static bool active;
// Of the last list.
enum { LISTED_MAX = 2000 };
static const char *listed[LISTED_MAX];
static int64_t listed_count;

void inject_start(const char *name, const struct inject *wanted)
{
    plan = *wanted;
    title = name;
    hit = "";
    calls = hits = 0;
    active = true;
}

int64_t inject_stop(void)
{
    active = false;
    return calls;
}

const char *inject_hit(void)
{
    return hit;
}

const char *inject_function(int64_t call)
{
    return call > 0 && call <= listed_count ? listed[call - 1] : "";
}

void inject_say_functions(void)
{
    printf("    %s, %" PRId64 " calls:", title, listed_count);
    for (int64_t i = 0; i < listed_count; i++) {
        int64_t first = 0, count = 0;

        while (strcmp(listed[first], listed[i]) != 0)
            first++;
        for (int64_t k = i; k < listed_count && first == i; k++)
            count += strcmp(listed[k], listed[i]) == 0;
        if (count > 0)
            printf(" %s %" PRId64, listed[i], count);
    }
    printf("\n");
}

bool inject_fails(const char *function, int folder, const char *name)
{
    char link[40], path[PATH_MAX] = "";

    if (!active || plan.allocations)
        return false;
    calls++;
    if (plan.list && calls <= LISTED_MAX) {
        listed[calls - 1] = function;
        listed_count = calls;
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        if (folder >= 0 && readlink(link, path, sizeof path - 1) < 0)
            path[0] = '\0';
        printf("    %s, call %" PRId64 ": %s %s%s%s\n", title, calls, function, path, path[0] != '\0' ? "/" : "", name);
    }
    if (plan.at == 0 || calls < plan.at || (plan.error_number == 0 && !plan.dead && !plan.killed))
        return false;
    if (calls == plan.at)
        hit = function;
    if (plan.killed)
        _exit(INJECT_KILLED);
    if (!plan.dead && (hits >= plan.times || strcmp(hit, function) != 0))
        return false;
    hits++;
    errno = plan.dead ? EIO : plan.error_number;
    return true;
}

bool inject_fails_to_write(const char *function, int fd, size_t *size)
{
    bool is_short = active && !plan.allocations && plan.error_number == 0 && !plan.dead && !plan.killed;

    if (inject_fails(function, fd, ""))
        return true;
    if (is_short && calls == plan.at) {
        hit = function;
        *size = (*size + 1) / 2;
    } else if (is_short && hit[0] != '\0' && plan.times != 1) {
        errno = ENOSPC;
        return true;
    }
    return false;
}

static bool fails_to_allocate(void)
{
    if (!active || !plan.allocations)
        return false;
    calls++;
    if (plan.at == 0 || calls < plan.at || hits >= plan.times)
        return false;
    hit = "allocation";
    hits++;
    errno = ENOMEM;
    return true;
}

int __real_open64(const char *path, int flags, ...);
int __real_openat64(int folder, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
int __real_fstat64(int fd, struct stat *out);
int __real_stat64(const char *path, struct stat *out);
int __real_fstatat64(int folder, const char *path, struct stat *out, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __real_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __real_unlinkat(int folder, const char *path, int flags);
int __real_close(int fd);
int __real_flock(int fd, int operation);
DIR *__real_fdopendir(int fd);
struct dirent *__real_readdir64(DIR *stream);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);

int __wrap_open64(const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_fsync(int fd);
int __wrap_fstat64(int fd, struct stat *out);
int __wrap_stat64(const char *path, struct stat *out);
int __wrap_fstatat64(int folder, const char *path, struct stat *out, int flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags);
int __wrap_close(int fd);
int __wrap_flock(int fd, int operation);
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir64(DIR *stream);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    va_start(arguments, flags);
    if (flags & O_CREAT)
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (inject_fails("openat", folder, path))
        return -1;

    int fd = __real_openat64(folder, path, flags, mode);

    if (fd >= 0 && (flags & O_CREAT) && (flags & O_EXCL))
        disk_create(folder, path, fd);
    return fd;
}

int __wrap_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    va_start(arguments, flags);
    if (flags & O_CREAT)
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return inject_fails("open", -1, path) ? -1 : __real_open64(path, flags, mode);
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    return inject_fails("read", fd, "") ? -1 : __real_read(fd, data, size);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (inject_fails_to_write("write", fd, &size))
        return -1;

    ssize_t put = __real_write(fd, data, size);

    if (put > 0)
        disk_write(fd, lseek(fd, 0, SEEK_CUR) - put, data, (size_t)put);
    return put;
}

int __wrap_fsync(int fd)
{
    if (inject_fails("fsync", fd, ""))
        return -1;
    disk_sync(fd);
    return 0;
}

int __wrap_fstat64(int fd, struct stat *out)
{
    return inject_fails("fstat", fd, "") ? -1 : __real_fstat64(fd, out);
}

int __wrap_stat64(const char *path, struct stat *out)
{
    return inject_fails("stat", -1, path) ? -1 : __real_stat64(path, out);
}

int __wrap_fstatat64(int folder, const char *path, struct stat *out, int flags)
{
    return inject_fails("fstatat", folder, path) ? -1 : __real_fstatat64(folder, path, out, flags);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    if (inject_fails("mkdir", -1, path))
        return -1;

    int result = __real_mkdir(path, mode);

    if (result == 0)
        disk_mkdir(path);
    return result;
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    if (inject_fails("renameat", to_folder, to))
        return -1;

    int result = __real_renameat(from_folder, from, to_folder, to);

    if (result == 0)
        disk_rename(from_folder, from, to);
    return result;
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (inject_fails("renameat2", to_folder, to))
        return -1;
    if (active && plan.old_files && flags != 0) {
        errno = EINVAL;
        return -1;
    }

    int result = __real_renameat2(from_folder, from, to_folder, to, flags);

    if (result == 0)
        disk_rename(from_folder, from, to);
    return result;
}

int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (inject_fails("linkat", to_folder, to))
        return -1;

    int result = __real_linkat(from_folder, from, to_folder, to, flags);

    if (result == 0)
        disk_link(from_folder, from, to);
    return result;
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
    if (inject_fails("unlinkat", folder, path))
        return -1;

    int result = __real_unlinkat(folder, path, flags);

    if (result == 0)
        disk_unlink(folder, path);
    return result;
}

int __wrap_close(int fd)
{
    // The descriptor is gone also when close() says that it failed.
    bool failed = inject_fails("close", fd, "");
    int result = __real_close(fd);

    if (failed)
        errno = plan.dead ? EIO : plan.error_number;
    return failed ? -1 : result;
}

int __wrap_flock(int fd, int operation)
{
    return inject_fails("flock", fd, "") ? -1 : __real_flock(fd, operation);
}

DIR *__wrap_fdopendir(int fd)
{
    return inject_fails("fdopendir", fd, "") ? NULL : __real_fdopendir(fd);
}

struct dirent *__wrap_readdir64(DIR *stream)
{
    return inject_fails("readdir", dirfd(stream), "") ? NULL : __real_readdir64(stream);
}

void *__wrap_malloc(size_t size)
{
    return fails_to_allocate() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_to_allocate() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_to_allocate() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails_to_allocate() ? NULL : __real_reallocarray(old, count, size);
}
