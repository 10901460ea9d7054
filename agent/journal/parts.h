// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share: how the journal lies on the disk.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/journal/journal.h"

struct dk_journal {
    char state_dir[PATH_MAX];
    char folder_path[PATH_MAX];  // STATE/journal
    int folder;                  // descriptor of it
    int run_lock, delivery_lock; // -1 while not held
};

// What a file in the folder is, in the order they are sorted for one seq.
enum dk_file_kind { DK_FILE_RECORD, DK_FILE_RECEIPT, DK_FILE_REFUSED, DK_FILE_TIME_STAMP, DK_FILE_KINDS };
enum { DK_FILE_NAME_SIZE = 40 };

struct dk_journal_file {
    int64_t seq;
    enum dk_file_kind kind;
};

// The name of a file, and back. False for what is none of the journal's.
void dk_journal_file_name(int64_t seq, enum dk_file_kind kind, char out[static DK_FILE_NAME_SIZE]);
bool dk_journal_file_parse(const char *name, struct dk_journal_file *out);

// Calls `visit` for every name in the folder; it returns an error to stop. A name may come twice while files come and
// go. Errors: IO; those of `visit`.
enum dk_err dk_journal_walk(struct dk_journal *journal, enum dk_err (*visit)(void *argument, const char *name),
                            void *argument, struct dk_fault *fault);

// Size and age of a file; false when it is gone.
bool dk_journal_examine(const struct dk_journal *journal, const char *name, int64_t *bytes, int64_t *mtime_ns);

// Fills the fault from errno.
enum dk_err dk_journal_fail(struct dk_fault *fault, const char *where, const char *action);

// Every file, sorted, as seq * DK_FILE_KINDS + kind: a journal may hold 100,000 records, on a machine with little
// memory. Owned by the caller: dk_listing_free.
struct dk_listing {
    int64_t *files;
    size_t count, capacity;
};
enum dk_err dk_journal_scan(struct dk_journal *journal, struct dk_listing *out, struct dk_fault *fault);
struct dk_journal_file dk_listing_at(const struct dk_listing *listing, size_t i);
void dk_listing_free(struct dk_listing *listing);
#define dk_auto_listing __attribute__((cleanup(dk_listing_free)))
