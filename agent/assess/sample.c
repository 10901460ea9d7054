// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/sample.h"

#include <stdlib.h>
#include <string.h>

#include "agent/assess/intern.h"
#include "agent/assess/row.h"

// Of a million samples the memory counts: only the figures that are kept are there.
struct point {
    int64_t start_ms;
    uint32_t duration_ms;
    uint32_t likeness; // number in `likenesses`; CONFLICT is a bit of it
    int64_t values[];
};
_Static_assert(sizeof(struct point) == 16, "as small as it can be");

#define CONFLICT (UINT32_C(1) << 31)

// Where a sample was taken and what became of the run, by numbers.
struct likeness {
    uint32_t origin, state;
};

struct dk_samples {
    struct dk_texts texts;
    struct dk_intern origins, states, likenesses;
    struct dk_intern ids; // by the number of the sample; emptied by dk_samples_seal
    char *points; // owned: `stride` bytes each
    size_t count, capacity, stride;
    int8_t place[DK_ROW_VALUES]; // of a column of struct dk_row in `values`; -1 when it is not kept
    struct dk_buf scratch;
};

static struct point *point_at(const struct dk_samples *samples, size_t i)
{
    return (struct point *)(void *)(samples->points + i * samples->stride);
}

enum dk_err dk_samples_new(uint32_t indicators, struct dk_samples **out)
{
    struct dk_samples *samples = calloc(1, sizeof *samples);
    int8_t kept = 0;

    if (samples == NULL)
        return DK_ERR_MEMORY;
    memset(samples->place, -1, sizeof samples->place);
#define X(name, text)                                                                                        \
    if (dk_row_column(DK_INDICATOR_##name) >= 0 && (indicators >> DK_INDICATOR_##name & 1) != 0)             \
        samples->place[dk_row_column(DK_INDICATOR_##name)] = kept++;
    DK_INDICATOR_LIST(X)
#undef X
    samples->stride = sizeof(struct point) + (size_t)kept * sizeof(int64_t);
    samples->texts = dk_texts_make();
    samples->origins = dk_intern_make(sizeof(struct dk_origin));
    samples->states = dk_intern_make(sizeof(struct dk_sample_state));
    samples->likenesses = dk_intern_make(sizeof(struct likeness));
    samples->ids = dk_intern_make(DK_ROW_ID_SIZE);
    samples->scratch = dk_buf_make(DK_ROW_TEXT_MAX);
    *out = samples;
    return DK_OK;
}

void dk_samples_free(struct dk_samples *samples)
{
    if (samples == NULL)
        return;
    dk_texts_free(&samples->texts);
    dk_intern_free(&samples->origins);
    dk_intern_free(&samples->states);
    dk_intern_free(&samples->likenesses);
    dk_intern_free(&samples->ids);
    dk_buf_free(&samples->scratch);
    free(samples->points);
    free(samples);
}

static enum dk_err number_likeness(struct dk_samples *samples, const struct dk_row *row, uint32_t *out)
{
    struct likeness likeness = {0};
    bool is_new = false;
    enum dk_err err = dk_intern_add(&samples->origins, &row->origin, &likeness.origin, &is_new);

    if (err == DK_OK)
        err = dk_intern_add(&samples->states, &row->state, &likeness.state, &is_new);
    if (err == DK_OK)
        err = dk_intern_add(&samples->likenesses, &likeness, out, &is_new);
    return err;
}

static enum dk_err add_point(struct dk_samples *samples, const struct point *point)
{
    if (samples->count == samples->capacity) {
        size_t grown = samples->capacity == 0 ? 64 : samples->capacity + samples->capacity / 2;
        char *fresh = reallocarray(samples->points, grown, samples->stride);

        if (fresh == NULL)
            return DK_ERR_MEMORY;
        samples->points = fresh;
        samples->capacity = grown;
    }
    memcpy(point_at(samples, samples->count++), point, samples->stride);
    return DK_OK;
}

static enum dk_err take(struct dk_samples *samples, const struct dk_row *row, enum dk_intake *intake,
                        struct dk_fault *why)
{
    // Room for all figures behind it.
    union {
        struct point point;
        char bytes[sizeof(struct point) + DK_ROW_VALUES * sizeof(int64_t)];
    } all = {.point = {.start_ms = row->start.ns / DK_NS_PER_MS, .duration_ms = row->duration_ms}};
    struct point *point = &all.point;
    uint32_t number = 0;
    bool is_new = false;
    enum dk_err err = number_likeness(samples, row, &point->likeness);

    for (size_t i = 0; i < DK_ROW_VALUES; i++)
        if (samples->place[i] >= 0)
            memcpy(all.bytes + sizeof *point + (size_t)samples->place[i] * sizeof(int64_t), &row->values[i],
                   sizeof(int64_t));
    if (err == DK_OK)
        err = dk_intern_add(&samples->ids, row->id, &number, &is_new);
    if (err == DK_OK && is_new)
        err = add_point(samples, point);
    if (err != DK_OK)
        return err;
    *intake = DK_INTAKE_TAKEN;
    if (is_new)
        return DK_OK;

    struct point *first = point_at(samples, number);
    uint32_t conflict = first->likeness & CONFLICT;

    point->likeness |= conflict;
    if (memcmp(first, all.bytes, samples->stride) == 0) {
        *intake = DK_INTAKE_DUPLICATE;
        (void)!dk_fail(why, DK_ERR_DATA, "id", NULL, "is that of a sample that is there, with the same content");
    } else {
        *intake = DK_INTAKE_CONFLICT;
        (void)!dk_fail(why, DK_ERR_DATA, "id", NULL, "is that of a sample that is there, with other content");
    }
    first->likeness |= *intake == DK_INTAKE_CONFLICT ? CONFLICT : 0;
    return DK_OK;
}

static enum dk_err add(struct dk_samples *samples, enum dk_err err, const struct dk_row *row,
                       enum dk_intake *intake, struct dk_fault *why)
{
    if (err == DK_ERR_DATA) {
        *intake = row->has_unknown_schema ? DK_INTAKE_SCHEMA : DK_INTAKE_MALFORMED;
        return DK_OK;
    }
    if (err != DK_OK)
        return err;
    if (row->state.kind != DK_KIND_MEASUREMENT && row->state.kind != DK_KIND_FAILED) {
        *intake = row->state.kind == DK_KIND_SKIPPED ? DK_INTAKE_SKIPPED : DK_INTAKE_OTHER;
        return DK_OK;
    }
    return take(samples, row, intake, why);
}

enum dk_err dk_samples_add_record(struct dk_samples *samples, const char *json, size_t len,
                                  dk_samples_accept *accept, void *argument, enum dk_intake *intake,
                                  struct dk_fault *why)
{
    struct dk_row row;
    enum dk_err err = dk_row_read_record(&samples->texts, &samples->scratch, json, len, &row, why);

    if (err == DK_OK) {
        const struct dk_sample_head head = {row.origin.text[DK_ORIGIN_DEVICE], row.seq, row.start, row.state.kind};
        enum dk_err accepted = accept(argument, &head, why);

        if (accepted == DK_ERR_DATA)
            *intake = DK_INTAKE_REFUSED;
        if (accepted != DK_OK)
            return accepted == DK_ERR_DATA ? DK_OK : accepted;
    }
    return add(samples, err, &row, intake, why);
}

enum dk_err dk_samples_add_row(struct dk_samples *samples, const char *json, size_t len, enum dk_intake *intake,
                               struct dk_fault *why)
{
    struct dk_row row;
    enum dk_err err = dk_row_read_json(&samples->texts, &samples->scratch, json, len, &row, why);

    return add(samples, err, &row, intake, why);
}

enum dk_err dk_samples_add_csv(struct dk_samples *samples, const struct dk_csv_columns *columns, const char *line,
                               size_t len, enum dk_intake *intake, struct dk_fault *why)
{
    struct dk_row row;
    enum dk_err err = dk_row_read_csv(&samples->texts, &samples->scratch, columns, line, len, &row, why);

    return add(samples, err, &row, intake, why);
}

void dk_samples_seal(struct dk_samples *samples)
{
    dk_intern_free(&samples->ids);
}

size_t dk_samples_count(const struct dk_samples *samples)
{
    return samples->count;
}

struct dk_wall dk_samples_start(const struct dk_samples *samples, size_t i)
{
    return (struct dk_wall){point_at(samples, i)->start_ms * DK_NS_PER_MS};
}

struct dk_wall dk_samples_end(const struct dk_samples *samples, size_t i)
{
    return (struct dk_wall){(point_at(samples, i)->start_ms + point_at(samples, i)->duration_ms) * DK_NS_PER_MS};
}

static const struct likeness *likeness_of(const struct dk_samples *samples, size_t i)
{
    return (const struct likeness *)samples->likenesses.items + (point_at(samples, i)->likeness & ~CONFLICT);
}

const struct dk_origin *dk_samples_origin(const struct dk_samples *samples, size_t i)
{
    return (const struct dk_origin *)samples->origins.items + likeness_of(samples, i)->origin;
}

size_t dk_samples_origin_number(const struct dk_samples *samples, size_t i)
{
    return likeness_of(samples, i)->origin;
}

const struct dk_origin *dk_samples_origin_at(const struct dk_samples *samples, size_t number)
{
    return (const struct dk_origin *)samples->origins.items + number;
}

size_t dk_samples_origin_count(const struct dk_samples *samples)
{
    return samples->origins.count;
}

const struct dk_sample_state *dk_samples_state(const struct dk_samples *samples, size_t i)
{
    return (const struct dk_sample_state *)samples->states.items + likeness_of(samples, i)->state;
}

bool dk_samples_conflict(const struct dk_samples *samples, size_t i)
{
    return (point_at(samples, i)->likeness & CONFLICT) != 0;
}

int64_t dk_samples_value(const struct dk_samples *samples, size_t i, enum dk_indicator indicator)
{
    int column = dk_row_column(indicator);

    return column < 0 || samples->place[column] < 0 ? -1 : point_at(samples, i)->values[samples->place[column]];
}

enum dk_part dk_part_of(enum dk_indicator indicator)
{
    const char *path = dk_indicator_text(indicator);

    return strncmp(path, "download.", 9) == 0 ? DK_PART_DOWNLOAD
           : strncmp(path, "upload.", 7) == 0 ? DK_PART_UPLOAD
           : strncmp(path, "server.", 7) == 0 ? DK_PART_SERVER
                                              : DK_PART_LATENCY;
}
