// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/report/field.h"
#include "agent/report/plots.h"
#include "agent/report/svg.h"
#include "agent/report/text.h"

#define BIN_NS       (250 * DK_NS_PER_MS) // as the rule of the ramp-up looks at it (docs/methodology.md)
#define INTERVAL_MAX (10 * DK_NS_PER_S)
#define BYTES_MAX    INT64_C(10000000000000)
#define RATE_MAX     INT64_C(100000000000000)

enum { WIDTH = 6800, HEIGHT = 2130, LEFT = 520, RIGHT = 6740, TOP = 330, BOTTOM = 1680, LABEL_GAP = 150 };

// level[s][i]: bit/s of the streams 0 … s together in bin i.
struct levels {
    size_t streams, count;
    int64_t bin_ns, end_ns, max;
    int64_t level[DK_PLOT_STREAMS_MAX][DK_PLOT_BINS_MAX];
};

static int64_t rate_of(int64_t bytes, int64_t duration_ns)
{
    __extension__ typedef __int128 wide;
    wide rate = duration_ns > 0 ? (wide)bytes * 8 * DK_NS_PER_S / duration_ns : 0;

    return rate > RATE_MAX ? RATE_MAX : (int64_t)rate;
}

// What one stream moved in the intervals from `first` to before `end`; -1 when one is no number of bytes.
static int64_t sum(const json_t *row, size_t first, size_t end)
{
    int64_t bytes = 0;

    for (size_t i = first; i < end; i++) {
        const json_t *value = json_array_get(row, i);

        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > BYTES_MAX)
            return -1;
        bytes += json_integer_value(value);
    }
    return bytes;
}

static bool read_levels(const json_t *series, struct levels *out)
{
    const json_t *rows = json_object_get(series, "bytes");
    int64_t interval_ns = dk_field_integer(series, "interval_ns", 0);
    size_t count = json_array_size(json_array_get(rows, 0)), width = 1;

    out->streams = json_array_size(rows);
    if (out->streams < 1 || out->streams > DK_PLOT_STREAMS_MAX || count < 2 || interval_ns < DK_NS_PER_MS ||
        interval_ns > INTERVAL_MAX || count > (size_t)1 << 17)
        return false;
    if (interval_ns < BIN_NS)
        width = (size_t)(BIN_NS / interval_ns);
    if (count / width >= DK_PLOT_BINS_MAX)
        width = count / DK_PLOT_BINS_MAX + 1;
    out->count = (count + width - 1) / width;
    out->bin_ns = (int64_t)width * interval_ns;
    out->end_ns = (int64_t)count * interval_ns;
    for (size_t s = 0; s < out->streams; s++) {
        const json_t *row = json_array_get(rows, s);

        if (json_array_size(row) != count)
            return false;
        for (size_t i = 0; i < out->count; i++) {
            size_t end = (i + 1) * width < count ? (i + 1) * width : count;
            int64_t bytes = sum(row, i * width, end);

            if (bytes < 0)
                return false;
            // Of what the streams moved together, so that no rounding adds up.
            out->level[s][i] = bytes + (s > 0 ? out->level[s - 1][i] : 0);
        }
    }
    for (size_t i = 0; i < out->count; i++) {
        size_t end = (i + 1) * width < count ? (i + 1) * width : count;

        for (size_t s = 0; s < out->streams; s++)
            out->level[s][i] = rate_of(out->level[s][i], (int64_t)(end - i * width) * interval_ns);
        if (out->level[out->streams - 1][i] > out->max)
            out->max = out->level[out->streams - 1][i];
    }
    return true;
}

static void add_streams(const struct dk_plot *plot, const struct levels *levels)
{
    const int64_t nothing[DK_PLOT_BINS_MAX] = {0};
    struct dk_steps lower = {nothing, levels->count, levels->bin_ns, levels->end_ns}, upper = lower;

    for (size_t s = 0; s < levels->streams; s++) {
        upper.values = levels->level[s];
        dk_plot_area(plot, &lower, &upper, s % 2 == 0 ? "stream a" : "stream b");
        lower.values = upper.values;
    }
    dk_plot_steps(plot, &upper, "total");
}

static void add_level_words(const struct dk_plot *plot, int64_t at, bool above, const char *css,
                            const char *words, int64_t bps)
{
    char number[DK_NUMBER_SIZE], text[160];

    dk_number_text(bps, 1000000, 2, false, number);
    snprintf(text, sizeof text, "%s %s Mb/s", words, number);
    dk_svg_words(plot->m, plot->right - 40, dk_plot_y(plot, at) + (above ? -50 : 140), css, text);
}

static void add_levels(const struct dk_plot *plot, int64_t rate_bps, int64_t threshold_bps)
{
    // The upper of the two lines has its words above, the lower one below.
    bool threshold_upper = threshold_bps > rate_bps;

    if (rate_bps >= 0) {
        dk_plot_level(plot, rate_bps, "rate");
        add_level_words(plot, rate_bps, threshold_bps < 0 || !threshold_upper, "words end", _("steady rate"),
                        rate_bps);
    }
    if (threshold_bps >= 0) {
        dk_plot_level(plot, threshold_bps, "threshold");
        add_level_words(plot, threshold_bps, rate_bps < 0 || threshold_upper, "words end strong",
                        _("threshold"), threshold_bps);
    }
}

static void add_caption(struct dk_markup *m, const struct levels *levels, bool upload)
{
    char bin[DK_NUMBER_SIZE];

    dk_number_text(levels->bin_ns, DK_NS_PER_MS, 0, false, bin);
    dk_markup_add(m, "<figcaption><b>");
    dk_markup_words(m, "%s", upload ? _("Upload over time.") : _("Download over time."));
    dk_markup_add(m, "</b> ");
    dk_markup_words(m, _("%zu parallel connections; each step %s ms."), levels->streams, bin);
    dk_markup_add(m, "</figcaption></figure>\n");
}

static void add_plot(struct dk_markup *m, const json_t *throughput, const struct levels *levels, bool upload,
                     int64_t threshold_bps)
{
    int64_t rate_bps = dk_field_integer(throughput, "rate_bps", -1), step = 1;
    int64_t low_bps = dk_field_integer(throughput, "rate_low_bps", -1);
    int64_t high_bps = dk_field_integer(throughput, "rate_high_bps", -1);
    int64_t ramp_ns = dk_field_integer(throughput, "ramp_up_ns", 0), top = levels->max;
    struct dk_plot plot = {m, LEFT, TOP, RIGHT, BOTTOM, levels->end_ns, 1};
    struct dk_axis x = {0, DK_NS_PER_S, _("seconds")}, y = {0, 1000000, "Mb/s"};

    top = rate_bps > top ? rate_bps : top;
    top = threshold_bps > top ? threshold_bps : top;
    plot.y_max = dk_plot_round_up((top < RATE_MAX ? top : RATE_MAX) / 100 * 106, &step);
    y.step = step;
    (void)dk_plot_round_up(levels->end_ns, &x.step);
    dk_markup_add(m, "<figure>");
    dk_svg_begin(
        m, WIDTH, HEIGHT, upload ? _("Upload over time") : _("Download over time"),
        _("The rate of all connections together, step by step, beside the threshold and the steady rate."));
    dk_plot_begin(&plot, &x, &y);
    add_streams(&plot, levels);
    if (ramp_ns > 0) {
        dk_plot_box(&plot, 0, ramp_ns, 0, plot.y_max, "ramp");
        dk_svg_words(m, plot.left + 30, plot.top - 60, "words", _("ramp-up"));
    }
    if (rate_bps >= 0 && low_bps >= 0 && high_bps >= low_bps)
        dk_plot_box(&plot, ramp_ns > 0 ? ramp_ns : 0, levels->end_ns, low_bps, high_bps, "band");
    add_levels(&plot, rate_bps, threshold_bps);
    dk_plot_end(&plot);
    dk_svg_end(m);
    add_caption(m, levels, upload);
}

void dk_plot_throughput(struct dk_markup *m, const json_t *record, bool upload, int64_t threshold_bps)
{
    const json_t *throughput = dk_field(record, upload ? "upload" : "download");
    struct levels *levels = calloc(1, sizeof *levels);

    if (levels == NULL)
        m->err = m->err == DK_OK ? DK_ERR_MEMORY : m->err;
    else if (read_levels(dk_field(throughput, "series"), levels))
        add_plot(m, throughput, levels, upload, threshold_bps);
    free(levels);
}
