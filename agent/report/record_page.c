// SPDX-License-Identifier: Apache-2.0
#include "agent/report/record_page.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/report/field.h"
#include "agent/report/parts.h"
#include "agent/report/plots.h"
#include "agent/report/text.h"
#include "agent/report/words.h"

#define MEGA 1000000

void dk_part_heading(struct dk_markup *m, int level, const char *words)
{
    dk_markup_addf(m, "<h%d>", level);
    dk_markup_words(m, "%s", words);
    dk_markup_addf(m, "</h%d>\n", level);
}

void dk_part_reason(struct dk_markup *m, const char *reason)
{
    if (reason[0] == '\0')
        return;
    // Reasons are kept in English, whatever the language of the page.
    dk_markup_add(m, "<p lang=\"en\">");
    dk_markup_foreign(m, reason);
    dk_markup_add(m, "</p>\n");
}

static void add_number(struct dk_markup *m, int64_t value, int64_t scale, int decimals, const char *unit)
{
    char number[DK_NUMBER_SIZE];

    if (value < 0) {
        dk_markup_add(m, "–");
        return;
    }
    dk_number_text(value, scale, decimals, false, number);
    if (unit[0] != '\0')
        dk_markup_words(m, "%s\u00a0%s", number, unit);
    else
        dk_markup_add(m, number);
}

// A code of the record ("wifi") in words, or as it is.
static void add_code(struct dk_markup *m, const char *code)
{
    const char *words = dk_code_words(code);

    if (words != NULL)
        dk_markup_words(m, "%s", words);
    else
        dk_markup_foreign(m, code);
}

static void begin_row(struct dk_markup *m, const char *label)
{
    dk_markup_add(m, "<dt>");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</dt><dd>");
}

static void end_row(struct dk_markup *m)
{
    dk_markup_add(m, "</dd>\n");
}

static void text_row(struct dk_markup *m, const json_t *record, const char *label, const char *path)
{
    const char *text = dk_field_text(record, path);

    if (text[0] == '\0')
        return;
    begin_row(m, label);
    dk_markup_foreign(m, text);
    end_row(m);
}

static void rate_row(struct dk_markup *m, const json_t *record, const char *label, const char *path)
{
    int64_t rate_bps = dk_field_integer(record, path, -1);

    if (rate_bps < 0)
        return;
    begin_row(m, label);
    add_number(m, rate_bps, MEGA, 2, "Mb/s");
    end_row(m);
}

static void add_where(struct dk_markup *m, const json_t *record, int level)
{
    const char *code = dk_field_text(record, "site.code"), *name = dk_field_text(record, "site.name");

    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("Where and by whom"));
    dk_markup_add(m, "<dl class=\"facts\">\n");
    begin_row(m, _("Site"));
    dk_markup_foreign(m, name[0] != '\0' ? name : code[0] != '\0' ? code : _("not stated"));
    if (name[0] != '\0' && code[0] != '\0') {
        dk_markup_add(m, " (");
        dk_markup_foreign(m, code);
        dk_markup_add(m, ")");
    }
    end_row(m);
    text_row(m, record, _("Hamlet"), "site.hamlet");
    text_row(m, record, _("Commune"), "site.commune");
    begin_row(m, _("Surroundings"));
    add_code(m, dk_field_text(record, "site.environment"));
    end_row(m);
    text_row(m, record, _("Note"), "site.note");
    text_row(m, record, _("Inspection"), "inspection.case");
    text_row(m, record, _("Inspector"), "inspection.inspector");
    text_row(m, record, _("Place"), "inspection.place");
    text_row(m, record, _("Campaign"), "inspection.campaign");
    text_row(m, record, _("Repeats the record"), "inspection.confirms");
    text_row(m, record, _("SHA-256 of a photo"), "inspection.photo_sha256");
    begin_row(m, _("Device"));
    dk_markup_foreign(m, dk_field_text(record, "device.os"));
    dk_markup_add(m, ", ");
    dk_markup_foreign(m, dk_field_text(record, "device.arch"));
    dk_markup_add(m, "; dokiem ");
    dk_markup_foreign(m, dk_field_text(record, "device.version"));
    end_row(m);
    dk_markup_add(m, "</dl></section>\n");
}

static void date_row(struct dk_markup *m, const json_t *record, const char *label, const char *path)
{
    struct dk_wall when;
    char local[DK_DATE_SIZE], utc[DK_DATE_SIZE];

    begin_row(m, label);
    if (dk_wall_parse(dk_field_text(record, path), &when)) {
        dk_local_date(when, local);
        dk_utc_date(when, utc);
        dk_markup_words(m, "%s (UTC+07:00)", local);
        dk_markup_add(m, "<br><small>");
        dk_markup_words(m, "%s UTC", utc);
        dk_markup_add(m, "</small>");
    } else {
        dk_markup_foreign(m, dk_field_text(record, path));
    }
    end_row(m);
}

static void add_when(struct dk_markup *m, const json_t *record, int level)
{
    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("When"));
    dk_markup_add(m, "<dl class=\"facts\">\n");
    date_row(m, record, _("Start"), "time.start");
    date_row(m, record, _("End"), "time.end");
    begin_row(m, _("Clock"));
    add_code(m, dk_field_text(record, "time.clock.state"));
    end_row(m);
    begin_row(m, _("Data used"));
    add_number(m, dk_field_integer(record, "data_used_bytes", -1), MEGA, 1, "MB");
    end_row(m);
    dk_markup_add(m, "</dl></section>\n");
}

static void add_link(struct dk_markup *m, const json_t *record, int level)
{
    bool ipv4 = dk_field_true(record, "link.ipv4"), ipv6 = dk_field_true(record, "link.ipv6");

    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("Line"));
    dk_markup_add(m, "<dl class=\"facts\">\n");
    begin_row(m, _("Technology"));
    add_code(m, dk_field_text(record, "link.technology"));
    end_row(m);
    text_row(m, record, _("Operator"), "link.operator");
    text_row(m, record, _("Tariff"), "inspection.tariff");
    rate_row(m, record, _("Subscribed download"), "site.subscribed_download_bps");
    rate_row(m, record, _("Subscribed upload"), "site.subscribed_upload_bps");
    rate_row(m, record, _("Declared download"), "site.declared_download_bps");
    rate_row(m, record, _("Declared upload"), "site.declared_upload_bps");
    rate_row(m, record, _("Declared minimum download"), "site.minimum_download_bps");
    begin_row(m, _("Connected by"));
    add_code(m, dk_field_text(record, "link.medium"));
    dk_markup_add(m, " (");
    dk_markup_foreign(m, dk_field_text(record, "link.interface"));
    dk_markup_add(m, ")");
    end_row(m);
    rate_row(m, record, _("Speed of the link"), "link.speed_bps");
    begin_row(m, "IPv4, IPv6");
    dk_markup_words(m, "%s, %s", ipv4 ? _("yes") : _("no"), ipv6 ? _("yes") : _("no"));
    end_row(m);
    dk_markup_add(m, "</dl></section>\n");
}

static void add_server(struct dk_markup *m, const json_t *record, int level)
{
    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("Reference server"));
    dk_markup_add(m, "<dl class=\"facts\">\n");
    text_row(m, record, _("Name"), "server.name");
    text_row(m, record, _("URL"), "server.url");
    text_row(m, record, _("Address"), "server.address");
    text_row(m, record, "TLS", "server.tls");
    if (dk_field_integer(record, "server.connect_ns", -1) >= 0) {
        begin_row(m, _("Connected in"));
        add_number(m, dk_field_integer(record, "server.connect_ns", -1), MEGA, 2, "ms");
        end_row(m);
    }
    dk_markup_add(m, "</dl>\n");
    dk_part_reason(m, dk_field_text(record, "server.reason"));
    dk_markup_add(m, "</section>\n");
}

static void add_missing(struct dk_markup *m, const json_t *figure)
{
    const char *status = dk_field_text(figure, "status");

    dk_markup_add(m, "<dd><b>–</b><small>");
    add_code(m, status[0] != '\0' ? status : "not_measured");
    dk_markup_add(m, "</small>");
    dk_markup_add(m, "<small lang=\"en\">");
    dk_markup_foreign(m, dk_field_text(figure, "reason"));
    dk_markup_add(m, "</small></dd></div>\n");
}

static void rate_tile(struct dk_markup *m, const json_t *figure, const char *label)
{
    char low[DK_NUMBER_SIZE], high[DK_NUMBER_SIZE];
    int64_t rate_bps = dk_field_integer(figure, "rate_bps", -1);

    dk_markup_add(m, "<div><dt>");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</dt>");
    if (!dk_field_is(figure, "status", "ok") || rate_bps < 0) {
        add_missing(m, figure);
        return;
    }
    dk_number_text(dk_field_integer(figure, "rate_low_bps", 0), MEGA, 2, false, low);
    dk_number_text(dk_field_integer(figure, "rate_high_bps", 0), MEGA, 2, true, high);
    dk_markup_add(m, "<dd><b>");
    add_number(m, rate_bps, MEGA, rate_bps >= 1000 * (int64_t)MEGA ? 1 : 2, "");
    dk_markup_add(m, "</b> Mb/s<small>");
    dk_markup_words(m, _("95 %%: %s to %s"), low, high);
    dk_markup_add(m, "</small></dd></div>\n");
}

static void latency_tile(struct dk_markup *m, const json_t *figure, const char *label)
{
    int64_t median_ns = dk_field_integer(figure, "rtt_median_ns", -1);

    dk_markup_add(m, "<div><dt>");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</dt>");
    if (!dk_field_is(figure, "status", "ok") || median_ns < 0) {
        add_missing(m, figure);
        return;
    }
    dk_markup_add(m, "<dd><b>");
    add_number(m, median_ns, MEGA,
               median_ns >= 100 * (int64_t)MEGA  ? 0
               : median_ns >= 10 * (int64_t)MEGA ? 1
                                                 : 2,
               "");
    dk_markup_add(m, "</b> ms<small>");
    dk_markup_words(m, _("lost %lld of %lld"), (long long)dk_field_integer(figure, "lost", 0),
                    (long long)dk_field_integer(figure, "sent", 0));
    dk_markup_add(m, "</small></dd></div>\n");
}

static void add_tiles(struct dk_markup *m, const json_t *record)
{
    dk_markup_add(m, "<dl class=\"tiles\">\n");
    rate_tile(m, dk_field(record, "download"), _("Download"));
    rate_tile(m, dk_field(record, "upload"), _("Upload"));
    latency_tile(m, dk_field(record, "latency.idle"), _("Latency, idle"));
    // The worse of the two is what people feel.
    if (dk_field_integer(record, "latency.upload.rtt_median_ns", -1) >
        dk_field_integer(record, "latency.download.rtt_median_ns", -1))
        latency_tile(m, dk_field(record, "latency.upload"), _("Latency during upload"));
    else if (dk_field_integer(record, "latency.download.rtt_median_ns", -1) >= 0)
        latency_tile(m, dk_field(record, "latency.download"), _("Latency during download"));
    dk_markup_add(m, "</dl>\n");
}

static void add_doubts(struct dk_markup *m, const json_t *record, int level)
{
    enum { FLAGS_SHOWN_MAX = 32 };
    const json_t *flags = dk_field(record, "validity.flags");
    size_t count = json_array_size(flags);

    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("Reasons to doubt the figures"));
    if (dk_field_is(record, "validity.state", "invalid")) {
        dk_markup_add(m, "<p class=\"notice\">");
        dk_markup_words(m, "%s", _("The figures say nothing about the line."));
        dk_markup_add(m, "</p>\n");
    }
    if (count == 0) {
        dk_markup_add(m, "<p>");
        dk_markup_words(m, "%s",
                        _("None was found: the device, its other traffic, the server, the link and the clock "
                          "were watched during the test."));
        dk_markup_add(m, "</p></section>\n");
        return;
    }
    dk_markup_add(m, "<ul>\n");
    for (size_t i = 0; i < count && i < FLAGS_SHOWN_MAX; i++) {
        const json_t *flag = json_array_get(flags, i);
        const char *figure = dk_field_text(flag, "figure"),
                   *words = dk_flag_code_words(dk_field_text(flag, "code"));

        dk_markup_add(m, "<li>");
        if (strcmp(figure, "download") == 0 || strcmp(figure, "upload") == 0)
            dk_markup_words(m, "%s: ", strcmp(figure, "upload") == 0 ? _("Upload") : _("Download"));
        if (words != NULL)
            dk_markup_words(m, "%s", words);
        else
            dk_markup_foreign(m, dk_field_text(flag, "code"));
        dk_markup_add(m, "<br><small lang=\"en\">");
        dk_markup_foreign(m, dk_field_text(flag, "detail"));
        dk_markup_add(m, "</small></li>\n");
    }
    dk_markup_add(m, "</ul></section>\n");
}

static bool has_throughput(const json_t *record, const char *part)
{
    return dk_field(dk_field(record, part), "bytes") != NULL;
}

// One row of the table of throughputs: a figure of both directions.
static void figure_row(struct dk_markup *m, const json_t *record, const char *label, const char *key,
                       int64_t scale, int decimals, const char *unit)
{
    dk_markup_add(m, "<tr><th scope=\"row\">");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</th>");
    for (int upload = 0; upload < 2; upload++) {
        dk_markup_add(m, "<td>");
        add_number(m, dk_field_integer(dk_field(record, upload == 1 ? "upload" : "download"), key, -1), scale,
                   decimals, unit);
        dk_markup_add(m, "</td>");
    }
    dk_markup_add(m, "</tr>\n");
}

static int64_t retransmitted(const json_t *throughput)
{
    const json_t *streams = dk_field(throughput, "tcp.streams");
    size_t i;
    json_t *stream;
    int64_t sum = streams != NULL ? 0 : -1;

    json_array_foreach(streams, i, stream)
    {
        int64_t count = dk_field_integer(stream, "retransmitted_segments", 0);

        if (count > 0 && count < INT64_MAX / 2 - sum)
            sum += count;
    }
    return sum;
}

static void add_throughputs(struct dk_markup *m, const json_t *record)
{
    dk_markup_add(m, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\"></th><th scope=\"col\">");
    dk_markup_words(m, "%s", _("Download"));
    dk_markup_add(m, "</th><th scope=\"col\">");
    dk_markup_words(m, "%s", _("Upload"));
    dk_markup_add(m, "</th></tr></thead>\n<tbody>\n");
    figure_row(m, record, _("Steady rate, ramp-up left out"), "rate_bps", MEGA, 2, "Mb/s");
    figure_row(m, record, _("Lower limit of it (95 %)"), "rate_low_bps", MEGA, 2, "Mb/s");
    figure_row(m, record, _("Upper limit of it (95 %)"), "rate_high_bps", MEGA, 2, "Mb/s");
    figure_row(m, record, _("Rate of the whole transfer (as QCVN define it)"), "rate_whole_bps", MEGA, 2,
               "Mb/s");
    figure_row(m, record, _("Payload"), "bytes", MEGA, 2, "MB");
    figure_row(m, record, _("Duration"), "duration_ns", DK_NS_PER_S, 2, "s");
    figure_row(m, record, _("Ramp-up"), "ramp_up_ns", DK_NS_PER_S, 2, "s");
    figure_row(m, record, _("Parallel connections"), "streams", 1, 0, "");
    dk_markup_add(m, "<tr><th scope=\"row\">");
    dk_markup_words(m, "%s", _("Segments that the device sent again"));
    dk_markup_add(m, "</th><td>");
    add_number(m, retransmitted(dk_field(record, "download")), 1, 0, "");
    dk_markup_add(m, "</td><td>");
    add_number(m, retransmitted(dk_field(record, "upload")), 1, 0, "");
    dk_markup_add(m, "</td></tr>\n<tr><th scope=\"row\">");
    dk_markup_words(m, "%s", _("Ended because of"));
    dk_markup_add(m, "</th><td>");
    add_code(m, dk_field_text(record, "download.stop"));
    dk_markup_add(m, "</td><td>");
    add_code(m, dk_field_text(record, "upload.stop"));
    dk_markup_add(m, "</td></tr>\n</tbody></table></div>\n");
}

static void latency_row(struct dk_markup *m, const json_t *record, const char *phase, const char *label)
{
    static const char *const keys[] = {"rtt_median_ns", "rtt_min_ns", "rtt_p95_ns", "rtt_max_ns", "pdv_p95_ns"};
    const json_t *latency = dk_field(dk_field(record, "latency"), phase),
                 *responsiveness = dk_field(dk_field(record, "responsiveness"), phase);
    int64_t added_ns = dk_field_integer(latency, "loaded_minus_idle_ns", INT64_MIN),
            rpm = dk_field_integer(responsiveness, "rpm", -1);

    if (dk_field_integer(latency, "sent", -1) < 0)
        return;
    dk_markup_add(m, "<tr><th scope=\"row\">");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</th>");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        dk_markup_add(m, "<td>");
        add_number(m, dk_field_integer(latency, keys[i], -1), MEGA, 2, "");
        dk_markup_add(m, "</td>");
    }
    dk_markup_add(m, added_ns < 0 && added_ns != INT64_MIN ? "<td>−" : "<td>");
    add_number(m, added_ns >= 0 ? added_ns : added_ns == INT64_MIN ? -1 : -added_ns, MEGA, 2, "");
    dk_markup_add(m, "</td><td>");
    add_number(m, rpm, 1, 0, "");
    if (rpm >= 0) {
        dk_markup_add(m, " (");
        add_code(m, dk_field_text(responsiveness, "confidence"));
        dk_markup_add(m, ")");
    }
    dk_markup_addf(m, "</td><td>%lld / %lld</td><td>", (long long)dk_field_integer(latency, "lost", 0),
                   (long long)dk_field_integer(latency, "sent", 0));
    add_code(m, dk_field_text(latency, "method"));
    dk_markup_add(m, "</td></tr>\n");
}

static void add_latencies(struct dk_markup *m, const json_t *record)
{
    const char *const columns[] = {_("median, ms"), _("min, ms"),     _("p95, ms"), _("max, ms"),
                                   _("PDV, ms"),    _("− idle, ms"), "RPM",        _("lost / sent"),
                                   _("method")};

    dk_markup_add(m, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">");
    dk_markup_words(m, "%s", _("Latency"));
    dk_markup_add(m, "</th>");
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        dk_markup_add(m, "<th scope=\"col\">");
        dk_markup_words(m, "%s", columns[i]);
        dk_markup_add(m, "</th>");
    }
    dk_markup_add(m, "</tr></thead>\n<tbody>\n");
    latency_row(m, record, "idle", _("idle"));
    latency_row(m, record, "download", _("during download"));
    latency_row(m, record, "upload", _("during upload"));
    dk_markup_add(m, "</tbody></table></div>\n<p class=\"soft\">");
    dk_markup_words(m, "%s",
                    _("PDV: delay variation, p95 − min (RFC 5481). − idle: compared with no load. RPM: round trips a "
                      "minute under load."));
    dk_markup_add(m, "</p>\n");
}

// The threshold that the plot of a direction shows: the first rule about it.
static int64_t threshold_of(const json_t *record, const char *direction)
{
    const json_t *checks = dk_field(record, "verdict.checks");
    size_t i;
    json_t *check;

    json_array_foreach(checks, i,
                       check) if (strncmp(dk_field_text(check, "indicator"), direction, strlen(direction)) ==
                                  0) return dk_field_integer(check, "threshold_bps", -1);
    return -1;
}

static void add_alarm(struct dk_markup *m, const struct dk_report_item *item)
{
    if (item->checked == DK_CHECKED_GOOD && item->place != DK_PLACE_BROKEN && item->record != NULL)
        return;
    if (item->checked == DK_CHECKED_NOT && item->record != NULL) {
        dk_markup_add(m, "<p class=\"notice\">");
        dk_markup_words(m, "%s",
                        _("The signature of this record was not checked: no public key was at hand. What "
                          "follows is what the record claims."));
        dk_markup_add(m, "</p>\n");
        return;
    }
    dk_markup_add(m, "<div class=\"alarm\" role=\"alert\"><strong>");
    if (item->checked == DK_CHECKED_BAD)
        dk_markup_words(m, "%s", _("This record does not verify"));
    else if (item->record == NULL)
        dk_markup_words(m, "%s", _("This record cannot be read"));
    else
        dk_markup_words(m, "%s", _("The chain of records is broken"));
    dk_markup_add(m, "</strong><p>");
    if (item->checked == DK_CHECKED_BAD)
        dk_markup_words(
            m, "%s",
            _("It is not what the device signed, or another device signed it. Nothing that follows "
              "is evidence."));
    dk_markup_add(m, "</p>");
    dk_part_reason(m, item->reason);
    dk_markup_add(m, "<p><code>");
    dk_markup_foreign(m, item->source);
    dk_markup_add(m, "</code></p></div>\n");
}

static void add_plots(struct dk_markup *m, const json_t *record, int level)
{
    dk_part_heading(m, level, _("Throughput"));
    dk_plot_throughput(m, record, false, threshold_of(record, "download."));
    dk_plot_throughput(m, record, true, threshold_of(record, "upload."));
    if (has_throughput(record, "download") || has_throughput(record, "upload")) {
        dk_markup_add(m, "<p class=\"soft\">");
        dk_markup_words(
            m, "%s",
            _("Shades: the parallel connections, one on the other; their upper edge is the whole rate. "
              "Hatched: the ramp-up, which the steady rate leaves out. Thin line: the steady rate, and its "
              "interval (95 %) as a band. Dashed line: the threshold."));
        dk_markup_add(m, "</p>\n");
        add_throughputs(m, record);
    }
    dk_part_way(m, record, level);
    dk_part_heading(m, level, _("Latency"));
    dk_plot_latency(m, record);
    dk_plot_latency_shares(m, record);
    add_latencies(m, record);
}

void dk_report_record(struct dk_markup *m, const struct dk_report_item *item, int level)
{
    const json_t *record = item->record;
    bool measured = dk_field_is(record, "kind", "measurement");

    add_alarm(m, item);
    if (record == NULL)
        return;
    dk_part_verdict(m, record, item->checked != DK_CHECKED_BAD);
    if (measured)
        add_tiles(m, record);
    dk_markup_add(m, "<div class=\"pairs\">\n");
    add_where(m, record, level);
    add_when(m, record, level);
    add_link(m, record, level);
    add_server(m, record, level);
    dk_markup_add(m, "</div>\n");
    if (measured) {
        add_doubts(m, record, level);
        add_plots(m, record, level);
    }
    dk_part_proof(m, item, level);
}
