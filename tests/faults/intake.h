// SPDX-License-Identifier: Apache-2.0
//
// What a collector does with its store, told so that a test can say afterwards what must be there: a device enrols, and
// sends a chain of INTAKE_RECORDS sealed records, of which one changes its key. What was answered is noted in memory
// that child processes share.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { INTAKE_RECORDS = 10 };

// Makes the keys and the chain, the first time.
void intake_make(void);
// Forgets what was answered.
void intake_forget(void);

// The first time of a collector with the store in `folder`, and a later one: opens, takes, closes. What fails ends it,
// or is answered.
void intake_first(const char *folder);
void intake_next(const char *folder);
// Less than that: opens, takes the records up to the change of key, and an old one.
void intake_short(const char *folder);
// As often as a device that has no answer yet: opens, takes the whole chain, one record a request.
void intake_again(const char *folder);

// On what the disk had when an answer was given (disk_changes()): the number of answers, and that of each of them.
size_t intake_answers(void);
size_t intake_changes(size_t answer);

// True when the store in `folder` is whole: it opens; the database has no fault; what is kept is of the chain,
// each record once, with a receipt that holds; nothing that was answered with the disk's `changes` by then
// (SIZE_MAX for all) is missing; no receipt is another than the one answered, and no record
// was refused for good. Says what is not.
bool intake_holds(const char *folder, size_t changes);
// True when the collector then takes the whole chain. The store has all of it afterwards.
bool intake_goes_on(const char *folder);
