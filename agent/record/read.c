// SPDX-License-Identifier: Apache-2.0
#include "agent/record/read.h"

#include "agent/base/parse.h"
#include "agent/record/json.h"
#include "agent/record/record.h"
#include "agent/record/responsiveness.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DK_DEFINE_FREE(json, json_t, json_decref)

enum { SERIES_COUNT_MAX = 1 << 17 };

#define RTT_MAX_NS (1000 * DK_NS_PER_S) // no timeout is as long

// The first error stands; after it nothing is read.
struct reader {
    enum dk_err err;
    struct dk_fault *fault;
    const char *part; // of the record, for the fault
};

static void fail(struct reader *r, enum dk_err err, const char *key, const char *allowed)
{
    char where[80];

    snprintf(where, sizeof where, "%s.%s", r->part, key);
    if (r->err == DK_OK)
        r->err = dk_fail(r->fault, err, where, NULL, "the record must have %s here", allowed);
}

// A whole number from 0 on; -1 when it is left out.
static int64_t get_integer(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL)
        return -1;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return json_integer_value(value);
    fail(r, DK_ERR_DATA, key, "a whole number, not below 0,");
    return -1;
}

// A text of at most size − 1 bytes. One that is left out is "" when that is allowed.
static void get_text(struct reader *r, const json_t *object, const char *key, bool needed, char *out, size_t size)
{
    const json_t *value = json_object_get(object, key);

    out[0] = '\0';
    if (value == NULL && !needed)
        return;
    if (!json_is_string(value) || json_string_length(value) >= size ||
        !dk_text_is_clean(json_string_value(value), json_string_length(value))) {
        fail(r, DK_ERR_DATA, key, "a short text");
        return;
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
}

static void get_status(struct reader *r, const json_t *object, enum dk_status *status,
                       char reason[static DK_REASON_SIZE])
{
    char text[20];

    if (!json_is_object(object))
        fail(r, DK_ERR_DATA, "status", "an object");
    get_text(r, object, "status", true, text, sizeof text);
    if (!dk_status_parse(text, status))
        fail(r, DK_ERR_DATA, "status", "ok, failed, not_measured or invalid");
    get_text(r, object, "reason", false, reason, DK_REASON_SIZE);
}

// When each stream began; absent: all together.
static void get_joined(struct reader *r, const json_t *joined, struct dk_series *out)
{
    if (joined == NULL)
        return;
    for (size_t s = 0; s < out->streams; s++) {
        const json_t *value = json_array_get(joined, s);

        out->joined_ns[s] = json_integer_value(value);
        if (!json_is_integer(value) || json_array_size(joined) != out->streams || out->joined_ns[s] < 0 ||
            out->joined_ns[s] > (int64_t)out->count * out->interval_ns) {
            fail(r, DK_ERR_DATA, "joined_ns", "one time within the series for each row");
            return;
        }
    }
}

static void get_series(struct reader *r, const json_t *series, struct dk_series *out)
{
    const json_t *rows = json_object_get(series, "bytes");
    size_t streams = json_array_size(rows), count = json_array_size(json_array_get(rows, 0));

    if (series == NULL || r->err != DK_OK)
        return;
    out->interval_ns = get_integer(r, series, "interval_ns");
    if (streams < 1 || streams > DK_STREAMS_MAX || count < 1 || count > SERIES_COUNT_MAX || out->interval_ns < 1) {
        fail(r, DK_ERR_DATA, "series", "an interval and 1 to 32 rows of bytes");
        return;
    }
    out->bytes = calloc(streams * count, sizeof *out->bytes);
    if (out->bytes == NULL) {
        fail(r, DK_ERR_MEMORY, "series", "more memory than there is");
        return;
    }
    out->streams = streams;
    out->count = count;
    for (size_t s = 0; s < streams; s++) {
        const json_t *row = json_array_get(rows, s);

        for (size_t i = 0; i < count; i++) {
            const json_t *value = json_array_get(row, i);

            if (!json_is_integer(value) || json_integer_value(value) < 0 || json_array_size(row) != count) {
                fail(r, DK_ERR_DATA, "series", "rows of the same length, of whole numbers");
                return;
            }
            out->bytes[s * count + i] = json_integer_value(value);
        }
    }
    get_joined(r, json_object_get(series, "joined_ns"), out);
}

static void get_throughput(struct reader *r, const json_t *root, const char *key, struct dk_throughput *out)
{
    const json_t *object = json_object_get(root, key);

    r->part = key;
    get_status(r, object, &out->status, out->reason);
    out->rate_bps = get_integer(r, object, "rate_bps");
    out->rate_whole_bps = get_integer(r, object, "rate_whole_bps");
    out->rate_low_bps = get_integer(r, object, "rate_low_bps");
    out->rate_high_bps = get_integer(r, object, "rate_high_bps");
    out->bytes = get_integer(r, object, "bytes");
    out->duration_ns = get_integer(r, object, "duration_ns");
    out->ramp_up_ns = get_integer(r, object, "ramp_up_ns");
    out->streams = get_integer(r, object, "streams");
    get_series(r, json_object_get(object, "series"), &out->series);
    if (out->status == DK_STATUS_OK && (out->rate_bps < 0 || out->rate_whole_bps < 0 || out->rate_low_bps < 0 ||
                                        out->rate_high_bps < 0 || out->series.count == 0))
        fail(r, DK_ERR_DATA, "rate_bps", "the rates and the series of a measured figure");
}

// The round-trip time of each that was sent; older records have none.
static void get_round_trips(struct reader *r, const json_t *series, struct dk_latency *out)
{
    size_t count = json_array_size(series);

    if (series == NULL || r->err != DK_OK)
        return;
    if (!json_is_array(series) || count > SERIES_COUNT_MAX || (int64_t)count != out->sent) {
        fail(r, DK_ERR_DATA, "series_ns", "as many round-trip times as were sent");
        return;
    }
    out->series_ns = calloc(count + 1, sizeof *out->series_ns);
    if (out->series_ns == NULL) {
        fail(r, DK_ERR_MEMORY, "series_ns", "more memory than there is");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(series, i);

        out->series_ns[i] = json_integer_value(value);
        if (!json_is_integer(value) || out->series_ns[i] < -1 || out->series_ns[i] > RTT_MAX_NS) {
            fail(r, DK_ERR_DATA, "series_ns", "times from 0 to 1000 s, or -1,");
            return;
        }
    }
}

static void get_latency(struct reader *r, const json_t *latency, const char *key, struct dk_latency *out)
{
    const json_t *object = json_object_get(latency, key);
    char method[16];

    r->part = key;
    get_status(r, object, &out->status, out->reason);
    get_text(r, object, "method", false, method, sizeof method);
    if (method[0] != '\0' && !dk_method_parse(method, &out->method))
        fail(r, DK_ERR_DATA, "method", "stamp, icmp, tcp, http or none");
    out->sent = get_integer(r, object, "sent");
    out->received = get_integer(r, object, "received");
    out->lost = get_integer(r, object, "lost");
    out->rtt_min_ns = get_integer(r, object, "rtt_min_ns");
    out->rtt_median_ns = get_integer(r, object, "rtt_median_ns");
    out->rtt_p95_ns = get_integer(r, object, "rtt_p95_ns");
    out->rtt_p99_ns = get_integer(r, object, "rtt_p99_ns");
    out->rtt_max_ns = get_integer(r, object, "rtt_max_ns");
    out->ipdv_mean_ns = get_integer(r, object, "ipdv_mean_ns");
    out->pdv_p95_ns = get_integer(r, object, "pdv_p95_ns");
    get_round_trips(r, json_object_get(object, "series_ns"), out);
    if (out->status == DK_STATUS_OK && (out->received < 0 || out->rtt_min_ns < 0 || out->rtt_median_ns < 0 ||
                                        out->rtt_p95_ns < 0))
        fail(r, DK_ERR_DATA, "rtt_median_ns", "the counts and round-trip times of a measured figure");
}

// Left out by versions that did not compare.
static void get_loaded_minus_idle(struct reader *r, const json_t *latency, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(json_object_get(latency, key), "loaded_minus_idle_ns");

    r->part = key;
    *out = DK_NOT_RECORDED;
    if (value == NULL)
        return;
    *out = json_integer_value(value);
    if (!json_is_integer(value) || *out < -RTT_MAX_NS || *out > RTT_MAX_NS)
        fail(r, DK_ERR_DATA, "loaded_minus_idle_ns", "a difference of times");
}

// Left out by versions that did not measure it.
static void get_responsiveness(struct reader *r, const json_t *responsiveness, const char *key,
                               struct dk_responsiveness *out)
{
    const json_t *object = json_object_get(responsiveness, key);
    const char *wrong = "";

    if (responsiveness == NULL || r->err != DK_OK)
        return;
    r->part = "responsiveness";

    enum dk_err err = dk_responsiveness_read(object, out, &wrong);

    if (err != DK_OK)
        fail(r, err, wrong, "what a measured one has");
    get_status(r, object, &out->status, out->reason);
}

static void get_flag(struct reader *r, const json_t *object, struct dk_flag *out)
{
    char code[32], figure[16];
    bool known = false, about = false;

    get_text(r, object, "code", true, code, sizeof code);
    get_text(r, object, "figure", true, figure, sizeof figure);
#define X(name, text)                                                                                        \
    if (strcmp(code, text) == 0) {                                                                           \
        out->code = DK_FLAG_##name;                                                                          \
        known = true;                                                                                        \
    }
    DK_FLAG_LIST(X)
#undef X
#define X(name, text)                                                                                        \
    if (strcmp(figure, text) == 0) {                                                                         \
        out->figure = DK_FLAG_FIGURE_##name;                                                                 \
        about = true;                                                                                        \
    }
    DK_FLAG_FIGURE_LIST(X)
#undef X
    if (!known || !about)
        fail(r, DK_ERR_DATA, "flags", "flags that this version of dokiem knows");
}

static void get_validity(struct reader *r, const json_t *validity, struct dk_validity *out)
{
    const json_t *flags = json_object_get(validity, "flags");

    r->part = "validity";
    if (validity != NULL && (!json_is_array(flags) || json_array_size(flags) > DK_FLAGS_MAX))
        fail(r, DK_ERR_DATA, "flags", "a list of at most 16 flags");
    for (size_t i = 0; i < json_array_size(flags) && r->err == DK_OK; i++)
        get_flag(r, json_array_get(flags, i), &out->flags[out->count++]);
}

static void get_site(struct reader *r, const json_t *site, struct dk_site *out)
{
#define X(name, text) text "_bps",
    static const char *const keys[] = {DK_SITE_RATE_LIST(X)};
#undef X
    char environment[16], subscriber[16];

    r->part = "site";
    get_text(r, site, "environment", true, environment, sizeof environment);
    if (!dk_environment_parse(environment, &out->environment))
        fail(r, DK_ERR_DATA, "environment", "unstated, indoor, outdoor or moving");
    get_text(r, site, "subscriber", false, subscriber, sizeof subscriber);
    if (subscriber[0] != '\0' && !dk_subscriber_parse(subscriber, &out->subscriber))
        fail(r, DK_ERR_DATA, "subscriber", "household or organisation");
    for (size_t i = 0; i < DK_SITE_RATES; i++) {
        int64_t rate_bps = get_integer(r, site, keys[i]);

        if (rate_bps > DK_SITE_RATE_MAX_BPS)
            fail(r, DK_ERR_DATA, keys[i], "at most 1000 Gb/s");
        out->rate_bps[i] = rate_bps > 0 ? rate_bps : 0;
    }
}

static void get_outcome(struct reader *r, const json_t *object, enum dk_outcome *out)
{
    char text[20];

    get_text(r, object, "outcome", true, text, sizeof text);
    if (!dk_outcome_parse(text, out))
        fail(r, DK_ERR_DATA, "outcome", "pass, fail, inconclusive or not_applicable");
}

static void get_verdict(struct reader *r, const json_t *verdict, struct dk_verdict *out)
{
    const json_t *profile = json_object_get(verdict, "profile"), *checks = json_object_get(verdict, "checks");

    r->part = "verdict";
    get_text(r, profile, "id", true, out->profile_id, sizeof out->profile_id);
    get_text(r, profile, "sha256", true, out->profile_sha256, sizeof out->profile_sha256);
    get_outcome(r, verdict, &out->outcome);
    if (!json_is_array(checks) || json_array_size(checks) > DK_RULES_MAX)
        fail(r, DK_ERR_DATA, "checks", "a list of at most 64 checks");
    for (size_t i = 0; i < json_array_size(checks) && r->err == DK_OK; i++) {
        const json_t *object = json_array_get(checks, i);
        struct dk_check *check = &out->checks[out->count++];

        get_text(r, object, "rule", true, check->rule.id, sizeof check->rule.id);
        get_outcome(r, object, &check->outcome);
        check->rule.threshold = get_integer(r, object, "threshold_bps");
        if (check->rule.threshold < 0)
            check->rule.threshold = get_integer(r, object, "threshold_ns");
        check->has_threshold = check->rule.threshold >= 0;
        check->value = get_integer(r, object, "value");
        check->low = get_integer(r, object, "low");
        check->high = get_integer(r, object, "high");
        check->has_value = check->value >= 0;
    }
}

enum dk_err dk_record_read_figures(const char *json, size_t len, struct dk_record_figures *out,
                                   struct dk_fault *fault)
{
    struct reader r = {.fault = fault, .part = "record"};
    struct dk_record_figures figures = {0};
    json_error_t error;
    char technology[16];
    struct dk_record_head head;

    // The form of the whole, and its schema.
    r.err = dk_record_read_head(json, len, &head, fault);
    if (r.err != DK_OK)
        return r.err;

    dk_auto(json) json_t *root = dk_json_load(json, len, &error, &r.err);

    if (root == NULL)
        return dk_fail(fault, r.err, "record", NULL, "cannot be read: %s", dk_err_text(r.err));

    const json_t *latency = json_object_get(root, "latency"), *verdict = json_object_get(root, "verdict");

    get_throughput(&r, root, "download", &figures.measurement.download);
    get_throughput(&r, root, "upload", &figures.measurement.upload);
    get_latency(&r, latency, "idle", &figures.measurement.latency_idle);
    get_latency(&r, latency, "download", &figures.measurement.latency_download);
    get_latency(&r, latency, "upload", &figures.measurement.latency_upload);
    if (json_object_get(latency, "gateway") != NULL) // older records have none
        get_latency(&r, latency, "gateway", &figures.measurement.latency_gateway);
    get_loaded_minus_idle(&r, latency, "download", &figures.loaded_minus_idle_download_ns);
    get_loaded_minus_idle(&r, latency, "upload", &figures.loaded_minus_idle_upload_ns);
    get_responsiveness(&r, json_object_get(root, "responsiveness"), "download",
                       &figures.measurement.responsiveness_download);
    get_responsiveness(&r, json_object_get(root, "responsiveness"), "upload",
                       &figures.measurement.responsiveness_upload);
    get_site(&r, json_object_get(root, "site"), &figures.site);
    get_validity(&r, json_object_get(root, "validity"), &figures.validity);
    figures.has_verdict = verdict != NULL;
    if (verdict != NULL)
        get_verdict(&r, verdict, &figures.verdict);
    r.part = "link";
    get_text(&r, json_object_get(root, "link"), "technology", true, technology, sizeof technology);
    if (!dk_technology_parse(technology, &figures.technology))
        fail(&r, DK_ERR_DATA, "technology", "unknown, 4g, 5g, fixed or auto");
    if (r.err == DK_OK)
        *out = figures;
    else
        dk_measurement_free(&figures.measurement);
    return r.err;
}
