// SPDX-License-Identifier: Apache-2.0
//
// Plots as inline SVG: two axes with round numbers, and what is drawn between them. Coordinates are whole
// tenths of a pixel. Lines differ by their dashes and words too, so that a grey print says the same; colours
// are the style sheet's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/report/markup.h"

// One panel. Data outside of [0, max] is drawn at its edge.
struct dk_plot {
    struct dk_markup *m;              // borrowed
    int64_t left, top, right, bottom; // of the area between the axes
    int64_t x_max, y_max;             // data; > 0
};

// Opens <svg> with a title and a description for who cannot see it. `width` and `height` are its view box.
void dk_svg_begin(struct dk_markup *m, int64_t width, int64_t height, const char *title,
                  const char *description);
void dk_svg_end(struct dk_markup *m);

// Where a value lies, in the view box.
int64_t dk_plot_x(const struct dk_plot *plot, int64_t x);
int64_t dk_plot_y(const struct dk_plot *plot, int64_t y);

// The smallest multiple of *step that is not below `max`; *step is 1, 2 or 5 times a power of ten, so that at
// most six make it up. `max` below 1 counts as 1.
int64_t dk_plot_round_up(int64_t max, int64_t *step);

// Both axes with grid and numbers: value / scale (a power of ten), and the words at their ends. `x_step` and
// `y_step` are data. Opens <g> with the ranges as data-x and data-y, for whoever reads the numbers back;
// close it with dk_plot_end().
struct dk_axis {
    int64_t step, scale;
    const char *words; // unit; "" for no words, NULL for no numbers either
};
void dk_plot_begin(const struct dk_plot *plot, const struct dk_axis *x, const struct dk_axis *y);
void dk_plot_end(const struct dk_plot *plot);

// Steps, for the lines and areas below: values[i] holds from i * interval to (i + 1) * interval, the last one
// to `end` at most.
struct dk_steps {
    const int64_t *values;
    size_t count;
    int64_t interval, end;
};
// A line along the steps, of class `css`.
void dk_plot_steps(const struct dk_plot *plot, const struct dk_steps *steps, const char *css);
// The area between two series of steps of the same form.
void dk_plot_area(const struct dk_plot *plot, const struct dk_steps *lower, const struct dk_steps *upper,
                  const char *css);

// A line through the points.
void dk_plot_line(const struct dk_plot *plot, const int64_t *x, const int64_t *y, size_t count,
                  const char *css);

// A level from end to end; a rectangle in data.
void dk_plot_level(const struct dk_plot *plot, int64_t y, const char *css);
void dk_plot_box(const struct dk_plot *plot, int64_t x_from, int64_t x_to, int64_t y_from, int64_t y_to,
                 const char *css);

// Words at a place of the view box; `css` says how they are aligned.
void dk_svg_words(struct dk_markup *m, int64_t x, int64_t y, const char *css, const char *words);
