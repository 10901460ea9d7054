// SPDX-License-Identifier: Apache-2.0
//
// The campaign that is going on: its plan is kept in the state folder, what has been taken is read from the journal.
#pragma once

#include "agent/base/error.h"
#include "agent/journal/journal.h"
#include "config/campaign.h"
#include "config/settings.h"

#include <stdbool.h>
#include <stddef.h>

#define DK_CAMPAIGN_FILE "campaign.ini" // below the state folder

// Reads the plan of the campaign that is going on; *found says if there is one. Errors: CONFIG, IO, PERMISSION, MEMORY.
enum dk_err dk_campaign_active(const char *state_dir, struct dk_campaign *out, bool *found, struct dk_fault *fault);

// Counts what the journal has. A record that cannot be read is passed over: verify tells of it. Errors: IO, MEMORY.
enum dk_err dk_campaign_tally_journal(struct dk_journal *journal, const struct dk_campaign *campaign,
                                      struct dk_campaign_tally *out, struct dk_fault *fault);

// Before a run: when a campaign is going on, makes the run one of its samples by setting settings->inspection.campaign.
// Errors: NOT_NOW (a sample would not count yet; the fault says when), USAGE (the run fits no stratum), and those of
// the two above.
enum dk_err dk_campaign_admit(struct dk_settings *settings, struct dk_fault *fault);

// After a run: says on stderr what is left of its stratum and when the next sample counts. Silent without a campaign.
void dk_campaign_say_left(const struct dk_settings *settings);
