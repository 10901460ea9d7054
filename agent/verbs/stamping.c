// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/stamping.h"

#include "agent/deliver/time_stamps.h"

enum dk_err dk_stamping_trust(const struct dk_settings *settings, struct dk_tsa **out, struct dk_fault *fault)
{
    if (settings->time_stamp_ca_file[0] == '\0')
        return dk_fail(fault, DK_ERR_CONFIG, "[time_stamp] ca_file",
                       "name the file of the authority's certificate, or of the one above it",
                       "is not set: time stamps could not be checked");
    return dk_tsa_read(settings->time_stamp_ca_file, out, fault);
}

enum dk_err dk_stamping(const struct dk_settings *settings, int interrupt_fd, int64_t *kept, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(tsa) struct dk_tsa *tsa = NULL;
    enum dk_err err = dk_stamping_trust(settings, &tsa, fault);

    *kept = 0;
    if (err == DK_OK)
        err = dk_journal_open(settings->state_dir, false, &journal, fault);
    if (err == DK_OK)
        err = dk_journal_lock_delivery(journal, fault);
    if (err != DK_OK)
        return err;

    const struct dk_time_stamps_options options = {
        .url = settings->time_stamp_url,
        .policy = settings->time_stamp_policy,
        .tsa = tsa,
        .each = settings->time_stamp_each,
        .user_agent = "dokiem/" DK_VERSION,
        .interrupt_fd = interrupt_fd,
    };

    return dk_time_stamps_fetch(journal, &options, kept, fault);
}
