// SPDX-License-Identifier: Apache-2.0
//
// Records on their way into a report or an export: found, checked one by one, and read as far as a table
// needs.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/assess/intern.h"
#include "agent/base/buf.h"
#include "agent/journal/journal.h"
#include "agent/record/seal.h"
#include "agent/report/listed.h"
#include "agent/verbs/keys.h"

struct dk_checker {
    const struct dk_keys *keys; // borrowed; without keys nothing can be checked
    bool key_given;             // --key: then every record has to be of one of them
    struct dk_texts texts;      // that what was read points into
    struct dk_buf scratch, payload;
};

// Free with dk_checker_free.
struct dk_checker dk_checker_make(const struct dk_keys *keys, bool key_given);
void dk_checker_free(struct dk_checker *checker);

// --language vi|en, of what is written for people; NULL: the locale's. Errors: USAGE, NO_INPUT (no
// catalogue).
enum dk_err dk_verb_use_language(const char *language, struct dk_fault *fault);

// As dk_verb_keys; but who has no key, and named none, gets an empty ring: nothing is then checked.
enum dk_err dk_checker_keys(const char *key_file, const char *state_dir, struct dk_keys *out,
                            struct dk_fault *fault);

// Checks and reads one record into *listed, whose `source` and `reason` must be texts; the latter says what
// is wrong. checker->payload then holds its payload, whatever the check says, if there is one. `own`: it is
// of this device's journal. What is wrong with a record is no error. Errors: MEMORY, INTERNAL.
enum dk_err dk_checker_check(struct dk_checker *checker, const char *jws, size_t len, bool own,
                             struct dk_listed *listed, char key_id[static DK_SHA256_TEXT_SIZE]);

// One record: from the journal, else (`journal` is NULL) from the file `source`. Borrowed for the call.
typedef enum dk_err dk_record_callback(void *argument, struct dk_journal *journal, const char *source,
                                       const char *jws, size_t len, struct dk_fault *fault);

// Hands out what the operands name: a seq number, "last" or an id is a record of the journal; anything else a
// file, a folder, or "-". Errors: as dk_summary_find and dk_lines_read, and what the callback gives.
enum dk_err dk_records_each(const char *state_dir, char **operands, int count, dk_record_callback *callback,
                            void *argument, struct dk_fault *fault);
