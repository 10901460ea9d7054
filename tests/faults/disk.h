// SPDX-License-Identifier: Apache-2.0
//
// A disk that can lose its power. It notes every change that the wrapped calls make, and builds again what could be
// found after a cut, by what POSIX promises and no more: the data of a file is safe after fsync() of the file, an entry
// of a folder after fsync() of the folder; what was not synced may be there, be missing, or be there in part, in any
// combination.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Begins to note; `root` is an empty folder, and safe.
void disk_start(const char *root);
void disk_stop(void);
// How many changes were noted by now.
size_t disk_changes(void);

// Builds in the empty folder `to` what may be found when the power goes after the first `changes` changes. `choice`
// counts the possibilities from 0; false when there is none of that number.
bool disk_cut(size_t changes, unsigned choice, const char *to);

// Called by the wrapped calls, after they succeeded.
void disk_create(int folder, const char *name, int fd);
void disk_write(int fd, const void *data, size_t len);
void disk_sync(int fd);
void disk_mkdir(const char *path);
void disk_rename(int folder, const char *from, const char *to);
void disk_link(int folder, const char *from, const char *to);
void disk_unlink(int folder, const char *name);
