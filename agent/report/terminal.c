// SPDX-License-Identifier: Apache-2.0
#include "agent/report/terminal.h"

#include "agent/base/clock.h"
#include "agent/report/text.h"
#include "agent/report/words.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    PARAGRAPH_MAX_BYTES = 8192,
    AMOUNT_SIZE = 48,
    LABEL_COLUMNS = 14,
    COLUMNS_MIN = 40,
    COLUMNS_MAX = 120, // longer lines are hard to read
    COLUMNS_DEFAULT = 80,
};

enum colour {
    COLOUR_NONE,
    COLOUR_GREEN,
    COLOUR_RED,
    COLOUR_YELLOW,
};

// Where the text goes, and the room it has.
struct page {
    FILE *out;
    size_t columns;
    bool colour;
};

struct dk_terminal dk_terminal_of(FILE *out)
{
    struct winsize size = {0};
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    int fd = fileno(out);
    // A "dumb" terminal cannot go back on its line.
    bool is_terminal = fd >= 0 && isatty(fd) == 1 && term != NULL && strcmp(term, "dumb") != 0;
    struct dk_terminal terminal = {.is_terminal = is_terminal,
                                   .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                                   .colour = is_terminal && (no_colour == NULL || no_colour[0] == '\0'),
                                   .columns = COLUMNS_DEFAULT};

    if (is_terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.columns = size.ws_col;
    return terminal;
}

// A label, its text wrapped beside it, the first `mark` bytes of the text coloured.
static void paragraph(const struct page *page, const char *label, enum colour colour, const char *mark,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

static void paragraph(const struct page *page, const char *label, enum colour colour, const char *mark,
                      const char *format, ...)
{
    static const char *const codes[] = {"", "\x1b[32;1m", "\x1b[31;1m", "\x1b[33;1m"};
    char text[PARAGRAPH_MAX_BYTES];
    dk_auto_buf struct dk_buf clean = dk_buf_make(sizeof text);
    dk_auto_buf struct dk_buf wrapped = dk_buf_make(4 * sizeof text);
    size_t label_columns = dk_text_columns(label), marked = dk_text_columns(mark);
    bool coloured = page->colour && colour != COLOUR_NONE;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // A text too long for the buffers is shown as far as it fits.
    if (dk_text_clean(text, strlen(text), false, &clean) != DK_OK ||
        dk_text_append_wrapped(&wrapped, dk_buf_text(&clean), LABEL_COLUMNS + marked + (marked > 0 ? 2 : 0),
                               LABEL_COLUMNS, page->columns) != DK_OK)
        dk_buf_free(&wrapped);
    fprintf(page->out, "%s%*s", label,
            label_columns < LABEL_COLUMNS ? (int)(LABEL_COLUMNS - label_columns) : 1, "");
    if (marked > 0)
        fprintf(page->out, "%s%s%s  ", coloured ? codes[colour] : "", mark, coloured ? "\x1b[0m" : "");
    fprintf(page->out, "%s\n", dk_buf_text(&wrapped));
}

// Two decimals of bit/s as Mb/s, or of ns as ms: both are 10^6.
static void format_amount(int64_t amount, bool round_up, char out[static AMOUNT_SIZE])
{
    long long hundredths = amount / 10000 + (round_up && amount % 10000 > 0 ? 1 : 0);

    snprintf(out, AMOUNT_SIZE, _("%lld.%02lld"), hundredths / 100, hundredths % 100);
}

static void format_mbps(int64_t bps, char out[static AMOUNT_SIZE])
{
    format_amount(bps, false, out);
}

static void format_ms(int64_t ns, char out[static AMOUNT_SIZE])
{
    format_amount(ns, true, out);
}

static const char *status_word(enum dk_status status)
{
    switch (status) {
    case DK_STATUS_FAILED:
        return _("failed");
    case DK_STATUS_INVALID:
        return _("not valid");
    case DK_STATUS_OK:
    case DK_STATUS_NOT_MEASURED:
    default:
        return _("not measured");
    }
}

static void missing(const struct page *page, const char *label, enum dk_status status, const char *reason)
{
    if (reason[0] != '\0')
        paragraph(page, label, COLOUR_NONE, "", "%s: %s", status_word(status), reason);
    else
        paragraph(page, label, COLOUR_NONE, "", "%s", status_word(status));
}

static void report_server(const struct page *page, const struct dk_report_input *input)
{
    const struct dk_server *server = &input->measurement->server;
    const char *name = input->server_name[0] != '\0' ? input->server_name : input->server_url;

    if (server->status == DK_STATUS_OK)
        paragraph(page, _("Server"), COLOUR_NONE, "", "%s, %s", name, server->address);
    else if (input->kind == DK_KIND_MEASUREMENT)
        missing(page, _("Server"), server->status, server->reason);
    else if (name[0] != '\0') // the run's reason says the rest
        paragraph(page, _("Server"), COLOUR_NONE, "", "%s", name);
    for (size_t i = 0; i < input->measurement->candidate_count; i++) {
        const struct dk_candidate *candidate = &input->measurement->candidates[i];

        if (candidate->status != DK_STATUS_OK)
            paragraph(page, "", COLOUR_NONE, "", _("not used: %s: %s"),
                      candidate->name[0] != '\0' ? candidate->name : candidate->url, candidate->reason);
    }
}

static void report_link(const struct page *page, const struct dk_report_input *input)
{
    const struct dk_link *link = &input->context->link;
    const char *technology = link->technology == DK_TECHNOLOGY_UNKNOWN ? _("technology not declared")
                                                                       : dk_technology_text(link->technology);
    const char *interface = link->interface[0] != '\0' ? link->interface : _("no route");

    if (input->site_operator[0] != '\0')
        paragraph(page, _("Link"), COLOUR_NONE, "", "%s (%s), %s, %s", interface,
                  dk_medium_text(link->medium), technology, input->site_operator);
    else
        paragraph(page, _("Link"), COLOUR_NONE, "", "%s (%s), %s", interface, dk_medium_text(link->medium),
                  technology);
}

static void report_throughput(const struct page *page, const char *label, const struct dk_throughput *figure)
{
    char rate[AMOUNT_SIZE], low[AMOUNT_SIZE], high[AMOUNT_SIZE], whole[AMOUNT_SIZE];
    char mark[AMOUNT_SIZE + 8];

    if (figure->status != DK_STATUS_OK) {
        missing(page, label, figure->status, figure->reason);
        return;
    }
    format_mbps(figure->rate_bps, rate);
    format_mbps(figure->rate_low_bps, low);
    format_mbps(figure->rate_high_bps, high);
    format_mbps(figure->rate_whole_bps, whole);
    snprintf(mark, sizeof mark, "%8s Mb/s", rate);
    paragraph(page, label, COLOUR_NONE, mark, _("(95 %% %s to %s; whole transfer %s)"), low, high, whole);
}

static void report_latency(const struct page *page, const char *label, const struct dk_latency *figure)
{
    char median[AMOUNT_SIZE], min[AMOUNT_SIZE], p95[AMOUNT_SIZE], mark[AMOUNT_SIZE + 8];

    if (figure->status != DK_STATUS_OK) {
        missing(page, label, figure->status, figure->reason);
        return;
    }
    format_ms(figure->rtt_median_ns, median);
    format_ms(figure->rtt_min_ns, min);
    format_ms(figure->rtt_p95_ns, p95);
    snprintf(mark, sizeof mark, "%8s ms", median);
    paragraph(page, label, COLOUR_NONE, mark, _("(%s, median; min %s, p95 %s; lost %lld of %lld)"),
              dk_method_text(figure->method), min, p95, (long long)figure->lost, (long long)figure->sent);
}

// The two parts of the way: to the gateway, and beyond it.
static void report_parts(const struct page *page, const struct dk_latency *gateway, const struct dk_latency *all)
{
    char median[AMOUNT_SIZE], min[AMOUNT_SIZE], p95[AMOUNT_SIZE], mark[AMOUNT_SIZE + 8];
    int64_t beyond_ns = all->rtt_median_ns - gateway->rtt_median_ns;

    if (gateway->status != DK_STATUS_OK)
        return;
    format_ms(gateway->rtt_median_ns, median);
    format_ms(gateway->rtt_min_ns, min);
    format_ms(gateway->rtt_p95_ns, p95);
    snprintf(mark, sizeof mark, "%8s ms", median);
    paragraph(page, _("- gateway"), COLOUR_NONE, mark,
              _("(to the gateway: %s, median; min %s, p95 %s; lost %lld of %lld)"),
              dk_method_text(gateway->method), min, p95, (long long)gateway->lost, (long long)gateway->sent);
    if (all->status != DK_STATUS_OK || beyond_ns <= 0)
        return;
    format_ms(beyond_ns, median);
    snprintf(mark, sizeof mark, "%8s ms", median);
    paragraph(page, _("- beyond"), COLOUR_NONE, mark, "%s", _("(from the gateway to the server: the rest)"));
}

// How the resolvers answered, in one line.
static void report_dns(const struct page *page, const struct dk_dns *dns)
{
    int64_t answered = 0, best_ns = 0, unbelieved = 0;
    char best[AMOUNT_SIZE], mark[AMOUNT_SIZE + 8];

    if (dns->status == DK_STATUS_FAILED)
        missing(page, "DNS", dns->status, dns->reason);
    if (dns->status != DK_STATUS_OK)
        return;
    for (size_t i = 0; i < dns->count; i++) {
        const struct dk_dns_query *query = &dns->queries[i];

        unbelieved += query->malformed + query->mismatched;
        if (query->status != DK_STATUS_OK)
            continue;
        answered++;
        if (best_ns == 0 || query->response_ns < best_ns)
            best_ns = query->response_ns;
    }
    format_ms(best_ns, best);
    snprintf(mark, sizeof mark, "%8s ms", best);
    paragraph(page, "DNS", COLOUR_NONE, mark, _("(the fastest answer; %lld of %lld queries answered)"),
              (long long)answered, (long long)dns->count);
    if (unbelieved > 0)
        paragraph(page, "", COLOUR_NONE, "", _("%lld answers were false or broken, and not believed"),
                  (long long)unbelieved);
}

static void report_path(const struct page *page, const struct dk_way_found *path)
{
    const struct dk_path_mtu *mtu = &path->mtu;
    const struct dk_route *route = &path->route;
    const char *label = _("Way");

    if (!path->asked)
        return;
    if (mtu->status == DK_STATUS_OK) {
        paragraph(page, label, COLOUR_NONE, "",
                  mtu->answered_bytes < DK_PATH_MTU_MAX_BYTES ? _("path MTU %lld bytes")
                                                              : _("path MTU %lld bytes, or more"),
                  (long long)mtu->answered_bytes);
        label = "";
    }
    if (mtu->status == DK_STATUS_OK && mtu->black_hole)
        paragraph(page, "", COLOUR_NONE, "", "%s",
                  _("longer packets vanish and nobody says so: a black hole is suspected"));
    if (route->status == DK_STATUS_OK)
        paragraph(page, label, COLOUR_NONE, "",
                  route->reached ? _("hops to the server: %lld") : _("hops seen, without the server: %lld"),
                  (long long)route->count);
}

// How much longer round trips take under that load.
static void report_loaded_latency(const struct page *page, const char *label, const struct dk_measurement *m,
                                  const struct dk_latency *figure)
{
    char added[AMOUNT_SIZE];
    int64_t added_ns = 0;

    if (figure->status != DK_STATUS_OK)
        return;
    report_latency(page, label, figure);
    if (!dk_measurement_loaded_minus_idle_ns(m, figure, &added_ns))
        return;
    format_ms(added_ns < 0 ? -added_ns : added_ns, added);
    paragraph(page, "", COLOUR_NONE, "", added_ns < 0 ? _("%s ms shorter than idle") : _("%s ms longer than idle"),
              added);
}

static void report_responsiveness(const struct page *page, const char *label, const struct dk_responsiveness *figure)
{
    char mark[AMOUNT_SIZE];

    if (figure->status == DK_STATUS_FAILED || figure->status == DK_STATUS_INVALID)
        missing(page, label, figure->status, figure->reason);
    if (figure->status != DK_STATUS_OK)
        return;
    snprintf(mark, sizeof mark, "%8lld RPM", (long long)figure->rpm);
    paragraph(page, label, COLOUR_NONE, mark,
              _("(round trips a minute under load, confidence %s; new connections %lld, streams %lld)"),
              dk_code_words(dk_confidence_text(figure->confidence)), (long long)figure->foreign_rpm,
              (long long)figure->self_rpm);
}

static const char *outcome_word(enum dk_outcome outcome, enum colour *colour)
{
    *colour = COLOUR_YELLOW;
    switch (outcome) {
    case DK_OUTCOME_PASS:
        *colour = COLOUR_GREEN;
        return _("PASS");
    case DK_OUTCOME_FAIL:
        *colour = COLOUR_RED;
        return _("FAIL");
    case DK_OUTCOME_INCONCLUSIVE:
        return _("INCONCLUSIVE");
    case DK_OUTCOME_NOT_APPLICABLE:
    default:
        return _("NOT JUDGED");
    }
}

static void report_comparison(const struct page *page, const struct dk_check *check)
{
    bool at_least = check->rule.op == DK_OP_AT_LEAST;
    const char *unit = dk_check_in_ns(check) ? "ms" : "Mb/s";
    char value[AMOUNT_SIZE], low[AMOUNT_SIZE], high[AMOUNT_SIZE], threshold[AMOUNT_SIZE];

    // Rounded away from the passing side: 39.999 must not read as the 40.00 it missed.
    format_amount(check->value, !at_least, value);
    format_amount(check->low, !at_least, low);
    format_amount(check->high, !at_least, high);
    format_amount(check->rule.threshold, !at_least, threshold);
    if (!check->has_value)
        paragraph(page, "", COLOUR_NONE, "", at_least ? _("at least %s %s") : _("at most %s %s"), threshold,
                  unit);
    else
        paragraph(page, "", COLOUR_NONE, "",
                  at_least ? _("at least %s %s; measured %s (95 %% %s to %s)")
                           : _("at most %s %s; measured %s (95 %% %s to %s)"),
                  threshold, unit, value, low, high);
}

// Why a check has neither passed nor failed.
static void report_doubt(const struct page *page, const struct dk_check *check)
{
    if (check->outcome != DK_OUTCOME_INCONCLUSIVE && check->outcome != DK_OUTCOME_NOT_APPLICABLE)
        return;
    if (!check->has_threshold)
        paragraph(page, "", COLOUR_NONE, "", _("[site] %s is not set: the rule refers to it"),
                  dk_site_rate_text(check->rule.site_rate));
    else if (check->has_value && check->low <= check->rule.threshold && check->high >= check->rule.threshold)
        paragraph(page, "", COLOUR_NONE, "", "%s",
                  _("the interval contains the threshold: measure longer or again"));
    else
        paragraph(page, "", COLOUR_NONE, "", "%s", check->reason);
}

static void report_check(const struct page *page, const char *label, const struct dk_check *check)
{
    enum colour colour = COLOUR_NONE;
    const char *word = outcome_word(check->outcome, &colour);

    paragraph(page, label, colour, word, "%s", dk_indicator_words(check->rule.indicator));
    if (check->has_threshold)
        report_comparison(page, check);
    report_doubt(page, check);
    // Only a regulation may be failed: a target that is missed is a target that is missed.
    if (check->rule.family == DK_RULE_FAMILY_QCVN)
        paragraph(page, "", COLOUR_NONE, "", _("national technical regulation: %s"), check->rule.basis);
    else
        paragraph(page, "", COLOUR_NONE, "", _("target of a plan: %s"), check->rule.basis);
    if (check->rule.unconfirmed)
        paragraph(page, "", COLOUR_NONE, "", _("not confirmed: %s"), check->rule.note);
}

static void report_verdict(const struct page *page, const struct dk_verdict *verdict)
{
    enum colour colour = COLOUR_NONE;

    if (verdict->count == 0)
        paragraph(page, _("Verdict"), COLOUR_YELLOW, outcome_word(verdict->outcome, &colour), "%s",
                  verdict->reason);
    for (size_t i = 0; i < verdict->count; i++)
        report_check(page, i == 0 ? _("Verdict") : "", &verdict->checks[i]);
}

// What the capture saw, in one line.
static void report_wire(const struct page *page, const struct dk_wire *wire)
{
    const struct dk_wire_direction *up = &wire->up, *down = &wire->down;
    long long tenths = dk_wire_other_ppm(wire) / 1000;

    if (wire->status == DK_STATUS_NOT_MEASURED && wire->reason[0] == '\0')
        return;
    if (wire->status != DK_STATUS_OK)
        missing(page, _("Wire"), wire->status, wire->reason);
    else
        paragraph(page, _("Wire"), COLOUR_NONE, "",
                  _("%lld packets: %lld sent again, %lld out of order; other traffic %lld.%lld %%"),
                  (long long)(up->packets + down->packets), (long long)(up->retransmissions + down->retransmissions),
                  (long long)(up->out_of_order + down->out_of_order), tenths / 10, tenths % 10);
    if (wire->evidence.file[0] != '\0')
        paragraph(page, "", COLOUR_NONE, "", _("their headers are kept as evidence/%s"), wire->evidence.file);
}

void dk_report_result(FILE *out, const struct dk_terminal *terminal, const struct dk_report_input *input)
{
    size_t columns = terminal->columns < COLUMNS_MIN ? COLUMNS_MIN : terminal->columns;
    struct page page = {out, columns > COLUMNS_MAX ? COLUMNS_MAX : columns, terminal->colour};
    const struct dk_measurement *m = input->measurement;

    if (input->kind != DK_KIND_MEASUREMENT)
        paragraph(&page, _("Run"), COLOUR_RED, input->kind == DK_KIND_SKIPPED ? _("SKIPPED") : _("FAILED"),
                  "%s", input->reason);
    report_server(&page, input);
    report_link(&page, input);
    // Of a run that measured nothing, one reason is enough.
    if (m->download.status == DK_STATUS_OK || m->upload.status == DK_STATUS_OK ||
        m->latency_idle.status == DK_STATUS_OK) {
        report_throughput(&page, _("Download"), &m->download);
        report_throughput(&page, _("Upload"), &m->upload);
        report_latency(&page, _("Latency"), &m->latency_idle);
        report_parts(&page, &m->latency_gateway, &m->latency_idle);
        report_loaded_latency(&page, _("- download"), m, &m->latency_download);
        report_loaded_latency(&page, _("- upload"), m, &m->latency_upload);
        report_responsiveness(&page, _("RPM, download"), &m->responsiveness_download);
        report_responsiveness(&page, _("RPM, upload"), &m->responsiveness_upload);
        report_dns(&page, &m->dns);
        report_path(&page, &m->path);
        report_wire(&page, &m->wire);
        if (input->verdict != NULL)
            report_verdict(&page, input->verdict);
        for (size_t i = 0; input->validity != NULL && i < input->validity->count; i++)
            paragraph(&page, i == 0 ? _("Doubts") : "", COLOUR_NONE, "", "%s",
                      dk_flag_words(input->validity->flags[i].code));
    }
    if (input->seq > 0)
        paragraph(&page, _("Record"), COLOUR_NONE, "", _("number %lld, %s, kept in %s"),
                  (long long)input->seq, input->id, input->kept);
    paragraph(&page, _("Note"), COLOUR_NONE, "", "%s",
              _("One run is one sample. A monitoring result, for reference: it does not replace formal testing."));
}
