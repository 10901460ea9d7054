// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/verdict.h"

#include <inttypes.h>
#include <stdio.h>

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

const char *dk_flag_figure_text(enum dk_flag_figure figure)
{
    static const char *const texts[] = {DK_FLAG_FIGURE_LIST(TEXT)};

    return texts[figure];
}

bool dk_check_in_ns(const struct dk_check *check)
{
    return dk_indicator_units(check->rule.indicator) == dk_units_duration;
}

void dk_rate_amount(int64_t rate_bps, char out[static DK_AMOUNT_SIZE])
{
    snprintf(out, DK_AMOUNT_SIZE, "%" PRId64 ".%02" PRId64 " Mb/s", rate_bps / 1000000, rate_bps / 10000 % 100);
}

void dk_check_amount(const struct dk_check *check, int64_t amount, char out[static DK_AMOUNT_SIZE])
{
    // 1 Mb/s = 10^6 bit/s and 1 ms = 10^6 ns: one division serves both.
    int64_t hundredths = amount / 10000;

    if (check->rule.op == DK_OP_AT_MOST && amount % 10000 > 0)
        hundredths++;
    snprintf(out, DK_AMOUNT_SIZE, "%" PRId64 ".%02" PRId64 " %s", hundredths / 100, hundredths % 100,
             dk_check_in_ns(check) ? "ms" : "Mb/s");
}
