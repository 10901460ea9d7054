// SPDX-License-Identifier: Apache-2.0
//
// What an agent does with its journal, told so that a test can say afterwards what must be there. The records are not
// signed (the journal does not look): record n is "rN.PREV.ID", PREV the hash of the one before, ID used once;
// "kN.PREV.ID" is needed for ever; "dN.PREV.ID-LAST" says that the undelivered ones up to LAST were dropped.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"

// Forgets what was confirmed, and makes an empty folder for a new story. Borrowed until the next story.
const char *story_begin(void);
// Removes the folder. Do so at the end of each story.
void story_end(void);
// A second empty folder for the story, made anew at each call.
const char *story_other(void);

// As a run does: opens (making what is missing), locks, appends one record to the head. With `prune`, delivered
// records are removed then.
enum dk_err story_run(const char *state, bool prune);
// As a run does that finds the journal over its bounds: what a statement at the head says is removed, one record is
// appended, delivered records are removed, and of the undelivered ones the oldest, once a statement says so.
enum dk_err story_drop(const char *state);
// As a delivery does: opens, locks, reads what waits, keeps receipts; every third record is refused.
enum dk_err story_deliver(const char *state);

// True when the state is whole: the journal opens, the chain has no gap, fork or doubled record, and everything that
// was confirmed by the time of `changes` (disk_changes(); SIZE_MAX for all) is there unchanged. Says what is not.
bool story_holds(const char *state, size_t changes);
// True when, once temporary files have grown old, nothing is left in the journal that does not belong there.
bool story_sweeps(const char *state);
// How many descriptors are open.
int story_descriptors(void);
