// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/assess/intern.h"

#define DAY_NS (86400 * DK_NS_PER_S)

// What makes a group: the texts by pointer, for equal ones are one; the times by number.
struct key {
    const char *text[DK_BY_MAX];
    int64_t time[DK_BY_MAX];
};

// What follows from an origin alone.
struct place {
    bool chosen;
    uint32_t device; // rank of its device among all
    const char *text[DK_BY_MAX];
};

struct choosing {
    const struct dk_samples *samples;
    const struct dk_filter *filter;
    struct place *places;  // owned, by origin
    struct dk_intern keys; // owned: the groups, as they come
    uint32_t *group_of;    // owned: group of the sample at each place of `order`; NONE
};

enum { NONE = UINT32_MAX };

static const char *const dimension_names[] = {
#define X(name, text) text,
    DK_DIMENSION_LIST(X)
#undef X
};

const char *dk_dimension_text(enum dk_dimension dimension)
{
    return (unsigned)dimension < DK_DIMENSION_COUNT ? dimension_names[dimension] : "unknown";
}

bool dk_dimension_parse(const char *text, size_t len, enum dk_dimension *out)
{
    for (int i = 0; i < DK_DIMENSION_COUNT; i++)
        if (strlen(dimension_names[i]) == len && memcmp(dimension_names[i], text, len) == 0) {
            *out = (enum dk_dimension)i;
            return true;
        }
    return false;
}

// "+07:00" or "Z" to ns; false when it is neither.
static bool parse_offset(const char *text, int64_t *out)
{
    static const char shape[] = "sdd:dd";

    *out = 0;
    if (strcmp(text, "Z") == 0)
        return true;
    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == 's'   ? text[i] != '+' && text[i] != '-'
            : shape[i] == 'd' ? text[i] < '0' || text[i] > '9'
                              : text[i] != shape[i])
            return false;

    int64_t hours = (text[1] - '0') * 10 + text[2] - '0', minutes = (text[4] - '0') * 10 + text[5] - '0';

    if (hours > 23 || minutes > 59)
        return false;
    *out = (hours * 60 + minutes) * 60 * DK_NS_PER_S * (text[0] == '-' ? -1 : 1);
    return true;
}

bool dk_period_parse(const char *text, bool end, struct dk_wall *out)
{
    char instant[DK_RFC3339_SIZE];
    size_t day_len = strlen("2026-11-20"), seconds_len = strlen("2026-11-20T08:00:00"), len = strlen(text);
    struct dk_wall when;
    int64_t offset_ns = 0;

    if (len == day_len) {
        snprintf(instant, sizeof instant, "%sT00:00:00.000Z", text);
        if (!dk_wall_parse(instant, &when))
            return false;
        out->ns = when.ns - DK_VIETNAM_NS + (end ? DAY_NS : 0);
        return true;
    }
    if (len <= seconds_len || len > seconds_len + strlen(".000+07:00"))
        return false;

    bool fraction = text[seconds_len] == '.' && len > seconds_len + 4;

    snprintf(instant, sizeof instant, "%.*s%.*sZ", (int)seconds_len, text, 4,
             fraction ? text + seconds_len : ".000");
    if (!dk_wall_parse(instant, &when) || !parse_offset(text + seconds_len + (fraction ? 4 : 0), &offset_ns))
        return false;
    out->ns = when.ns - offset_ns;
    return true;
}

int dk_local_hour(struct dk_wall when)
{
    return (int)((when.ns + DK_VIETNAM_NS) / (3600 * DK_NS_PER_S) % 24);
}

void dk_local_text(struct dk_wall when, enum dk_dimension dimension, char out[static DK_KEY_SIZE])
{
    char text[DK_RFC3339_SIZE];
    size_t from = dimension == DK_DIMENSION_HOUR ? strlen("2026-11-20T") : 0;
    size_t len = dimension == DK_DIMENSION_HOUR    ? 2
                 : dimension == DK_DIMENSION_MONTH ? strlen("2026-11")
                                                   : strlen("2026-11-20");

    dk_wall_rfc3339((struct dk_wall){when.ns + DK_VIETNAM_NS}, text);
    snprintf(out, DK_KEY_SIZE, "%.*s", (int)len, text + from);
}

static bool is_time(enum dk_dimension dimension)
{
    return dimension == DK_DIMENSION_MONTH || dimension == DK_DIMENSION_DAY || dimension == DK_DIMENSION_HOUR;
}

static const char *origin_text(const struct dk_origin *origin, enum dk_dimension dimension)
{
    switch ((int)dimension) {
    case DK_DIMENSION_SITE:
        return origin->text[DK_ORIGIN_SITE];
    case DK_DIMENSION_COMMUNE:
        return origin->text[DK_ORIGIN_COMMUNE];
    case DK_DIMENSION_HAMLET:
        return origin->text[DK_ORIGIN_HAMLET];
    case DK_DIMENSION_OPERATOR:
        return origin->text[DK_ORIGIN_OPERATOR];
    case DK_DIMENSION_SERVER:
        return origin->text[DK_ORIGIN_SERVER];
    case DK_DIMENSION_DEVICE:
        return origin->text[DK_ORIGIN_DEVICE];
    case DK_DIMENSION_TECHNOLOGY:
        return dk_technology_text(origin->technology);
    default:
        return dk_environment_text(origin->site.environment);
    }
}

// A number for each time of a dimension, in their order.
static int64_t time_number(struct dk_wall when, enum dk_dimension dimension)
{
    char text[DK_KEY_SIZE];

    if (dimension == DK_DIMENSION_HOUR)
        return dk_local_hour(when);
    if (dimension == DK_DIMENSION_DAY)
        return (when.ns + DK_VIETNAM_NS) / DAY_NS;
    dk_local_text(when, DK_DIMENSION_MONTH, text);
    return (text[0] * 1000 + text[1] * 100 + text[2] * 10 + text[3]) * 100 + text[5] * 10 + text[6];
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_states(const struct dk_sample_state *a, const struct dk_sample_state *b)
{
    return memcmp(a, b, sizeof *a);
}

// Two samples of one device by time. When they began at once, by all that is known of them, so that it does not matter
// which was read first.
static int by_time(const void *left, const void *right, void *argument)
{
    const struct dk_samples *samples = ((const struct choosing *)argument)->samples;
    size_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    int order = compare_numbers(dk_samples_start(samples, a).ns, dk_samples_start(samples, b).ns);

    if (order == 0)
        order = compare_numbers(dk_samples_end(samples, a).ns, dk_samples_end(samples, b).ns);
#define X(name, text)                                                                                        \
    if (order == 0)                                                                                          \
        order = compare_numbers(dk_samples_value(samples, a, DK_INDICATOR_##name),                           \
                                dk_samples_value(samples, b, DK_INDICATOR_##name));
    DK_INDICATOR_LIST(X)
#undef X
    if (order != 0)
        return order;

    const struct dk_origin *one = dk_samples_origin(samples, a), *other = dk_samples_origin(samples, b);

    for (int i = 0; i < DK_DIMENSION_COUNT && order == 0; i++)
        if (!is_time((enum dk_dimension)i))
            order = strcmp(origin_text(one, (enum dk_dimension)i), origin_text(other, (enum dk_dimension)i));
    for (size_t i = 0; i < DK_SITE_RATES && order == 0; i++)
        order = compare_numbers(one->site.rate_bps[i], other->site.rate_bps[i]);
    return order != 0 ? order : compare_states(dk_samples_state(samples, a), dk_samples_state(samples, b));
}

static int by_text(const void *left, const void *right)
{
    const char *const *a = left;
    const char *const *b = right;

    return strcmp(*a, *b);
}

static enum dk_err rank_devices(const struct choosing *c)
{
    size_t count = dk_samples_origin_count(c->samples), unique = 0;
    const char **devices = calloc(count, sizeof *devices);

    if (devices == NULL)
        return DK_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        devices[i] = dk_samples_origin_at(c->samples, i)->text[DK_ORIGIN_DEVICE];
    qsort(devices, count, sizeof *devices, by_text);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || devices[i] != devices[unique - 1])
            devices[unique++] = devices[i];
    for (size_t i = 0; i < count; i++) {
        const char **found = bsearch(&dk_samples_origin_at(c->samples, i)->text[DK_ORIGIN_DEVICE], devices, unique,
                                     sizeof *devices, by_text);

        c->places[i].device = found == NULL ? 0 : (uint32_t)(found - devices);
    }
    free(devices);
    return DK_OK;
}

// All samples, device by device, in the order of time.
static enum dk_err put_in_order(const struct choosing *c, uint32_t *order)
{
    size_t count = dk_samples_count(c->samples), devices = dk_samples_origin_count(c->samples);
    uint32_t *starts = calloc(devices + 1, sizeof *starts);
    struct choosing pass = *c;

    if (starts == NULL)
        return DK_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        starts[c->places[dk_samples_origin_number(c->samples, i)].device + 1]++;
    for (size_t i = 0; i < devices; i++)
        starts[i + 1] += starts[i];
    for (size_t i = 0; i < count; i++)
        order[starts[c->places[dk_samples_origin_number(c->samples, i)].device]++] = (uint32_t)i;
    // Each start is now where the next device begins.
    for (size_t i = 0, from = 0; i < devices; from = starts[i], i++) {
        bool sorted = true;

        for (size_t at = from + 1; at < starts[i] && sorted; at++)
            sorted = dk_samples_start(c->samples, order[at - 1]).ns < dk_samples_start(c->samples, order[at]).ns;
        if (!sorted)
            qsort_r(order + from, starts[i] - from, sizeof *order, by_time, &pass);
    }
    free(starts);
    return DK_OK;
}

static void choose_places(const struct choosing *c)
{
    for (size_t i = 0; i < dk_samples_origin_count(c->samples); i++) {
        const struct dk_origin *origin = dk_samples_origin_at(c->samples, i);

        c->places[i].chosen = true;
        for (int d = 0; d < DK_DIMENSION_COUNT; d++) {
            const char *wanted = c->filter->text[d];

            if (wanted != NULL && !is_time((enum dk_dimension)d) &&
                strcmp(wanted, origin_text(origin, (enum dk_dimension)d)) != 0)
                c->places[i].chosen = false;
        }
        for (size_t k = 0; k < c->filter->by_count; k++)
            c->places[i].text[k] = is_time(c->filter->by[k]) ? NULL : origin_text(origin, c->filter->by[k]);
    }
}

static bool is_in_time(const struct dk_filter *filter, struct dk_wall start)
{
    static const enum dk_dimension times[] = {DK_DIMENSION_MONTH, DK_DIMENSION_DAY, DK_DIMENSION_HOUR};
    char text[DK_KEY_SIZE];

    if (start.ns < filter->from.ns || start.ns >= filter->to.ns)
        return false;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (filter->text[times[i]] == NULL)
            continue;
        dk_local_text(start, times[i], text);
        if (strcmp(text, filter->text[times[i]]) != 0)
            return false;
    }
    return true;
}

static enum dk_err group_samples(struct choosing *c, const uint32_t *order, size_t *outside, struct dk_fault *fault)
{
    for (size_t at = 0; at < dk_samples_count(c->samples); at++) {
        const struct place *place = &c->places[dk_samples_origin_number(c->samples, order[at])];
        struct dk_wall start = dk_samples_start(c->samples, order[at]);
        struct key key = {0};
        bool is_new = false;

        c->group_of[at] = NONE;
        if (!place->chosen || !is_in_time(c->filter, start)) {
            ++*outside;
            continue;
        }
        for (size_t k = 0; k < c->filter->by_count; k++) {
            key.text[k] = place->text[k];
            key.time[k] = is_time(c->filter->by[k]) ? time_number(start, c->filter->by[k]) : 0;
        }

        enum dk_err err = dk_intern_add(&c->keys, &key, &c->group_of[at], &is_new);

        if (err != DK_OK)
            return err;
        if (c->keys.count > DK_GROUPS_MAX)
            return dk_fail(fault, DK_ERR_DATA, NULL, "group by less, or choose fewer samples",
                           "the samples make more than %d groups", DK_GROUPS_MAX);
    }
    return DK_OK;
}

// Also says by what a group of groups is sorted: their texts.
static int by_key(const void *left, const void *right, void *argument)
{
    const struct dk_filter *filter = argument;
    const struct dk_group *a = left, *b = right;
    int order = 0;

    for (size_t k = 0; k < filter->by_count && order == 0; k++)
        order = is_time(filter->by[k]) ? strcmp(a->time_key[k], b->time_key[k]) : strcmp(a->key[k], b->key[k]);
    return order;
}

static enum dk_err make_groups(const struct choosing *c, struct dk_selection *s)
{
    size_t count = dk_samples_count(c->samples), groups = c->keys.count > 0 ? c->keys.count : 1, from = 0;
    size_t *ends = calloc(groups, sizeof *ends);

    s->groups = calloc(groups, sizeof *s->groups);
    if (ends == NULL || s->groups == NULL) {
        free(ends);
        return DK_ERR_MEMORY;
    }
    s->count = c->keys.count == 0 && c->filter->by_count > 0 ? 0 : groups;
    for (size_t at = 0; at < count; at++)
        if (c->group_of[at] != NONE)
            s->groups[c->group_of[at]].count++;
    for (size_t g = 0; g < groups; g++) {
        s->groups[g].members = s->members + from;
        ends[g] = from;
        from += s->groups[g].count;
    }
    for (size_t at = 0; at < count; at++)
        if (c->group_of[at] != NONE)
            s->members[ends[c->group_of[at]]++] = s->order[at];
    free(ends);
    for (size_t g = 0; g < s->count && c->filter->by_count > 0; g++) {
        const struct key *key = (const struct key *)c->keys.items + g;

        memcpy(s->groups[g].key, key->text, sizeof key->text);
        for (size_t k = 0; k < c->filter->by_count; k++)
            if (is_time(c->filter->by[k]))
                dk_local_text(dk_samples_start(c->samples, s->groups[g].members[0]), c->filter->by[k],
                              s->groups[g].time_key[k]);
    }
    qsort_r(s->groups, s->count, sizeof *s->groups, by_key, &s->filter);
    for (size_t g = 0; g < s->count; g++)
        for (size_t k = 0; k < c->filter->by_count; k++)
            if (is_time(c->filter->by[k]))
                s->groups[g].key[k] = s->groups[g].time_key[k];
    return DK_OK;
}

enum dk_err dk_select(const struct dk_samples *samples, const struct dk_filter *filter, struct dk_selection *out,
                      struct dk_fault *fault)
{
    size_t count = dk_samples_count(samples), room = count > 0 ? count : 1;
    struct choosing c = {.samples = samples,
                         .filter = filter,
                         .places = calloc(dk_samples_origin_count(samples) + 1, sizeof *c.places),
                         .keys = dk_intern_make(sizeof(struct key)),
                         .group_of = calloc(room, sizeof *c.group_of)};
    struct dk_selection s = {.samples = samples,
                             .filter = *filter,
                             .order = calloc(room, sizeof *s.order),
                             .members = NULL,
                             .gap_ns = -1};
    enum dk_err err = DK_OK;

    if (c.places == NULL || c.group_of == NULL || s.order == NULL)
        err = DK_ERR_MEMORY;
    if (err == DK_OK)
        err = rank_devices(&c);
    if (err == DK_OK)
        err = put_in_order(&c, s.order);
    if (err == DK_OK) {
        choose_places(&c);
        err = group_samples(&c, s.order, &s.outside, fault);
    }
    if (err == DK_OK) {
        s.members = calloc(room, sizeof *s.members);
        s.close = calloc(room, sizeof *s.close);
        err = s.members == NULL || s.close == NULL ? DK_ERR_MEMORY : make_groups(&c, &s);
    }
    free(c.places);
    free(c.group_of);
    dk_intern_free(&c.keys);
    if (err != DK_OK) {
        dk_selection_free(&s);
        return err == DK_ERR_MEMORY ? dk_fail(fault, err, NULL, NULL, "out of memory") : err;
    }
    dk_selection_set_gap(&s, 0);
    *out = s;
    return DK_OK;
}

void dk_selection_free(struct dk_selection *selection)
{
    free(selection->groups);
    free(selection->members);
    free(selection->order);
    free(selection->close);
    *selection = (struct dk_selection){0};
}

void dk_selection_set_gap(struct dk_selection *selection, int64_t gap_ns)
{
    const char *device = NULL;
    int64_t free_ns = 0;

    if (selection->gap_ns == gap_ns)
        return;
    for (size_t at = 0; at < dk_samples_count(selection->samples); at++) {
        size_t i = selection->order[at];
        const char *its = dk_samples_origin(selection->samples, i)->text[DK_ORIGIN_DEVICE];

        selection->close[i] =
            gap_ns > 0 && its == device && dk_samples_start(selection->samples, i).ns < free_ns;
        if (selection->close[i] == 0)
            free_ns = dk_samples_end(selection->samples, i).ns + gap_ns;
        device = its;
    }
    selection->gap_ns = gap_ns;
}
