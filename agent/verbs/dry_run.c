// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/dry_run.h"

#include "agent/judge/verdict.h"
#include "agent/measure.h"
#include "agent/report/text.h"
#include "agent/report/words.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

enum { LABEL_COLUMNS = 12 };

// A label of the left column, padded by the columns it takes.
static void label(const char *text)
{
    size_t columns = dk_text_columns(text);

    printf("%s%*s", text, columns < LABEL_COLUMNS ? (int)(LABEL_COLUMNS - columns) : 1, "");
}

static void print_servers(const struct dk_settings *settings)
{
    for (size_t i = 0; i < settings->server_count; i++) {
        const struct dk_server_settings *server = &settings->servers[i];

        if (server->url[0] == '\0' && i + 1 < settings->server_count)
            continue;
        label(i == 0 ? _("Server") : "");
        if (server->url[0] == '\0')
            printf("%s\n", _("none: set [server] url, or give --server URL"));
        else
            printf("%s%s%s%s\n", server->name, server->name[0] != '\0' ? " (" : "", server->url,
                   server->name[0] != '\0' ? ")" : "");
    }
    if (settings->server_count > 1) {
        label("");
        printf("%s\n", _("the one with the shortest round trip is used"));
    }
}

static int directions(const struct dk_settings *settings)
{
    return ((settings->only & DK_ONLY_DOWNLOAD) != 0) + ((settings->only & DK_ONLY_UPLOAD) != 0);
}

// Bytes of both directions when the line gives `rate_bps` for as long as it is tested.
static long long megabytes_at(const struct dk_settings *settings, int64_t rate_bps)
{
    return (long long)(rate_bps / 8 * (settings->duration_ns / DK_NS_PER_MS) / 1000 * directions(settings) /
                       1'000'000);
}

static void print_effort(const struct dk_settings *settings)
{
    struct dk_measure_bound bound = dk_measure_bound(settings);
    static const int64_t rates_mbps[] = {40, 100, 200};

    int64_t usual_ns = directions(settings) * settings->duration_ns + DK_NS_PER_S;

    if (settings->only & DK_ONLY_LATENCY)
        usual_ns += settings->latency_count * settings->latency_interval_ns;
    if (settings->only & (DK_ONLY_DNS | DK_ONLY_PATH))
        usual_ns += DK_NS_PER_S;
    label(_("Time"));
    printf(_("about %lld s, at most %lld s\n"), (long long)(usual_ns / DK_NS_PER_S),
           (long long)(bound.duration_ns / DK_NS_PER_S));
    label(_("Data"));
    printf(_("at most %lld MB"), (long long)(bound.bytes / 1'000'000));
    for (size_t i = 0; i < sizeof rates_mbps / sizeof rates_mbps[0]; i++)
        printf(_("; %lld MB at %lld Mb/s"), megabytes_at(settings, rates_mbps[i] * 1'000'000),
               (long long)rates_mbps[i]);
    printf("\n");
}

static void print_checks(const struct dk_settings *settings, const struct dk_rules *rules)
{
    size_t shown = 0;

    for (size_t i = 0; i < rules->count; i++) {
        const struct dk_rule *rule = &rules->rules[i];
        struct dk_check check = {.rule = *rule};
        char amount[DK_AMOUNT_SIZE];
        int64_t threshold = 0;

        if (!dk_rule_is_about(rule, settings->technology, &settings->site) || !dk_rule_is_for_one_run(rule))
            continue;
        label(shown++ == 0 ? _("Checks") : "");
        printf("%s %s ", dk_indicator_words(rule->indicator), rule->op == DK_OP_AT_LEAST ? "≥" : "≤");
        if (dk_rule_resolve(rule, &settings->site, &threshold)) {
            dk_check_amount(&check, threshold, amount);
            printf("%s\n", amount);
        } else {
            printf("site.%s (%s)\n", dk_site_rate_text(rule->site_rate), _("not set"));
        }
    }
    if (shown == 0) {
        label(_("Checks"));
        printf("%s\n", settings->technology == DK_TECHNOLOGY_AUTO ? _("none: give --technology 4g|5g|fixed")
                                                                  : _("none"));
    }
}

void dk_dry_run_print(const struct dk_settings *settings, const struct dk_rules *rules)
{
    print_servers(settings);
    label(_("Line"));
    printf("%s%s%s\n", dk_technology_text(settings->technology), settings->interface[0] != '\0' ? ", " : "",
           settings->interface);
    print_effort(settings);
    label(_("Rules"));
    printf("%s, %s\n", rules->id, rules->title);
    print_checks(settings, rules);
    label(_("Record"));
    printf("%s/journal\n", settings->state_dir);
    label(_("Collector"));
    printf("%s\n", settings->collector_url[0] != '\0' ? settings->collector_url : _("none"));
    if (settings->time_stamp_url[0] != '\0') {
        label(_("Time stamp"));
        printf("%s, %s\n", dk_each_text(settings->time_stamp_each), settings->time_stamp_url);
    }
    printf("\n%s\n", _("Nothing was measured."));
}
