// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/report/field.h"
#include "agent/report/page.h"
#include "agent/report/parts.h"
#include "agent/report/text.h"
#include "probes/measurement.h"

#define MEGA 1000000

enum { LINES_MAX = 4 }; // of queries, so that a page stays a page

static void begin_row(struct dk_markup *m, const char *label)
{
    dk_markup_add(m, "<dt>");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</dt><dd>");
}

static void add_ms(struct dk_markup *m, int64_t ns)
{
    char number[DK_NUMBER_SIZE];

    dk_number_text(ns, MEGA, 2, false, number);
    dk_markup_words(m, "%s ms", number);
}

// The two parts of the way: to the gateway, and what it leaves of the way to the server.
static void add_parts(struct dk_markup *m, const json_t *record)
{
    int64_t gateway_ns = dk_field_integer(record, "latency.gateway.rtt_median_ns", -1),
            all_ns = dk_field_integer(record, "latency.idle.rtt_median_ns", -1);

    if (gateway_ns < 0)
        return;
    begin_row(m, _("Round trip"));
    dk_markup_words(m, "%s ", _("to the gateway"));
    add_ms(m, gateway_ns);
    dk_markup_add(m, " <small>(");
    dk_markup_words(m, _("lost %lld of %lld"), (long long)dk_field_integer(record, "latency.gateway.lost", 0),
                    (long long)dk_field_integer(record, "latency.gateway.sent", 0));
    dk_markup_add(m, ")</small>");
    if (all_ns > gateway_ns) {
        dk_markup_words(m, "; %s ", _("beyond it"));
        add_ms(m, all_ns - gateway_ns);
    }
    dk_markup_add(m, "</dd>\n");
}

static void add_mtu(struct dk_markup *m, const json_t *record)
{
    int64_t bytes = dk_field_integer(record, "path.mtu.path_mtu_bytes", -1);

    if (bytes < 0)
        return;
    begin_row(m, _("Path MTU"));
    dk_markup_words(m, bytes < DK_PATH_MTU_MAX_BYTES ? _("%lld bytes") : _("%lld bytes, or more"), (long long)bytes);
    if (dk_field_true(record, "path.mtu.black_hole")) {
        dk_markup_add(m, "; ");
        dk_markup_words(m, "%s", _("longer packets vanish unsaid (black hole?)"));
    }
    dk_markup_add(m, "</dd>\n");
}

// The shortest of a hop's times; -1 without any.
static int64_t hop_ns(const json_t *hop)
{
    const json_t *times = dk_field(hop, "rtt_ns");
    int64_t best_ns = -1;
    size_t i;
    json_t *time;

    json_array_foreach(times, i, time)
    {
        int64_t ns = json_is_integer(time) ? json_integer_value(time) : -1;

        if (ns >= 0 && (best_ns < 0 || ns < best_ns))
            best_ns = ns;
    }
    return best_ns;
}

static void add_route(struct dk_markup *m, const json_t *record)
{
    enum { HOPS_MAX = 30 };
    const json_t *hops = dk_field(record, "path.route.hops");
    size_t count = json_array_size(hops);

    if (count == 0)
        return;
    begin_row(m, _("Route"));
    dk_markup_words(m, dk_field_true(record, "path.route.reached") ? _("hops to the server: %lld")
                                                                   : _("hops seen, without the server: %lld"),
                    (long long)count);
    dk_markup_add(m, "; <small>");
    for (size_t i = 0; i < count && i < HOPS_MAX; i++) {
        const json_t *hop = json_array_get(hops, i);
        const char *address = dk_field_text(hop, "address");

        if (i > 0)
            dk_markup_add(m, " → ");
        if (address[0] == '\0') {
            dk_markup_add(m, "–");
            continue;
        }
        dk_markup_foreign(m, address);
        dk_markup_add(m, " ");
        add_ms(m, hop_ns(hop));
    }
    dk_markup_add(m, "</small></dd>\n");
}

static const char *failure_words(const char *failure)
{
    static const struct {
        const char *code, *words;
    } rows[] = {
        {"timeout", N_("no answer in time")},         {"refused", N_("nobody listens there")},
        {"unreachable", N_("cannot be reached")},     {"closed", N_("the connection was closed")},
        {"malformed", N_("answers that are none")},   {"mismatched", N_("answers to something else")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(failure, rows[i].code) == 0)
            return _(rows[i].words);
    return "?";
}

static void add_query(struct dk_markup *m, const json_t *query)
{
    static const char *const rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
    int64_t rcode = dk_field_integer(query, "rcode", -1);

    dk_markup_foreign(m, dk_field_text(query, "server"));
    dk_markup_add(m, ", ");
    dk_markup_foreign(m, dk_field_text(query, "name"));
    dk_markup_add(m, dk_field_is(query, "type", "AAAA") ? " AAAA, " : " A, ");
    dk_markup_add(m, dk_field_is(query, "transport", "tcp") ? "TCP: " : "UDP: ");
    if (!dk_field_is(query, "status", "ok")) {
        dk_markup_words(m, "%s", failure_words(dk_field_text(query, "failure")));
        return;
    }
    add_ms(m, dk_field_integer(query, "response_ns", 0));
    if (rcode > 0 && rcode < (int64_t)(sizeof rcodes / sizeof rcodes[0]))
        dk_markup_words(m, ", %s", rcodes[rcode]);
    else if (rcode > 0)
        dk_markup_words(m, ", RCODE %lld", (long long)rcode);
    if (dk_field_true(query, "authenticated"))
        dk_markup_add(m, ", DNSSEC");
}

static void add_dns(struct dk_markup *m, const json_t *record)
{
    const json_t *queries = dk_field(record, "dns.queries");
    size_t count = json_array_size(queries);

    if (count == 0)
        return;
    begin_row(m, "DNS");
    dk_markup_add(m, "<small>");
    for (size_t i = 0; i < count && i < LINES_MAX; i++) {
        if (i > 0)
            dk_markup_add(m, "<br>");
        add_query(m, json_array_get(queries, i));
    }
    if (count > LINES_MAX) {
        dk_markup_add(m, "<br>");
        dk_markup_words(m, _("and %lld more in the record"), (long long)(count - LINES_MAX));
    }
    dk_markup_add(m, "</small></dd>\n");
}

void dk_part_way(struct dk_markup *m, const json_t *record, int level)
{
    if (dk_field_integer(record, "latency.gateway.rtt_median_ns", -1) < 0 &&
        dk_field_integer(record, "path.mtu.path_mtu_bytes", -1) < 0 &&
        json_array_size(dk_field(record, "path.route.hops")) == 0 &&
        json_array_size(dk_field(record, "dns.queries")) == 0)
        return;
    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("The way to the server"));
    dk_markup_add(m, "<dl class=\"facts\">\n");
    add_parts(m, record);
    add_mtu(m, record);
    add_route(m, record);
    add_dns(m, record);
    dk_markup_add(m, "</dl></section>\n");
}
