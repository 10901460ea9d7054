// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/profiles.h"

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
#include "agent/base/sha256.h"

#define TEMPORARY_MAX_AGE_S INT64_C(86400)

enum { FILE_NAME_SIZE = DK_SHA256_HEX_SIZE + 4 };

static bool is_hash(const char *text)
{
    return strlen(text) == DK_SHA256_HEX_SIZE - 1 && strspn(text, "0123456789abcdef") == DK_SHA256_HEX_SIZE - 1;
}

static bool has_hash(const char *text, size_t len, const char *sha256)
{
    char hash[DK_SHA256_HEX_SIZE];

    return dk_sha256_hex(text, len, hash) == DK_OK && strcmp(hash, sha256) == 0;
}

// Removes what a power cut left behind, once it is old enough to be nobody's.
static void sweep(const char *folder)
{
    DIR *stream = opendir(folder);
    int64_t now_s = dk_wall_now().ns / DK_NS_PER_S;

    if (stream == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        size_t len = strlen(entry->d_name);
        struct stat status;

        if (entry->d_name[0] == '.' && len > 5 && strcmp(entry->d_name + len - 4, ".tmp") == 0 &&
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            now_s - (int64_t)status.st_mtim.tv_sec > TEMPORARY_MAX_AGE_S)
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
    }
    closedir(stream);
}

enum dk_err dk_profile_keep(const char *state_dir, const char *sha256, const char *text, size_t len,
                            struct dk_fault *fault)
{
    char folder[PATH_MAX], name[FILE_NAME_SIZE];

    if (!is_hash(sha256) || !has_hash(text, len, sha256))
        return dk_fail(fault, DK_ERR_INTERNAL, "profile", NULL, "its SHA-256 is another");
    if (snprintf(folder, sizeof folder, "%s/profiles", state_dir) >= (int)sizeof folder)
        return dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");
    snprintf(name, sizeof name, "%s.ini", sha256);
    sweep(folder);

    // Also when it is there: whether it is whole and durable costs as much to find out.
    enum dk_err err = dk_directory_make(folder, fault);

    return err == DK_OK ? dk_file_write(folder, name, text, len, DK_WRITE_REPLACE, fault) : err;
}

enum dk_err dk_profile_read(const char *state_dir, const char *sha256, struct dk_buf *text, struct dk_fault *fault)
{
    char path[PATH_MAX];
    dk_auto_buf struct dk_buf found = dk_buf_make(text->max);

    if (!is_hash(sha256))
        return dk_fail(fault, DK_ERR_DATA, "profile", NULL, "is not named by a SHA-256 in hexadecimal digits");
    if (snprintf(path, sizeof path, "%s/profiles/%s.ini", state_dir, sha256) >= (int)sizeof path)
        return dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");

    enum dk_err err = dk_file_read(path, &found, fault);

    if (err != DK_OK)
        return err;
    if (!has_hash(dk_buf_text(&found), found.len, sha256))
        return dk_fail(fault, DK_ERR_DATA, path, "bring it back from a copy", "is damaged: its SHA-256 is another");
    err = dk_buf_append(text, dk_buf_text(&found), found.len);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, path, NULL, "cannot be held: %s", dk_err_text(err));
}
