// SPDX-License-Identifier: Apache-2.0
#include "agent/context/context.h"

#define TEXT(name, text) text,

const char *dk_medium_text(enum dk_medium medium)
{
    static const char *const texts[] = {DK_MEDIUM_LIST(TEXT)};

    return texts[medium];
}

const char *dk_clock_state_text(enum dk_clock_state state)
{
    static const char *const texts[] = {DK_CLOCK_STATE_LIST(TEXT)};

    return texts[state];
}
