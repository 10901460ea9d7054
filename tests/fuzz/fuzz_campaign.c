// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the plan of a campaign: refused with a fault, or one whose parts fit each other.
#include "config/campaign.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dk_campaign campaign = {0};
    struct dk_campaign_tally tally = {0};
    struct dk_fault fault = {0};
    struct dk_wall next = {0};

    if (dk_campaign_read_text(&campaign, "fuzz", (const char *)data, size, &fault) != DK_OK) {
        if (fault.err == DK_OK || fault.what[0] == '\0' || campaign.strata != 0)
            abort();
        return 0;
    }
    if (campaign.strata == 0 || campaign.bands == 0 || campaign.from.ns >= campaign.to.ns || campaign.gap_ns < 0)
        abort();
    for (size_t i = 0; i < campaign.strata; i++)
        if (dk_campaign_missing(&campaign, &tally, i) != campaign.stratum[i].samples)
            abort();
    // The period may hold no hour of a band only when it is shorter than a day, which it is not.
    if (!dk_campaign_next(&campaign, &tally, campaign.from, &next) || dk_campaign_band(&campaign, next) < 0)
        abort();
    return 0;
}
