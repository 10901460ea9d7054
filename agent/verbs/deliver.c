// SPDX-License-Identifier: Apache-2.0
#include "agent/base/message.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/delivery.h"

#include "agent/base/clock.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/interrupt.h"
#include "agent/verbs/stamping.h"
#include "agent/verbs/verbs.h"

#include <inttypes.h>
#include <stdio.h>

// Returns the exit status.
static int deliver(const struct dk_settings *settings, const struct dk_keys *device_keys)
{
    struct dk_deliver_result result = {0};
    struct dk_fault fault = {0};
    enum dk_err err = dk_delivery(settings, device_keys, dk_interrupt_fd(), &result, &fault);

    if (err == DK_OK || result.delivered + result.refused + result.waiting > 0)
        printf(_("delivered %" PRId64 ", refused %" PRId64 ", waiting %" PRId64 "\n"), result.delivered,
               result.refused, result.waiting);
    if (result.damaged > 0)
        fprintf(stderr,
                _("dokiem deliver: records damaged on this device, not sent, and set aside: %" PRId64
                  "; keep their files as evidence, look at the disk, and see: dokiem list, dokiem verify\n"),
                result.damaged);
    if (result.refused > 0)
        fprintf(stderr,
                _("dokiem deliver: records that the collector called malformed, set aside: %" PRId64
                  "; see: dokiem list\n"),
                result.refused);
    if (err != DK_OK && result.retry_after_ns > 0)
        fprintf(stderr, _("dokiem deliver: the collector asks to wait %" PRId64 " s\n"),
                result.retry_after_ns / DK_NS_PER_S);
    return err == DK_OK ? 0 : dk_verb_fail("deliver", &fault);
}

// The same for time stamps.
static int stamp(const struct dk_settings *settings)
{
    int64_t kept = 0;
    struct dk_fault fault = {0};
    enum dk_err err = dk_stamping(settings, dk_interrupt_fd(), &kept, &fault);

    if (err == DK_OK || kept > 0)
        printf(_("time stamps kept %" PRId64 "\n"), kept);
    return err == DK_OK ? 0 : dk_verb_fail("deliver", &fault);
}

int dk_verb_deliver(int argc, char **argv)
{
    const char *url = NULL;
    const struct dk_own_flag own[] = {
        {"collector", "URL", N_("deliver there instead of [collector] url"), &url, NULL},
        {0},
    };
    struct dk_arguments arguments;
    const struct dk_settings *settings = &arguments.settings;
    dk_auto_keys struct dk_keys device_keys = {0};
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, own, &arguments, &fault);
    int delivered = 0, stamped = 0;

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "is one word too many");
    if (err == DK_OK && url != NULL)
        err = dk_settings_set_argument(&arguments.settings, "collector", url, &fault);
    // Where stamps alone are wanted, a collector is not missed.
    bool delivers = err == DK_OK && (settings->collector_url[0] != '\0' || settings->time_stamp_url[0] == '\0');

    if (delivers)
        err = dk_delivery_keys(settings->state_dir, NULL, &device_keys, &fault);
    if (err != DK_OK)
        return dk_verb_fail("deliver", &fault);
    dk_confine_delivering(settings);
    if (delivers)
        delivered = deliver(settings, &device_keys);
    if (settings->time_stamp_url[0] != '\0' && delivered != dk_err_exit_status(DK_ERR_INTERRUPTED))
        stamped = stamp(settings);
    return delivered != 0 ? delivered : stamped;
}
