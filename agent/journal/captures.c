// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/captures.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"

enum { TEMPORARY_MAX_AGE_S = 86400 };

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

// Bytes of all files of evidence, and the name of the oldest of them. What a power cut left of a write goes.
static int64_t weigh(DIR *stream, char oldest[static NAME_MAX + 1])
{
    int64_t total_bytes = 0, now_s = dk_wall_now().ns / DK_NS_PER_S;

    oldest[0] = '\0';
    rewinddir(stream);
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const char *name = entry->d_name;
        struct stat status;

        if (fstatat(dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
            continue;
        if (name[0] == '.' && ends_in(name, ".tmp") && now_s - (int64_t)status.st_mtim.tv_sec > TEMPORARY_MAX_AGE_S)
            (void)unlinkat(dirfd(stream), name, 0);
        if (name[0] == '.' || !ends_in(name, ".pcap"))
            continue;
        total_bytes += status.st_size;
        if (oldest[0] == '\0' || strcmp(name, oldest) < 0)
            snprintf(oldest, NAME_MAX + 1, "%s", name);
    }
    return total_bytes;
}

// That an old file cannot go takes nothing from the new one.
static void prune(const char *folder, const char *newest, int64_t max_bytes)
{
    DIR *stream = opendir(folder);
    char oldest[NAME_MAX + 1];

    if (stream == NULL)
        return;
    while (weigh(stream, oldest) > max_bytes && strcmp(oldest, newest) != 0)
        if (unlinkat(dirfd(stream), oldest, 0) != 0)
            break;
    closedir(stream);
}

enum dk_err dk_capture_keep(const char *state_dir, const char *name, const void *data, size_t len, int64_t max_bytes,
                            struct dk_fault *fault)
{
    char folder[PATH_MAX];

    if (snprintf(folder, sizeof folder, "%s/" DK_CAPTURES_FOLDER, state_dir) >= (int)sizeof folder)
        return dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");

    enum dk_err err = dk_directory_make(folder, fault);

    if (err == DK_OK)
        err = dk_file_write(folder, name, data, len, DK_WRITE_NEW, fault);
    if (err == DK_OK)
        prune(folder, name, max_bytes);
    return err;
}
