// SPDX-License-Identifier: Apache-2.0
#include "agent/report/progress.h"

#include "agent/base/clock.h"
#include "agent/report/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1024, BAR_MIN_COLUMNS = 10, BAR_MAX_COLUMNS = 40 };

bool dk_progress_mode_parse(const char *text, enum dk_progress_mode *out)
{
    static const char *const texts[] = {"auto", "bar", "json", "none"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(text, texts[i]) == 0) {
            *out = (enum dk_progress_mode)i;
            return true;
        }
    return false;
}

struct dk_progress_view dk_progress_view_make(FILE *out, const struct dk_terminal *terminal,
                                              enum dk_progress_mode mode)
{
    if (mode == DK_PROGRESS_AUTO)
        mode = DK_PROGRESS_BAR;
    if (mode == DK_PROGRESS_BAR && !terminal->is_terminal)
        mode = DK_PROGRESS_NONE;
    return (struct dk_progress_view){.out = out, .mode = mode, .terminal = *terminal};
}

static void show_json(FILE *out, const struct dk_progress *progress)
{
    json_t *event = json_pack("{s:s, s:s, s:I, s:I, s:I}", "event", "progress", "probe", progress->probe,
                              "elapsed_ns", (json_int_t)progress->elapsed_ns, "bytes",
                              (json_int_t)progress->bytes, "rate_bps", (json_int_t)progress->rate_bps);

    if (event != NULL && progress->duration_ns > 0)
        json_object_set_new(event, "duration_ns", json_integer(progress->duration_ns));

    char *text = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;

    if (text != NULL)
        fprintf(out, "%s\n", text);
    fflush(out);
    free(text);
    json_decref(event);
}

static const char *phase_of(const char *probe)
{
    static const struct {
        const char *probe, *phase;
    } phases[] = {
        {"reach", N_("Server")},      {"stamp", N_("Latency")}, {"http", N_("Latency")},
        {"download", N_("Download")}, {"upload", N_("Upload")},
    };

    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        if (strcmp(probe, phases[i].probe) == 0)
            return _(phases[i].phase);
    return probe;
}

static enum dk_err append_bar(struct dk_buf *line, const struct dk_progress *progress, size_t columns,
                              bool utf8)
{
    size_t done = columns;
    enum dk_err err = dk_buf_append(line, "  ", 2);

    if (progress->elapsed_ns < progress->duration_ns && progress->elapsed_ns >= 0)
        done = (size_t)(progress->elapsed_ns / (progress->duration_ns / (int64_t)columns + 1));
    for (size_t i = 0; i < columns && err == DK_OK; i++)
        err = dk_buf_printf(line, "%s", i < done ? (utf8 ? "█" : "#") : (utf8 ? "░" : "-"));
    return err;
}

// What stands right of the bar: rate, and time left or elapsed.
static enum dk_err append_numbers(struct dk_buf *out, const struct dk_progress *progress)
{
    enum dk_err err = DK_OK;
    int64_t left_ns = progress->duration_ns - progress->elapsed_ns;

    if (progress->rate_bps > 0) {
        long long hundredths = progress->rate_bps / 10000;

        char rate[32];

        // Padded, so that the bar does not jump as the digits change.
        snprintf(rate, sizeof rate, _("%lld.%02lld"), hundredths / 100, hundredths % 100);
        err = dk_buf_printf(out, "  %8s Mb/s", rate);
    }
    if (err != DK_OK)
        return err;
    if (progress->duration_ns > 0)
        return dk_buf_printf(out, _("  %3lld s left"),
                             (long long)((left_ns > 0 ? left_ns : 0) / DK_NS_PER_S));
    return dk_buf_printf(out, "  %lld s", (long long)(progress->elapsed_ns / DK_NS_PER_S));
}

static void remember_rate(struct dk_progress_view *view, const struct dk_progress *progress)
{
    if (view->probe != progress->probe)
        view->rates = 0;
    view->probe = progress->probe;
    if (progress->rate_bps <= 0)
        return;
    if (view->rates == DK_SPARKS)
        memmove(view->rates_bps, view->rates_bps + 1, (--view->rates) * sizeof view->rates_bps[0]);
    view->rates_bps[view->rates++] = progress->rate_bps;
}

// The last `columns` rates, each as high as its part of the highest.
static enum dk_err append_sparks(struct dk_buf *out, const struct dk_progress_view *view, size_t columns)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const signs[] = {"_", ".", "-", "-", "=", "=", "#", "#"};
    const char *const *marks = view->terminal.utf8 ? blocks : signs;
    int64_t highest = 1;
    enum dk_err err = dk_buf_append(out, "  ", 2);

    for (size_t i = 0; i < view->rates; i++)
        if (view->rates_bps[i] > highest)
            highest = view->rates_bps[i];
    for (size_t i = columns; i > 0 && err == DK_OK; i--) {
        const char *mark = i <= view->rates ? marks[(view->rates_bps[view->rates - i] * 8 - 1) / highest] : " ";

        err = dk_buf_append(out, mark, strlen(mark));
    }
    return err;
}

static void draw(struct dk_progress_view *view, const char *line)
{
    size_t columns = dk_text_columns(line);

    fprintf(view->out, "\r%s%*s", line, columns < view->drawn ? (int)(view->drawn - columns) : 0, "");
    view->drawn = columns;
    fflush(view->out);
}

static void show_bar(struct dk_progress_view *view, const struct dk_progress *progress)
{
    dk_auto_buf struct dk_buf line = dk_buf_make(LINE_MAX_BYTES), numbers = dk_buf_make(LINE_MAX_BYTES);
    size_t room = view->terminal.columns;

    if (dk_text_clean(phase_of(progress->probe), strlen(phase_of(progress->probe)), false, &line) != DK_OK ||
        append_numbers(&numbers, progress) != DK_OK)
        return;
    remember_rate(view, progress);

    size_t used = dk_text_columns(dk_buf_text(&line)) + dk_text_columns(dk_buf_text(&numbers)) + 2;

    // The last column stays free: some terminals would go on to the next line.
    if (progress->duration_ns > 0 && used + 1 + BAR_MIN_COLUMNS <= room) {
        size_t spare = room - used - 1;
        // The rates of the last seconds get what the bar can spare.
        bool sparks = view->rates > 0 && spare >= BAR_MIN_COLUMNS + DK_SPARKS + 2;
        size_t rest = sparks ? spare - DK_SPARKS - 2 : spare;

        if (append_bar(&line, progress, rest < BAR_MAX_COLUMNS ? rest : BAR_MAX_COLUMNS, view->terminal.utf8) !=
                DK_OK ||
            (sparks && append_sparks(&line, view, DK_SPARKS) != DK_OK))
            return;
    } else if (used - 1 > room) {
        return;
    }
    if (dk_buf_append(&line, dk_buf_text(&numbers), numbers.len) == DK_OK)
        draw(view, dk_buf_text(&line));
}

void dk_progress_show(void *argument, const struct dk_progress *progress)
{
    struct dk_progress_view *view = argument;

    if (view->mode == DK_PROGRESS_BAR)
        show_bar(view, progress);
    else if (view->mode == DK_PROGRESS_JSON)
        show_json(view->out, progress);
}

void dk_progress_end(struct dk_progress_view *view)
{
    if (view->drawn == 0)
        return;
    fprintf(view->out, "\r%*s\r", (int)view->drawn, "");
    fflush(view->out);
    view->drawn = 0;
}
