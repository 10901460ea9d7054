// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/arguments.h"
#include "agent/verbs/profile.h"
#include "agent/verbs/stamping.h"
#include "agent/verbs/verbs.h"
#include "config/ini.h"
#include "config/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// "# download-5g-share: 5g download.rate_whole_bps share >= 30 Mb/s at least 95 % (qcvn, 1500 samples …)"
static enum dk_err print_rule(const struct dk_rule *rule, struct dk_buf *out)
{
    enum dk_err err = dk_buf_printf(out, "# %s: %s%s%s%s%s %s %s %s ", rule->id, dk_technology_text(rule->technology),
                                    rule->environment != DK_ENVIRONMENT_UNSTATED ? " " : "",
                                    rule->environment != DK_ENVIRONMENT_UNSTATED
                                        ? dk_environment_text(rule->environment) : "",
                                    rule->subscriber != DK_SUBSCRIBER_UNSTATED ? " " : "",
                                    rule->subscriber != DK_SUBSCRIBER_UNSTATED
                                        ? dk_subscriber_text(rule->subscriber) : "",
                                    dk_indicator_text(rule->indicator), dk_statistic_text(rule->statistic),
                                    dk_op_text(rule->op));

    if (err == DK_OK)
        err = dk_rule_print_threshold(rule, out);
    if (err == DK_OK && rule->statistic == DK_STATISTIC_SHARE)
        err = dk_buf_append(out, " in at least ", strlen(" in at least "));
    if (err == DK_OK && rule->statistic == DK_STATISTIC_SHARE)
        err = dk_quantity_print(rule->share_ppm, dk_units_share, " ", out);
    if (err == DK_OK)
        err = dk_buf_printf(out, " (%s; a finding needs %" PRId64 " samples", dk_rule_family_text(rule->family),
                            rule->min_samples);
    if (err == DK_OK && rule->min_samples_stratum > 0)
        err = dk_buf_printf(out, ", %" PRId64 " of them in each of indoor, outdoor and moving",
                            rule->min_samples_stratum);
    if (err == DK_OK && rule->min_gap_ns > 0)
        err = dk_buf_append(out, ", at least ", strlen(", at least "));
    if (err == DK_OK && rule->min_gap_ns > 0)
        err = dk_quantity_print(rule->min_gap_ns, dk_units_duration, " ", out);
    if (err == DK_OK)
        err = dk_buf_printf(out, "%s)\n#   %s\n", rule->min_gap_ns > 0 ? " apart" : "", rule->basis);
    if (err == DK_OK && rule->note[0] != '\0')
        err = dk_buf_printf(out, "#   %s%s\n", rule->unconfirmed ? "not confirmed: " : "", rule->note);
    return err;
}

static enum dk_err print_rules(const struct dk_rules *rules, struct dk_buf *out)
{
    enum dk_err err = dk_buf_printf(out, "\n# profile %s version %s sha256 %s\n# %s\n", rules->id, rules->version,
                                    rules->sha256, rules->title);

    for (size_t i = 0; i < rules->count && err == DK_OK; i++)
        err = print_rule(&rules->rules[i], out);
    return err;
}

// What is printed is itself a configuration file: the rest is in comments.
int dk_verb_check_config(int argc, char **argv)
{
    static const struct dk_own_flag none[] = {{0}};
    struct dk_arguments arguments;
    struct dk_rules rules = {0};
    struct dk_fault fault = {0};
    dk_auto_buf struct dk_buf out = dk_buf_make(2 * DK_INI_MAX_BYTES);

    if (dk_arguments_read(argc, argv, DK_ARGUMENTS_MEASURING, none, &arguments, &fault) != DK_OK)
        return dk_verb_fail("check-config", &fault);
    if (arguments.help_shown)
        return 0;
    if (arguments.operand_count > 0) {
        (void)dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], "name a file with --config", "is not expected");
        return dk_verb_fail("check-config", &fault);
    }
    if (dk_verb_profile(&arguments.settings, &rules, NULL, &fault) != DK_OK)
        return dk_verb_fail("check-config", &fault);

    dk_auto(tsa) struct dk_tsa *tsa = NULL;

    if (arguments.settings.time_stamp_url[0] != '\0' &&
        dk_stamping_trust(&arguments.settings, &tsa, &fault) != DK_OK)
        return dk_verb_fail("check-config", &fault);

    bool file = arguments.config_path[0] != '\0';

    if (dk_buf_printf(&out, "# %s%s\n", file ? "from " : "no configuration file: defaults", arguments.config_path) !=
            DK_OK ||
        dk_settings_print(&arguments.settings, &out) != DK_OK || print_rules(&rules, &out) != DK_OK) {
        (void)dk_fail(&fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        return dk_verb_fail("check-config", &fault);
    }
    fputs(dk_buf_text(&out), stdout);
    return 0;
}
