// SPDX-License-Identifier: Apache-2.0
#include "agent/record/responsiveness.h"

#include <stddef.h>
#include <stdlib.h>

#include "agent/base/clock.h"

enum { SAMPLES_MAX = 4096 };
#define NUMBER_MAX    (INT64_C(1) << 53)
#define SAMPLE_MAX_NS (1000 * DK_NS_PER_S) // no test is as long

// The figures of a foreign connection, each a series of its own.
static const struct {
    const char *key;
    size_t offset;
} foreign_series[] = {
    {"done_ns", offsetof(struct dk_foreign, done_ns)},
    {"tcp_ns", offsetof(struct dk_foreign, tcp_ns)},
    {"tls_ns", offsetof(struct dk_foreign, tls_ns)},
    {"http_ns", offsetof(struct dk_foreign, http_ns)},
};
enum { FOREIGN_SERIES = sizeof foreign_series / sizeof foreign_series[0] };

// The members that are plain numbers.
static const struct member {
    const char *key;
    size_t offset;
} counts[] = {
    {"interval_ns", offsetof(struct dk_responsiveness, interval_ns)},
    {"sent", offsetof(struct dk_responsiveness, sent)},
    {"completed", offsetof(struct dk_responsiveness, completed)},
    {"failed", offsetof(struct dk_responsiveness, failed)},
    {"unfinished", offsetof(struct dk_responsiveness, unfinished)},
    {"bytes", offsetof(struct dk_responsiveness, bytes)},
}, figures[] = {
    {"rpm", offsetof(struct dk_responsiveness, rpm)},
    {"foreign_rpm", offsetof(struct dk_responsiveness, foreign_rpm)},
    {"self_rpm", offsetof(struct dk_responsiveness, self_rpm)},
    {"tcp_ns", offsetof(struct dk_responsiveness, tcp_ns)},
    {"tls_ns", offsetof(struct dk_responsiveness, tls_ns)},
    {"http_ns", offsetof(struct dk_responsiveness, http_ns)},
    {"self_ns", offsetof(struct dk_responsiveness, self_ns)},
    {"end_ns", offsetof(struct dk_responsiveness, end_ns)},
};
enum { COUNTS = sizeof counts / sizeof counts[0], FIGURES = sizeof figures / sizeof figures[0] };

static int64_t number_at(const void *of, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)of + offset);
}

static void set_number(void *of, size_t offset, int64_t value)
{
    *(int64_t *)(void *)((char *)of + offset) = value;
}

// What is -1 is not known, and left out.
static bool put_numbers(json_t *object, const struct dk_responsiveness *from, const struct member *members,
                        size_t count)
{
    bool ok = true;

    for (size_t i = 0; i < count && ok; i++) {
        int64_t value = number_at(from, members[i].offset);

        ok = value < 0 || json_object_set_new(object, members[i].key, json_integer(value)) == 0;
    }
    return ok;
}

static bool put_samples(json_t *object, const struct dk_responsiveness *from)
{
    json_t *foreign = json_object(), *self = json_object(), *rtts = json_array();
    bool tls = from->completed > 0 && from->foreign[0].tls_ns >= 0;
    bool ok = json_object_set_new(object, "foreign", foreign) == 0 && json_object_set_new(object, "self", self) == 0;

    for (size_t k = 0; k < FOREIGN_SERIES && ok; k++) {
        size_t offset = foreign_series[k].offset;
        json_t *series = json_array();

        if (offset == offsetof(struct dk_foreign, tls_ns) && !tls) {
            json_decref(series);
            continue;
        }
        ok = json_object_set_new(foreign, foreign_series[k].key, series) == 0;
        for (int64_t i = 0; i < from->completed && ok; i++)
            ok = json_array_append_new(series, json_integer(number_at(&from->foreign[i], offset))) == 0;
    }
    ok = ok && json_object_set_new(self, "interval_ns", json_integer(from->self.interval_ns)) == 0;
    for (size_t k = 0; k < from->self.count && ok; k++)
        ok = json_array_append_new(rtts, json_integer(from->self.rtt_ns[k])) == 0;
    if (ok)
        return json_object_set_new(self, "rtt_ns", rtts) == 0;
    json_decref(rtts);
    return false;
}

json_t *dk_responsiveness_json(const struct dk_responsiveness *from)
{
    json_t *object = json_object();
    bool ok = object != NULL;

    if (ok && from->status == DK_STATUS_OK)
        ok = put_numbers(object, from, figures, FIGURES) &&
             json_object_set_new(object, "confidence", json_string(dk_confidence_text(from->confidence))) == 0;
    if (ok && from->sent > 0)
        ok = put_numbers(object, from, counts, COUNTS) && (from->foreign == NULL || put_samples(object, from));
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

struct reader {
    enum dk_err err;
    const char *wrong;
};

static void fail(struct reader *r, enum dk_err err, const char *key)
{
    if (r->err == DK_OK) {
        r->err = err;
        r->wrong = key;
    }
}

static void get_numbers(struct reader *r, const json_t *object, const struct member *members, size_t count,
                        int64_t missing, struct dk_responsiveness *out)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, members[i].key);

        if (value != NULL && (!json_is_integer(value) || json_integer_value(value) < 0 ||
                              json_integer_value(value) > NUMBER_MAX))
            fail(r, DK_ERR_DATA, members[i].key);
        set_number(out, members[i].offset, value != NULL ? json_integer_value(value) : missing);
    }
}

// A sample of a series; -1 stands for one that is not known.
static int64_t sample(struct reader *r, const json_t *series, size_t i, const char *key)
{
    const json_t *value = json_array_get(series, i);

    if (!json_is_integer(value) || json_integer_value(value) < -1 || json_integer_value(value) > SAMPLE_MAX_NS)
        fail(r, DK_ERR_DATA, key);
    return json_integer_value(value);
}

static void get_foreign(struct reader *r, const json_t *foreign, struct dk_responsiveness *out)
{
    size_t count = json_array_size(json_object_get(foreign, "done_ns"));

    if (foreign == NULL && out->completed == 0)
        return;
    if (!json_is_object(foreign) || count > SAMPLES_MAX || (int64_t)count != out->completed) {
        fail(r, DK_ERR_DATA, "foreign");
        return;
    }
    out->foreign = calloc(count + 1, sizeof *out->foreign);
    if (out->foreign == NULL) {
        fail(r, DK_ERR_MEMORY, "foreign");
        return;
    }
    for (size_t k = 0; k < FOREIGN_SERIES && r->err == DK_OK; k++) {
        const json_t *series = json_object_get(foreign, foreign_series[k].key);
        bool left_out = series == NULL && foreign_series[k].offset == offsetof(struct dk_foreign, tls_ns);

        if (!left_out && json_array_size(series) != count)
            fail(r, DK_ERR_DATA, foreign_series[k].key);
        for (size_t i = 0; i < count && r->err == DK_OK; i++)
            set_number(&out->foreign[i], foreign_series[k].offset,
                       left_out ? -1 : sample(r, series, i, foreign_series[k].key));
    }
}

static void get_self(struct reader *r, const json_t *self, struct dk_self *out)
{
    const json_t *series = json_object_get(self, "rtt_ns"), *interval = json_object_get(self, "interval_ns");
    size_t count = json_array_size(series);

    if (self == NULL)
        return;
    if (!json_is_array(series) || count > SAMPLES_MAX || !json_is_integer(interval) ||
        json_integer_value(interval) < 1 || json_integer_value(interval) > SAMPLE_MAX_NS) {
        fail(r, DK_ERR_DATA, "self");
        return;
    }
    out->interval_ns = json_integer_value(interval);
    out->rtt_ns = calloc(count + 1, sizeof *out->rtt_ns);
    if (out->rtt_ns == NULL) {
        fail(r, DK_ERR_MEMORY, "self");
        return;
    }
    out->count = count;
    for (size_t k = 0; k < count && r->err == DK_OK; k++)
        out->rtt_ns[k] = sample(r, series, k, "self");
}

enum dk_err dk_responsiveness_read(const json_t *object, struct dk_responsiveness *out, const char **wrong)
{
    struct reader r = {0};
    struct dk_responsiveness read = {0};
    const char *confidence = json_string_value(json_object_get(object, "confidence"));

    get_numbers(&r, object, counts, COUNTS, 0, &read);
    get_numbers(&r, object, figures, FIGURES, -1, &read);
    if (confidence != NULL && !dk_confidence_parse(confidence, &read.confidence))
        fail(&r, DK_ERR_DATA, "confidence");
    get_foreign(&r, json_object_get(object, "foreign"), &read);
    get_self(&r, json_object_get(object, "self"), &read.self);
    if (r.err == DK_OK) {
        *out = read;
        return DK_OK;
    }
    free(read.foreign);
    free(read.self.rtt_ns);
    *wrong = r.wrong;
    return r.err;
}
