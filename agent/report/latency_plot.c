// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/report/field.h"
#include "agent/report/plots.h"
#include "agent/report/svg.h"
#include "agent/report/text.h"

enum {
    PHASES = 3,
    POINTS_MAX = 400, // of one line; more are drawn as the range of each bin
    BINS = 100,
    SAMPLES_MAX = 1 << 17,
    WIDTH = 6800,
    HEIGHT = 1950,
    TOP = 330,
    BOTTOM = 1490,
    LEFT = 520,
    PANEL = 1960,
    PANEL_STEP = 2130,
};
#define RTT_MAX (1000 * DK_NS_PER_S)

static const char *const keys[PHASES] = {"latency.idle", "latency.download", "latency.upload"};
static const char *const classes[PHASES] = {"idle", "down", "up"};

static const char *phase_words(size_t phase)
{
    static const char *const words[PHASES] = {N_("idle"), N_("during download"), N_("during upload")};

    return _(words[phase]);
}

struct phase {
    size_t count, answered;
    int64_t interval_ns;
    int64_t *rtt_ns; // -1: lost; owned
    int64_t *sorted; // the `answered` ones, ascending; owned
};

struct phases {
    struct phase phase[PHASES];
    size_t present;
    int64_t max_ns, p99_ns; // of all
};

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void free_phases(struct phases *phases)
{
    for (size_t i = 0; i < PHASES; i++) {
        free(phases->phase[i].rtt_ns);
        free(phases->phase[i].sorted);
    }
}

// Leaves *out without samples when they cannot be ones.
static enum dk_err read_phase(const json_t *latency, struct phase *out)
{
    const json_t *series = json_object_get(latency, "series_ns");
    size_t count = json_array_size(series);

    out->interval_ns = dk_field_integer(latency, "interval_ns", 0);
    if (count < 2 || count > SAMPLES_MAX || out->interval_ns < 1 || out->interval_ns > 10 * DK_NS_PER_S)
        return DK_OK;
    out->rtt_ns = calloc(count, sizeof *out->rtt_ns);
    out->sorted = calloc(count, sizeof *out->sorted);
    if (out->rtt_ns == NULL || out->sorted == NULL)
        return DK_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(series, i);
        int64_t rtt_ns = json_is_integer(value) ? json_integer_value(value) : INT64_MIN;

        if (rtt_ns < -1 || rtt_ns > RTT_MAX)
            return DK_OK;
        out->rtt_ns[i] = rtt_ns;
        if (rtt_ns >= 0)
            out->sorted[out->answered++] = rtt_ns;
    }
    if (out->answered == 0)
        return DK_OK;
    qsort(out->sorted, out->answered, sizeof *out->sorted, by_value);
    out->count = count;
    return DK_OK;
}

static enum dk_err read_phases(const json_t *record, struct phases *out)
{
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < PHASES && err == DK_OK; i++) {
        struct phase *phase = &out->phase[i];

        err = read_phase(dk_field(record, keys[i]), phase);
        if (phase->count == 0)
            continue;
        out->present++;
        if (phase->sorted[phase->answered - 1] > out->max_ns)
            out->max_ns = phase->sorted[phase->answered - 1];
        if (phase->sorted[(phase->answered * 99 + 99) / 100 - 1] > out->p99_ns)
            out->p99_ns = phase->sorted[(phase->answered * 99 + 99) / 100 - 1];
    }
    return err;
}

// A few answers far out must not flatten the rest: they are drawn at the edge.
static int64_t scale_of(const struct phases *phases, int64_t *step)
{
    int64_t max_ns = phases->max_ns / 3 > phases->p99_ns ? phases->p99_ns / 2 * 3 : phases->max_ns;

    return dk_plot_round_up(max_ns, step);
}

// Each answer where it was sent; the line breaks where one is missing, and a mark above says so.
static void add_points(const struct dk_plot *plot, const struct phase *phase, const char *css)
{
    bool down = false;

    dk_markup_addf(plot->m, "<path class=\"rtt %s\" d=\"", css);
    for (size_t i = 0; i < phase->count; i++) {
        long long x = (long long)dk_plot_x(plot, (int64_t)i * phase->interval_ns);
        long long y = (long long)dk_plot_y(plot, phase->rtt_ns[i]);

        if (phase->rtt_ns[i] >= 0)
            dk_markup_addf(plot->m, "%s%lld %lld", down ? "L" : "M", x, y);
        // A lone answer between two losses is still a dot.
        if (phase->rtt_ns[i] >= 0 && !down)
            dk_markup_add(plot->m, "h1");
        down = phase->rtt_ns[i] >= 0;
    }
    dk_markup_add(plot->m, "\"/>\n");
}

static void add_ranges(const struct dk_plot *plot, const struct phase *phase)
{
    int64_t low[BINS], high[BINS];
    size_t width = (phase->count + BINS - 1) / BINS, bins = (phase->count + width - 1) / width;
    struct dk_steps lower = {low, bins, (int64_t)width * phase->interval_ns, plot->x_max}, upper = lower;

    upper.values = high;
    for (size_t bin = 0; bin < bins; bin++) {
        low[bin] = high[bin] = -1;
        for (size_t i = bin * width; i < phase->count && i < (bin + 1) * width; i++) {
            int64_t rtt_ns = phase->rtt_ns[i];

            if (rtt_ns >= 0 && (low[bin] < 0 || rtt_ns < low[bin]))
                low[bin] = rtt_ns;
            if (rtt_ns > high[bin])
                high[bin] = rtt_ns;
        }
    }
    dk_plot_area(plot, &lower, &upper, "spread");
}

static void add_lost(const struct dk_plot *plot, const struct phase *phase)
{
    int64_t last = -1;

    if (phase->answered == phase->count)
        return;
    dk_markup_add(plot->m, "<path class=\"lost\" d=\"");
    for (size_t i = 0; i < phase->count; i++) {
        int64_t x = dk_plot_x(plot, (int64_t)i * phase->interval_ns);

        if (phase->rtt_ns[i] < 0 && x >= last + 10)
            dk_markup_addf(plot->m, "M%lld %lldv90", (long long)x, (long long)plot->top);
        last = phase->rtt_ns[i] < 0 && x >= last + 10 ? x : last;
    }
    dk_markup_add(plot->m, "\"/>\n");
}

static void add_panel(struct dk_markup *m, const struct phases *phases, size_t i, int64_t left)
{
    const struct phase *phase = &phases->phase[i];
    struct dk_plot plot = {m, left, TOP, left + PANEL, BOTTOM, (int64_t)phase->count * phase->interval_ns, 1};
    struct dk_axis x = {1, DK_NS_PER_S, _("seconds")}, y = {1, DK_NS_PER_MS, left == LEFT ? "ms" : NULL};

    plot.y_max = scale_of(phases, &y.step);
    (void)dk_plot_round_up(plot.x_max, &x.step);
    dk_plot_begin(&plot, &x, &y);
    dk_svg_words(m, plot.left + 40, plot.top - 60, "words strong", phase_words(i));
    if (phase->count <= POINTS_MAX)
        add_points(&plot, phase, classes[i]);
    else
        add_ranges(&plot, phase);
    add_lost(&plot, phase);
    dk_plot_end(&plot);
}

void dk_plot_latency(struct dk_markup *m, const json_t *record)
{
    struct phases phases = {0};
    enum dk_err err = read_phases(record, &phases);
    int64_t left = LEFT;

    if (err == DK_OK && phases.present > 0) {
        dk_markup_add(m, "<figure>");
        dk_svg_begin(m, WIDTH, HEIGHT, _("Latency over time"),
                     _("The round-trip time of each packet in the order of sending, idle and under load."));
        for (size_t i = 0; i < PHASES; i++)
            if (phases.phase[i].count > 0) {
                add_panel(m, &phases, i, left);
                left += PANEL_STEP;
            }
        dk_svg_end(m);
        dk_markup_add(m, "<figcaption><b>");
        dk_markup_words(m, "%s", _("Latency over time."));
        dk_markup_add(m, "</b> ");
        dk_markup_words(
            m, "%s",
            _("The round-trip time of each packet in the order of sending, on one scale. The more it grows "
              "under load, the slower everything else on the line becomes meanwhile. Marks at the upper "
              "edge: packets that were lost."));
        dk_markup_add(m, "</figcaption></figure>\n");
    }
    free_phases(&phases);
    if (m->err == DK_OK)
        m->err = err;
}

// One line through at most BINS of the sorted times. A lost one never comes: the line then ends below 100 %.
static void add_shares(const struct dk_plot *plot, const struct phase *phase, const char *css)
{
    int64_t x[BINS + 2], y[BINS + 2];
    size_t points = phase->answered < BINS ? phase->answered : BINS, count = 0;

    x[count] = phase->sorted[0];
    y[count++] = 0;
    for (size_t k = 1; k <= points; k++) {
        size_t rank = (phase->answered * k + points - 1) / points;

        x[count] = phase->sorted[rank - 1];
        y[count++] = (int64_t)(rank * 1000 / phase->count);
    }
    dk_plot_line(plot, x, y, count, css);
}

void dk_plot_latency_shares(struct dk_markup *m, const json_t *record)
{
    struct phases phases = {0};
    enum dk_err err = read_phases(record, &phases);

    if (err == DK_OK && phases.present > 0) {
        struct dk_plot plot = {m, LEFT, TOP, 4700, BOTTOM, 1, 1000};
        struct dk_axis x = {1, DK_NS_PER_MS, "ms"}, y = {200, 10, "%"};
        int64_t at = TOP + 200;

        plot.x_max = scale_of(&phases, &x.step);
        dk_markup_add(m, "<figure>");
        dk_svg_begin(m, WIDTH, HEIGHT, _("How often an answer came within a time"),
                     _("For each time, the share of the packets sent whose answer had come by then."));
        dk_plot_begin(&plot, &x, &y);
        for (size_t i = 0; i < PHASES; i++)
            if (phases.phase[i].count > 0)
                add_shares(&plot, &phases.phase[i], classes[i]);
        dk_plot_end(&plot);
        for (size_t i = 0; i < PHASES; i++)
            if (phases.phase[i].count > 0) {
                dk_markup_addf(m, "<path class=\"%s\" d=\"M4950 %lldh420\"/>\n", classes[i],
                               (long long)at - 40);
                dk_svg_words(m, 5460, at, "words", phase_words(i));
                at += 240;
            }
        dk_svg_end(m);
        dk_markup_add(m, "<figcaption><b>");
        dk_markup_words(m, "%s", _("How often an answer came within a time."));
        dk_markup_add(m, "</b> ");
        dk_markup_words(
            m, "%s",
            _("The further left and the steeper a line, the better. Where a line ends below 100 %, the rest "
              "was lost."));
        dk_markup_add(m, "</figcaption></figure>\n");
    }
    free_phases(&phases);
    if (m->err == DK_OK)
        m->err = err;
}
