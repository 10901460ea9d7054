// SPDX-License-Identifier: Apache-2.0
#include "probes/responsiveness/rpm.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TOLERANCE_PERCENT = 5, // "standard deviation tolerance"
    TRIMMED_PERMILLE = 950,
    SCALE = 10000, // of what is compared: parts of the newest
};
static const int64_t minute_ns = 60 * DK_NS_PER_S;
static const int64_t load_bytes_max = INT64_C(1) << 53; // no line moves as much

// One value of R(i), and what it is made of; rpm is -1 when there is none.
struct point {
    int64_t rpm, foreign_rpm, self_rpm;
    int64_t tcp_ns, tls_ns, http_ns, self_ns;
};

struct computation {
    const struct dk_series *load;
    const struct dk_responsiveness *samples;
    int64_t *sorted; // room for the samples of one kind
};

static int64_t divide_half_up(int64_t a, int64_t b)
{
    return a / b + (a % b >= b - a % b ? 1 : 0);
}

// True when the standard deviation of the four values is below the tolerance, measured by the newest, the last.
static bool is_stable(const int64_t values[static DK_RPM_INTERVALS])
{
    int64_t newest = values[DK_RPM_INTERVALS - 1], sum = 0, squares = 0;
    const int64_t n = DK_RPM_INTERVALS;

    for (size_t i = 0; i < DK_RPM_INTERVALS; i++) {
        // More than a hundred times the newest is far from stable; the squares then still fit.
        if (newest <= 0 || values[i] < 0 || values[i] / 100 > newest)
            return false;

        int64_t part = newest > INT64_MAX / SCALE / 200 ? values[i] / (newest / SCALE) : values[i] * SCALE / newest;

        sum += part;
        squares += part * part;
    }
    // 100² · n² · variance < (tolerance · n · newest)²
    return 100 * 100 * (n * squares - sum * sum) < TOLERANCE_PERCENT * TOLERANCE_PERCENT * n * n * SCALE * SCALE;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

// The mean of what is up to the 95th percentile, half up; -1 without any. Sorts c->sorted.
static int64_t trimmed_mean(const struct computation *c, size_t count)
{
    size_t kept = (count * TRIMMED_PERMILLE + 999) / 1000;
    int64_t sum = 0;

    if (count == 0)
        return -1;
    qsort(c->sorted, count, sizeof *c->sorted, ascending);
    for (size_t i = 0; i < kept; i++)
        sum += c->sorted[i];
    return divide_half_up(sum, (int64_t)kept);
}

// Of the foreign connections that ended in [from, to), the figure at `offset` of each.
static int64_t foreign_mean(const struct computation *c, size_t offset, int64_t from_ns, int64_t to_ns)
{
    size_t count = 0;

    for (int64_t i = 0; i < c->samples->completed; i++) {
        const struct dk_foreign *foreign = &c->samples->foreign[i];
        int64_t value = *(const int64_t *)(const void *)((const char *)foreign + offset);

        if (foreign->done_ns >= from_ns && foreign->done_ns < to_ns && value >= 0)
            c->sorted[count++] = value;
    }
    return trimmed_mean(c, count);
}

static int64_t self_mean(const struct computation *c, int64_t from_ns, int64_t to_ns)
{
    const struct dk_self *self = &c->samples->self;
    size_t count = 0;

    for (size_t k = 0; k < self->count; k++) {
        int64_t at_ns = (int64_t)k * self->interval_ns;

        if (at_ns >= from_ns && at_ns < to_ns && self->rtt_ns[k] >= 0)
            c->sorted[count++] = self->rtt_ns[k];
    }
    return trimmed_mean(c, count);
}

static struct point point_at(const struct computation *c, int64_t interval)
{
    int64_t to_ns = (interval + 1) * DK_RPM_INTERVAL_NS;
    int64_t from_ns = to_ns - DK_RPM_INTERVALS * DK_RPM_INTERVAL_NS;
    struct point p = {
        .rpm = -1,
        .tcp_ns = foreign_mean(c, offsetof(struct dk_foreign, tcp_ns), from_ns, to_ns),
        .tls_ns = foreign_mean(c, offsetof(struct dk_foreign, tls_ns), from_ns, to_ns),
        .http_ns = foreign_mean(c, offsetof(struct dk_foreign, http_ns), from_ns, to_ns),
        .self_ns = self_mean(c, from_ns, to_ns),
    };
    bool tls = p.tls_ns >= 0;
    int64_t sum_ns = p.tcp_ns + (tls ? p.tls_ns : 0) + p.http_ns;

    if (p.tcp_ns < 0 || p.http_ns < 0 || sum_ns <= 0 || p.self_ns <= 0)
        return p;
    p.foreign_rpm = divide_half_up(minute_ns * (tls ? 3 : 2), sum_ns);
    p.self_rpm = divide_half_up(minute_ns, p.self_ns);
    p.rpm = divide_half_up(p.foreign_rpm + p.self_rpm, 2);
    return p;
}

// Bytes of all streams in the whole interval.
static int64_t goodput(const struct dk_series *load, int64_t interval)
{
    size_t each = (size_t)(DK_RPM_INTERVAL_NS / load->interval_ns), from = (size_t)interval * each;
    int64_t bytes = 0;

    for (size_t s = 0; s < load->streams; s++)
        for (size_t i = from; i < from + each; i++)
            bytes += load->bytes[s * load->count + i];
    return bytes;
}

// A(i).
static int64_t average_goodput(const struct dk_series *load, int64_t interval)
{
    int64_t from = interval < DK_RPM_INTERVALS ? 0 : interval - DK_RPM_INTERVALS + 1, sum = 0;

    for (int64_t i = from; i <= interval; i++)
        sum += goodput(load, i);
    return sum / (interval - from + 1);
}

// The first interval at which the rate is stable; `count` when there is none.
static int64_t stable_from(const struct dk_series *load, int64_t count)
{
    for (int64_t i = DK_RPM_INTERVALS - 1; i < count; i++) {
        int64_t averages[DK_RPM_INTERVALS];

        for (int64_t k = 0; k < DK_RPM_INTERVALS; k++)
            averages[k] = average_goodput(load, i - DK_RPM_INTERVALS + 1 + k);
        if (is_stable(averages))
            return i;
    }
    return count;
}

static void take(struct dk_responsiveness *out, const struct point *p, int64_t interval)
{
    out->rpm = p->rpm;
    out->foreign_rpm = p->foreign_rpm;
    out->self_rpm = p->self_rpm;
    out->tcp_ns = p->tcp_ns;
    out->tls_ns = p->tls_ns;
    out->http_ns = p->http_ns;
    out->self_ns = p->self_ns;
    out->end_ns = (interval + 1) * DK_RPM_INTERVAL_NS;
}

// The values of R since the rate was stable, until they are too. How many there were, and the confidence.
static void follow(const struct computation *c, int64_t from, int64_t count, struct dk_responsiveness *out)
{
    int64_t last[DK_RPM_INTERVALS] = {-1, -1, -1, -1}, seen = 0;

    for (int64_t i = from; i < count; i++) {
        struct point p = point_at(c, i);

        for (size_t k = 1; k < DK_RPM_INTERVALS; k++)
            last[k - 1] = last[k];
        last[DK_RPM_INTERVALS - 1] = p.rpm;
        if (p.rpm < 0)
            continue;
        take(out, &p, i);
        seen++;
        if (is_stable(last)) {
            out->confidence = DK_CONFIDENCE_HIGH;
            return;
        }
    }
    out->confidence = seen >= DK_RPM_INTERVALS ? DK_CONFIDENCE_MEDIUM : DK_CONFIDENCE_LOW;
}

// Whole intervals; none of a series that cannot be one.
static int64_t count_intervals(const struct dk_series *load)
{
    int64_t sum = 0;

    if (load->interval_ns < 1 || DK_RPM_INTERVAL_NS % load->interval_ns != 0)
        return 0;
    for (size_t i = 0; i < load->streams * load->count; i++) {
        if (load->bytes[i] < 0 || load->bytes[i] > load_bytes_max - sum)
            return 0;
        sum += load->bytes[i];
    }
    return (int64_t)load->count / (DK_RPM_INTERVAL_NS / load->interval_ns);
}

enum dk_err dk_rpm_compute(const struct dk_series *load, struct dk_responsiveness *out)
{
    int64_t count = count_intervals(load);
    size_t most = (size_t)out->completed > out->self.count ? (size_t)out->completed : out->self.count;
    struct computation c = {load, out, malloc((most + 1) * sizeof *c.sorted)};

    if (c.sorted == NULL)
        return DK_ERR_MEMORY;
    take(out, &(struct point){-1, -1, -1, -1, -1, -1, -1}, -1);
    out->confidence = DK_CONFIDENCE_LOW;
    out->reason[0] = '\0';

    int64_t from = stable_from(load, count);

    if (from < count)
        follow(&c, from, count, out);
    // The rate never was: what the end of the load shows, for what it is worth.
    for (int64_t i = count - 1; i >= 0 && out->rpm < 0; i--) {
        struct point p = point_at(&c, i);

        if (p.rpm >= 0)
            take(out, &p, i);
    }
    free(c.sorted);
    out->status = out->rpm >= 0 ? DK_STATUS_OK : DK_STATUS_NOT_MEASURED;
    if (out->rpm < 0)
        snprintf(out->reason, sizeof out->reason, "too little was answered, or the load was too short");
    return DK_OK;
}
