// SPDX-License-Identifier: Apache-2.0
//
// A disk that can lose its power. It notes every change that the wrapped calls make, also those of child processes, and
// builds again what could be found after a cut, by what POSIX promises and no more: the data of a file is safe after
// fsync() of the file, an entry of a folder after fsync() of the folder; what was not synced may be there, be missing,
// be there in part, or be zeros, in any combination.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Begins to note; `root` is an empty folder, and safe. With `mixes` each cut is also tried so many times with a fate of
// its own for every write that was not synced, else they all share one.
void disk_start(const char *root, unsigned mixes);
void disk_stop(void);
// Notes again, after disk_stop(), in the same folder.
void disk_go_on(void);
// How many changes were noted by now.
size_t disk_changes(void);

// Builds in the empty folder `to` what may be found when the power goes after the first `changes` changes. `choice`
// counts the possibilities from 0; false when there is none of that number.
bool disk_cut(size_t changes, unsigned choice, const char *to);

// Called by the wrapped calls, after they succeeded.
void disk_create(int folder, const char *name, int fd);
void disk_write(int fd, off_t at, const void *data, size_t len);
void disk_truncate(int fd, off_t len);
void disk_sync(int fd);
void disk_mkdir(const char *path);
void disk_rename(int folder, const char *from, const char *to);
void disk_link(int folder, const char *from, const char *to);
void disk_unlink(int folder, const char *name);
