// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a profile: refused with a fault, or at least one whole rule.
#include "config/rules.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dk_rules rules = {0};
    struct dk_fault fault = {0};

    if (dk_rules_read_text(&rules, "fuzz", (const char *)data, size, &fault) != DK_OK) {
        if (fault.err == DK_OK || fault.what[0] == '\0')
            abort();
        return 0;
    }
    if (rules.count == 0 || rules.count > DK_RULES_MAX)
        abort();
    for (size_t i = 0; i < rules.count; i++) {
        const struct dk_rule *rule = &rules.rules[i];
        struct dk_site site = {0};
        dk_auto_buf struct dk_buf text = dk_buf_make(100);
        int64_t threshold = 0;

        site.rate_bps[rule->site_rate] = DK_SITE_RATE_MAX_BPS;
        if (rule->basis[0] == '\0' || (rule->unconfirmed && rule->note[0] == '\0') ||
            !dk_rule_resolve(rule, &site, &threshold) || threshold <= 0 ||
            dk_rule_print_threshold(rule, &text) != DK_OK)
            abort();
    }
    return 0;
}
