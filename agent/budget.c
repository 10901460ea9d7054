// SPDX-License-Identifier: Apache-2.0
#include "agent/budget.h"

#include "agent/journal/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t kilobyte = 1000;

static bool is_metered(const struct dk_context *context)
{
    return context->link.medium == DK_MEDIUM_CELLULAR || context->link.medium == DK_MEDIUM_PPP;
}

// True when `bound_bytes` more stay within `limit_bytes` (0: no limit); else the reason is set.
static bool fits(const struct dk_budget *budget, int64_t used_bytes, int64_t limit_bytes, const char *period,
                 int64_t bound_bytes, char *reason, size_t reason_size)
{
    if (limit_bytes == 0 || (bound_bytes <= limit_bytes && used_bytes <= limit_bytes - bound_bytes))
        return true;
    snprintf(reason, reason_size,
             "budget: %" PRId64 " kB of the %s %" PRId64 " kB of %s are used, and a run may use %" PRId64
             " kB; to ask for less, lower [test] max_bytes",
             used_bytes / kilobyte, period, limit_bytes / kilobyte, budget->link, bound_bytes / kilobyte);
    return false;
}

enum dk_err dk_budget_admit(const struct dk_settings *settings, const struct dk_context *context, int64_t bound_bytes,
                            bool ignore, struct dk_budget *out, bool *admitted, char *reason, size_t reason_size,
                            struct dk_fault *fault)
{
    struct dk_usage usage;
    bool limited = settings->budget_daily_bytes > 0 || settings->budget_monthly_bytes > 0;

    *out = (struct dk_budget){.state_dir = settings->state_dir, .when = dk_wall_now()};
    *admitted = ignore || settings->budget_metered == DK_METERED_RUN || !is_metered(context);
    if (!*admitted)
        snprintf(reason, reason_size, "budget: %s is a metered link (%s), and [budget] metered is skip",
                 context->link.interface, dk_medium_text(context->link.medium));
    if (!*admitted || !limited)
        return DK_OK;
    snprintf(out->link, sizeof out->link, "%s",
             settings->budget_link[0] != '\0'       ? settings->budget_link
             : context->link.interface[0] != '\0' ? context->link.interface
                                                    : "unknown");

    enum dk_err err = dk_usage_read(settings->state_dir, &usage, fault);

    if (err != DK_OK)
        return err;
    *admitted = ignore || (fits(out, dk_usage_of(&usage, dk_usage_day(out->when), out->link),
                                settings->budget_daily_bytes, "day's", bound_bytes, reason, reason_size) &&
                           fits(out, dk_usage_of(&usage, dk_usage_month(out->when), out->link),
                                settings->budget_monthly_bytes, "month's", bound_bytes, reason, reason_size));
    if (!*admitted)
        return DK_OK;
    out->counted = true;
    out->reserved_bytes = bound_bytes;
    return dk_usage_add(out->state_dir, out->link, out->when, bound_bytes, fault);
}

enum dk_err dk_budget_settle(const struct dk_budget *budget, int64_t used_bytes, struct dk_fault *fault)
{
    if (!budget->counted)
        return DK_OK;
    return dk_usage_add(budget->state_dir, budget->link, budget->when, used_bytes - budget->reserved_bytes, fault);
}
