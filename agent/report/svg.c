// SPDX-License-Identifier: Apache-2.0
#include "agent/report/svg.h"

#include <inttypes.h>

// Beyond this data is drawn at the edge: products of two numbers then fit.
#define DATA_MAX INT64_C(100000000000000)

void dk_svg_begin(struct dk_markup *m, int64_t width, int64_t height, const char *title,
                  const char *description)
{
    int64_t number = ++m->plots;

    dk_markup_addf(m,
                   "<svg class=\"plot\" role=\"img\" viewBox=\"0 0 %" PRId64 " %" PRId64
                   "\" aria-labelledby=\"plot%" PRId64 "t plot%" PRId64 "d\">\n<title id=\"plot%" PRId64
                   "t\">",
                   width, height, number, number, number);
    dk_markup_text(m, title);
    dk_markup_addf(m, "</title><desc id=\"plot%" PRId64 "d\">", number);
    dk_markup_text(m, description);
    dk_markup_add(m, "</desc>\n");
}

void dk_svg_end(struct dk_markup *m)
{
    dk_markup_add(m, "</svg>\n");
}

static int64_t place(int64_t value, int64_t max, int64_t from, int64_t to)
{
    while (max > DATA_MAX) {
        max /= 10;
        value /= 10;
    }
    value = value < 0 ? 0 : value > max ? max : value;
    return from + (value * (to - from) + (to > from ? max / 2 : -(max / 2))) / max;
}

int64_t dk_plot_x(const struct dk_plot *plot, int64_t x)
{
    return place(x, plot->x_max, plot->left, plot->right);
}

int64_t dk_plot_y(const struct dk_plot *plot, int64_t y)
{
    return place(y, plot->y_max, plot->bottom, plot->top);
}

int64_t dk_plot_round_up(int64_t max, int64_t *step)
{
    int64_t power = 1;

    max = max < 1 ? 1 : max;
    for (;;) {
        for (int64_t digit = 1; digit <= 5; digit = digit == 1 ? 2 : digit + 3)
            if (max <= 6 * digit * power) {
                *step = digit * power;
                return (max + *step - 1) / *step * *step;
            }
        if (power > INT64_MAX / 100) {
            *step = power;
            return 9 * power;
        }
        power *= 10;
    }
}

static int decimals_of(int64_t step, int64_t scale)
{
    int decimals = 0;

    while (decimals < 3 && scale >= 10 && step % scale != 0) {
        scale /= 10;
        decimals++;
    }
    return decimals;
}

static void add_ticks(const struct dk_plot *plot, const struct dk_axis *axis, bool upright)
{
    int64_t max = upright ? plot->y_max : plot->x_max;

    for (int64_t value = 0; value <= max && axis->words != NULL; value += axis->step) {
        char number[DK_NUMBER_SIZE];
        int64_t at = upright ? dk_plot_y(plot, value) : dk_plot_x(plot, value);

        dk_number_text(value, axis->scale, decimals_of(axis->step, axis->scale), false, number);
        if (upright)
            dk_svg_words(plot->m, plot->left - 60, at + 42, "tick end", number);
        else
            dk_svg_words(plot->m, at, plot->bottom + 160, "tick middle", number);
        if (value > max - axis->step)
            break;
    }
}

void dk_plot_begin(const struct dk_plot *plot, const struct dk_axis *x, const struct dk_axis *y)
{
    dk_markup_addf(plot->m,
                   "<g data-x=\"%" PRId64 " %" PRId64 " %" PRId64 "\" data-y=\"%" PRId64 " %" PRId64
                   " %" PRId64 "\">\n<path class=\"grid\" d=\"",
                   plot->left, plot->right, plot->x_max, plot->bottom, plot->top, plot->y_max);
    for (int64_t value = y->step; value <= plot->y_max && y->step > 0; value += y->step) {
        dk_markup_addf(plot->m, "M%" PRId64 " %" PRId64 "H%" PRId64, plot->left, dk_plot_y(plot, value),
                       plot->right);
        if (value > plot->y_max - y->step)
            break;
    }
    dk_markup_add(plot->m, "\"/>\n");
    add_ticks(plot, x, false);
    add_ticks(plot, y, true);
    if (y->words != NULL && y->words[0] != '\0')
        dk_svg_words(plot->m, plot->left - 60, plot->top - 120, "unit end", y->words);
    if (x->words != NULL && x->words[0] != '\0')
        dk_svg_words(plot->m, plot->right, plot->bottom + 330, "unit end", x->words);
}

void dk_plot_end(const struct dk_plot *plot)
{
    dk_markup_addf(plot->m,
                   "<path class=\"axis\" d=\"M%" PRId64 " %" PRId64 "V%" PRId64 "H%" PRId64 "\"/>\n</g>\n",
                   plot->left, plot->top, plot->bottom, plot->right);
}

static int64_t step_end(const struct dk_steps *steps, size_t i)
{
    int64_t end = ((int64_t)i + 1) * steps->interval;

    return end < steps->end ? end : steps->end;
}

void dk_plot_steps(const struct dk_plot *plot, const struct dk_steps *steps, const char *css)
{
    dk_markup_addf(plot->m, "<path class=\"%s\" d=\"M%" PRId64 " ", css, plot->left);
    for (size_t i = 0; i < steps->count; i++)
        dk_markup_addf(plot->m, "%s%" PRId64 "H%" PRId64, i > 0 ? "V" : "", dk_plot_y(plot, steps->values[i]),
                       dk_plot_x(plot, step_end(steps, i)));
    dk_markup_add(plot->m, "\"/>\n");
}

void dk_plot_area(const struct dk_plot *plot, const struct dk_steps *lower, const struct dk_steps *upper,
                  const char *css)
{
    dk_markup_addf(plot->m, "<path class=\"%s\" d=\"M%" PRId64 " ", css, plot->left);
    for (size_t i = 0; i < upper->count; i++)
        dk_markup_addf(plot->m, "%s%" PRId64 "H%" PRId64, i > 0 ? "V" : "", dk_plot_y(plot, upper->values[i]),
                       dk_plot_x(plot, step_end(upper, i)));
    for (size_t i = lower->count; i > 0; i--)
        dk_markup_addf(plot->m, "V%" PRId64 "H%" PRId64, dk_plot_y(plot, lower->values[i - 1]),
                       dk_plot_x(plot, (int64_t)(i - 1) * lower->interval));
    dk_markup_add(plot->m, "z\"/>\n");
}

void dk_plot_line(const struct dk_plot *plot, const int64_t *x, const int64_t *y, size_t count,
                  const char *css)
{
    dk_markup_addf(plot->m, "<path class=\"%s\" d=\"", css);
    for (size_t i = 0; i < count; i++)
        dk_markup_addf(plot->m, "%s%" PRId64 " %" PRId64, i == 0 ? "M" : "L", dk_plot_x(plot, x[i]),
                       dk_plot_y(plot, y[i]));
    dk_markup_add(plot->m, "\"/>\n");
}

void dk_plot_level(const struct dk_plot *plot, int64_t y, const char *css)
{
    dk_markup_addf(plot->m, "<path class=\"%s\" d=\"M%" PRId64 " %" PRId64 "H%" PRId64 "\"/>\n", css,
                   plot->left, dk_plot_y(plot, y), plot->right);
}

void dk_plot_box(const struct dk_plot *plot, int64_t x_from, int64_t x_to, int64_t y_from, int64_t y_to,
                 const char *css)
{
    int64_t left = dk_plot_x(plot, x_from), right = dk_plot_x(plot, x_to);
    int64_t bottom = dk_plot_y(plot, y_from), top = dk_plot_y(plot, y_to);

    dk_markup_addf(plot->m,
                   "<rect class=\"%s\" x=\"%" PRId64 "\" y=\"%" PRId64 "\" width=\"%" PRId64
                   "\" height=\"%" PRId64 "\"/>\n",
                   css, left, top, right - left, bottom - top);
}

void dk_svg_words(struct dk_markup *m, int64_t x, int64_t y, const char *css, const char *words)
{
    dk_markup_addf(m, "<text class=\"%s\" x=\"%" PRId64 "\" y=\"%" PRId64 "\">", css, x, y);
    dk_markup_text(m, words);
    dk_markup_add(m, "</text>\n");
}
