// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/shaper.h"

#include "agent/base/clock.h"

enum { MILLION = 1000000 };

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct dk_shaper dk_shaper_make(const struct dk_shaper_settings *settings, int64_t start_ns)
{
    return (struct dk_shaper){
        .settings = *settings,
        .start_ns = start_ns,
        .free_ns = start_ns,
        .bucket_bytes = settings->burst_bytes,
        .dice = dk_dice_make(settings->seed, 'm'),
        .from_ns = start_ns,
        .from_bps = settings->rate_bps,
        .to_ns = start_ns,
        .to_bps = settings->rate_bps,
        .moment_ns = INT64_MIN,
    };
}

// The sustained rate at `now_ns`.
static int64_t rate_at(struct dk_shaper *s, int64_t now_ns)
{
    const struct dk_shaper_settings *to = &s->settings;

    if (to->move_ppm == 0)
        return to->rate_bps;
    while (now_ns >= s->to_ns) {
        int64_t share = dk_dice_between(&s->dice, MILLION - to->move_ppm, MILLION + to->move_ppm);

        s->from_ns = s->to_ns;
        s->from_bps = s->to_bps;
        s->to_ns += dk_dice_between(&s->dice, to->move_ns / 2, to->move_ns / 2 * 3);
        s->to_bps = to->rate_bps * share / MILLION;
    }

    // In µs, because bit/s times ns does not fit.
    int64_t passed_us = (now_ns - s->from_ns) / DK_NS_PER_US;
    int64_t whole_us = max((s->to_ns - s->from_ns) / DK_NS_PER_US, 1);

    return max(s->from_bps + (s->to_bps - s->from_bps) * passed_us / whole_us, 1);
}

// Fills the bucket for an idle time that ends now.
static void fill_bucket(struct dk_shaper *s, int64_t idle_ns)
{
    const struct dk_shaper_settings *to = &s->settings;
    int64_t idle_us = idle_ns / DK_NS_PER_US;
    int64_t full_us = to->burst_bytes * 8 / to->rate_bps * MILLION + MILLION; // not less than what fills it

    if (idle_us >= full_us) {
        s->bucket_bytes = to->burst_bytes;
        return;
    }
    s->bucket_bytes += to->rate_bps * idle_us / (8 * MILLION);
    if (s->bucket_bytes > to->burst_bytes)
        s->bucket_bytes = to->burst_bytes;
}

static int64_t serve_at_rate(struct dk_shaper *s, int64_t now_ns, int64_t bytes)
{
    int64_t begin_ns = max(now_ns, s->free_ns);
    int64_t rate_bps = rate_at(s, begin_ns);

    if (rate_bps == 0)
        return s->free_ns = begin_ns;
    if (s->settings.burst_bytes > 0) {
        fill_bucket(s, begin_ns - s->free_ns);
        if (s->bucket_bytes >= bytes) {
            s->bucket_bytes -= bytes;
            if (s->settings.burst_bps == 0)
                return s->free_ns = begin_ns;
            rate_bps = s->settings.burst_bps;
        }
    }
    if (begin_ns > s->free_ns || s->carry >= rate_bps)
        s->carry = 0;

    int64_t work = bytes * 8 * DK_NS_PER_S + s->carry;

    s->carry = work % rate_bps;
    // What is left over counts as not through yet: rounding must never let a bit pass early.
    s->free_ns = begin_ns + work / rate_bps;
    return s->free_ns + (s->carry > 0);
}

static int64_t moment_time(const struct dk_shaper *s, size_t index)
{
    const struct dk_trace *trace = s->settings.trace;

    return s->start_ns - s->settings.trace_start_ns + s->round * trace->period_ns +
           trace->at_ms[index] * DK_NS_PER_MS;
}

// Passes over the moments before `now_ns`.
static void skip_moments(struct dk_shaper *s, int64_t now_ns)
{
    const struct dk_trace *trace = s->settings.trace;
    int64_t in_trace_ns = now_ns - s->start_ns + s->settings.trace_start_ns;
    size_t low, high = trace->count;

    if (s->next < trace->count && moment_time(s, s->next) >= now_ns)
        return;
    if (in_trace_ns / trace->period_ns > s->round) {
        s->round = in_trace_ns / trace->period_ns;
        s->next = 0;
    }
    for (low = s->next; low < high;) {
        size_t middle = low + (high - low) / 2;

        if (moment_time(s, middle) < now_ns)
            low = middle + 1;
        else
            high = middle;
    }
    s->next = low;
}

// Goes on to the next moment.
static void next_moment(struct dk_shaper *s)
{
    if (s->next == s->settings.trace->count) {
        s->next = 0;
        s->round++;
    }
    s->moment_ns = moment_time(s, s->next++);

    int64_t scaled = DK_OPPORTUNITY_BYTES * s->settings.trace_scale_ppm + s->moment_carry;

    s->moment_bytes = scaled / MILLION;
    s->moment_carry = scaled % MILLION;
    s->moment_untouched = true;
}

static int64_t serve_from_trace(struct dk_shaper *s, int64_t now_ns, int64_t bytes, int32_t *moments)
{
    if (s->moment_ns < now_ns) {
        s->moment_bytes = 0;
        skip_moments(s, now_ns);
    }
    while (bytes > 0) {
        if (s->moment_bytes == 0) {
            next_moment(s);
            continue;
        }

        int64_t passed = bytes < s->moment_bytes ? bytes : s->moment_bytes;

        bytes -= passed;
        s->moment_bytes -= passed;
        *moments += s->moment_untouched;
        s->moment_untouched = false;
    }
    return s->moment_ns;
}

int64_t dk_shaper_serve(struct dk_shaper *shaper, int64_t now_ns, int64_t bytes, int32_t *moments)
{
    *moments = 0;
    return shaper->settings.trace != NULL ? serve_from_trace(shaper, now_ns, bytes, moments)
                                          : serve_at_rate(shaper, now_ns, bytes);
}
