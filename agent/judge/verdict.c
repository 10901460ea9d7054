// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/verdict.h"

#define TEXT(name, text) text,

const char *dk_validity_text(enum dk_validity_state state)
{
    static const char *const texts[] = {DK_VALIDITY_LIST(TEXT)};

    return texts[state];
}

const char *dk_flag_text(enum dk_flag_code code)
{
    static const char *const texts[] = {DK_FLAG_LIST(TEXT)};

    return texts[code];
}

bool dk_check_in_ns(const struct dk_check *check)
{
    return check->rule.indicator == DK_INDICATOR_LATENCY_IDLE_MEDIAN;
}
