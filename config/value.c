// SPDX-License-Identifier: Apache-2.0
#include "config/value.h"

#include "agent/base/clock.h"
#include "agent/base/message.h"
#include "agent/base/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct dk_unit dk_units_duration[] = {
    {"d", 86400 * DK_NS_PER_S}, {"h", 3600 * DK_NS_PER_S}, {"min", 60 * DK_NS_PER_S}, {"s", DK_NS_PER_S},
    {"ms", DK_NS_PER_MS},       {"us", DK_NS_PER_US},      {"ns", 1},                 {NULL, 0},
};

const struct dk_unit dk_units_bytes[] = {
    {"GiB", INT64_C(1) << 30}, {"GB", 1'000'000'000}, {"MiB", 1 << 20}, {"MB", 1'000'000},
    {"KiB", 1 << 10},          {"kB", 1000},          {"B", 1},         {NULL, 0},
};

const struct dk_unit dk_units_rate[] = {
    {"Gb/s", 1'000'000'000}, {"Mb/s", 1'000'000}, {"kb/s", 1000}, {"b/s", 1}, {NULL, 0},
};

const struct dk_unit dk_units_share[] = {{"%", 10'000}, {"ppm", 1}, {NULL, 0}};

const char *dk_quantity_parse(const char *text, const struct dk_unit *units, int64_t bare, int64_t *out)
{
    size_t digits = strspn(text, "0123456789.");
    const char *unit = text + digits + (text[digits] == ' ' ? 1 : 0);
    int64_t scale = 0;

    if (digits == 0)
        return N_("is not a number with a unit");
    if (text[digits] == '\0') {
        if (bare == 0)
            return N_("has no unit");
        if (memchr(text, '.', digits) != NULL)
            return N_("has decimals but no unit");
        scale = bare;
    }
    for (; scale == 0 && units->name != NULL; units++)
        if (strcmp(unit, units->name) == 0)
            scale = units->scale;
    if (scale == 0)
        return N_("has a unit that is not known here");
    if (!dk_parse_decimal(text, digits, scale, 0, INT64_MAX, out))
        return N_("is not a plain decimal number, or is too large or too fine");
    return NULL;
}

enum dk_err dk_quantity_print(int64_t value, const struct dk_unit *units, const char *space, struct dk_buf *out)
{
    while (value % units->scale != 0)
        units++;
    return dk_buf_printf(out, "%" PRId64 "%s%s", value / units->scale, space, units->name);
}

void dk_quote(const char *text, char out[static DK_QUOTE_SIZE])
{
    size_t len = strlen(text), most = DK_QUOTE_SIZE - 8;

    if (!dk_text_is_clean(text, len)) {
        snprintf(out, DK_QUOTE_SIZE, "the value");
        return;
    }
    if (len > most) {
        len = most;
        while (((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    snprintf(out, DK_QUOTE_SIZE, "\"%.*s%s\"", (int)len, text, text[len] != '\0' ? "…" : "");
}
