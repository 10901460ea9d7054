// SPDX-License-Identifier: Apache-2.0
#include "agent/base/message.h"
#include "agent/verbs/verbs.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/journal/profiles.h"
#include "agent/judge/judge.h"
#include "agent/record/read.h"
#include "agent/record/record.h"
#include "agent/record/seal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "probes/responsiveness/rpm.h"
#include "probes/stats.h"

struct recomputation {
    const char *profile; // --profile; NULL when it was not given
    const char *state_dir;
    bool json;
    size_t records, different;
};

// What differs in one record. The first error stands.
struct differences {
    json_t *list; // owned
    enum dk_err err;
};

static void add(struct differences *differences, const char *part, const char *figure, json_t *recorded,
                json_t *recomputed)
{
    json_t *name = json_sprintf("%s%s%s", part, part[0] != '\0' ? "." : "", figure);

    if (json_array_append_new(differences->list, json_pack("{s:o?, s:o?, s:o?}", "figure", name, "recorded", recorded,
                                                           "recomputed", recomputed)) != 0)
        differences->err = DK_ERR_MEMORY;
}

static void compare(struct differences *differences, const char *part, const char *figure, int64_t recorded,
                    int64_t recomputed)
{
    if (recorded != recomputed)
        add(differences, part, figure, json_integer(recorded), json_integer(recomputed));
}

static void compare_text(struct differences *differences, const char *part, const char *figure, const char *recorded,
                         const char *recomputed)
{
    if (strcmp(recorded, recomputed) != 0)
        add(differences, part, figure, json_string(recorded), json_string(recomputed));
}

// Puts what follows from the series in the place of what was recorded.
static void recompute_throughput(struct differences *differences, const char *part, struct dk_throughput *throughput)
{
    struct dk_throughput again = {.rate_bps = -1, .rate_whole_bps = -1, .rate_low_bps = -1, .rate_high_bps = -1,
                                  .bytes = -1};
    bool has_rate = throughput->series.count > 0 &&
                    dk_stats_rates(&throughput->series, dk_stats_ramp_up_intervals(&throughput->series), &again);

    // Nothing follows from a series that is none, and nothing is said to.
    if (again.bytes < 0 && throughput->status != DK_STATUS_OK)
        return;
    compare(differences, part, "bytes", throughput->bytes, again.bytes);
    compare(differences, part, "duration_ns", throughput->duration_ns, again.duration_ns);
    if (throughput->status != DK_STATUS_OK)
        return;
    if (!has_rate)
        compare_text(differences, part, "status", dk_status_text(throughput->status),
                     dk_status_text(DK_STATUS_INVALID));
    compare(differences, part, "rate_bps", throughput->rate_bps, again.rate_bps);
    compare(differences, part, "rate_whole_bps", throughput->rate_whole_bps, again.rate_whole_bps);
    compare(differences, part, "rate_low_bps", throughput->rate_low_bps, again.rate_low_bps);
    compare(differences, part, "rate_high_bps", throughput->rate_high_bps, again.rate_high_bps);
    compare(differences, part, "ramp_up_ns", throughput->ramp_up_ns, again.ramp_up_ns);
    compare(differences, part, "streams", throughput->streams, (int64_t)throughput->series.streams);
    throughput->rate_bps = again.rate_bps;
    throughput->rate_whole_bps = again.rate_whole_bps;
    throughput->rate_low_bps = again.rate_low_bps;
    throughput->rate_high_bps = again.rate_high_bps;
    throughput->steadiness = again.steadiness;
}

// Puts what follows from the single round-trip times in the place of what was recorded. Older records do not have them:
// then only what follows from other figures is looked at.
static void recompute_latency(struct differences *differences, const char *part, struct dk_latency *latency)
{
    struct dk_latency again = *latency;

    if (latency->series_ns == NULL) {
        again.lost = latency->sent < 0 ? latency->lost : latency->sent - latency->received;
        again.pdv_p95_ns = latency->rtt_p95_ns < 0 ? latency->pdv_p95_ns : latency->rtt_p95_ns - latency->rtt_min_ns;
    } else if (dk_stats_latency(latency->series_ns, (size_t)latency->sent, &again) != DK_OK) {
        differences->err = DK_ERR_MEMORY;
        return;
    }
    compare(differences, part, "received", latency->received, again.received);
    compare(differences, part, "lost", latency->lost, again.lost);
    if (latency->status == DK_STATUS_OK) {
        compare(differences, part, "rtt_min_ns", latency->rtt_min_ns, again.rtt_min_ns);
        compare(differences, part, "rtt_median_ns", latency->rtt_median_ns, again.rtt_median_ns);
        compare(differences, part, "rtt_p95_ns", latency->rtt_p95_ns, again.rtt_p95_ns);
        compare(differences, part, "rtt_p99_ns", latency->rtt_p99_ns, again.rtt_p99_ns);
        compare(differences, part, "rtt_max_ns", latency->rtt_max_ns, again.rtt_max_ns);
        compare(differences, part, "pdv_p95_ns", latency->pdv_p95_ns, again.pdv_p95_ns);
        compare(differences, part, "ipdv_mean_ns", latency->ipdv_mean_ns, again.ipdv_mean_ns);
    }
    *latency = again;
}

// Older records do not have it.
static void recompute_loaded_minus_idle(struct differences *differences, const char *part,
                                        const struct dk_measurement *measurement, const struct dk_latency *loaded,
                                        int64_t recorded_ns)
{
    int64_t again_ns = 0;

    if (recorded_ns != DK_NOT_RECORDED && !dk_measurement_loaded_minus_idle_ns(measurement, loaded, &again_ns))
        add(differences, part, "loaded_minus_idle_ns", json_integer(recorded_ns), json_null());
    else if (recorded_ns != DK_NOT_RECORDED)
        compare(differences, part, "loaded_minus_idle_ns", recorded_ns, again_ns);
}

// From the samples and the series of the load.
static void recompute_responsiveness(struct differences *differences, const char *part, const struct dk_series *load,
                                     const struct dk_responsiveness *recorded)
{
    struct dk_responsiveness again = *recorded;

    if (recorded->status != DK_STATUS_OK)
        return;
    if (dk_rpm_compute(load, &again) != DK_OK) {
        differences->err = DK_ERR_MEMORY;
        return;
    }
    compare(differences, part, "sent", recorded->sent, recorded->completed + recorded->failed + recorded->unfinished);
    compare_text(differences, part, "status", dk_status_text(recorded->status), dk_status_text(again.status));
    compare_text(differences, part, "confidence", dk_confidence_text(recorded->confidence),
                 dk_confidence_text(again.confidence));
    compare(differences, part, "rpm", recorded->rpm, again.rpm);
    compare(differences, part, "foreign_rpm", recorded->foreign_rpm, again.foreign_rpm);
    compare(differences, part, "self_rpm", recorded->self_rpm, again.self_rpm);
    compare(differences, part, "tcp_ns", recorded->tcp_ns, again.tcp_ns);
    compare(differences, part, "tls_ns", recorded->tls_ns, again.tls_ns);
    compare(differences, part, "http_ns", recorded->http_ns, again.http_ns);
    compare(differences, part, "self_ns", recorded->self_ns, again.self_ns);
    compare(differences, part, "end_ns", recorded->end_ns, again.end_ns);
}

// All that follows from samples, in the place of what was recorded.
static void recompute_figures(struct differences *differences, struct dk_record_figures *figures)
{
    struct dk_measurement *m = &figures->measurement;

    recompute_throughput(differences, "download", &m->download);
    recompute_throughput(differences, "upload", &m->upload);
    recompute_latency(differences, "latency.idle", &m->latency_idle);
    recompute_latency(differences, "latency.download", &m->latency_download);
    recompute_latency(differences, "latency.upload", &m->latency_upload);
    recompute_latency(differences, "latency.gateway", &m->latency_gateway);
    recompute_loaded_minus_idle(differences, "latency.download", m, &m->latency_download,
                                figures->loaded_minus_idle_download_ns);
    recompute_loaded_minus_idle(differences, "latency.upload", m, &m->latency_upload,
                                figures->loaded_minus_idle_upload_ns);
    recompute_responsiveness(differences, "responsiveness.download", &m->download.series,
                             &m->responsiveness_download);
    recompute_responsiveness(differences, "responsiveness.upload", &m->upload.series, &m->responsiveness_upload);
}

// The profile that the record names, by its SHA-256.
static enum dk_err find_rules(const struct recomputation *r, const struct dk_verdict *verdict, struct dk_rules *out,
                              struct dk_fault *fault)
{
    const char *name = r->profile != NULL ? r->profile : verdict->profile_id;

    // A record must not choose a file of this machine.
    if (r->profile == NULL && strchr(name, '/') != NULL)
        return dk_fail(fault, DK_ERR_DATA, "verdict.profile.id", NULL, "is no profile's name");

    struct dk_fault own = {0};
    dk_auto_buf struct dk_buf kept = dk_buf_make(DK_PROFILE_MAX_BYTES);
    bool is_kept = r->profile == NULL && dk_profile_read(r->state_dir, verdict->profile_sha256, &kept, NULL) == DK_OK;
    enum dk_err err = is_kept ? dk_rules_read_text(out, name, dk_buf_text(&kept), kept.len, &own)
                              : dk_rules_load(out, name, &own);

    if (err != DK_OK && r->profile != NULL)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, NULL, NULL, "out of memory");
    if (err != DK_OK || strcmp(out->sha256, verdict->profile_sha256) != 0)
        return dk_fail(fault, DK_ERR_DATA, "verdict.profile",
                       "give the profile that it was judged by: --profile FILE",
                       "the profile at hand is another: the record's has the SHA-256 %s", verdict->profile_sha256);
    return DK_OK;
}

static enum dk_err recompute_verdict(const struct recomputation *r, struct differences *differences,
                                     const struct dk_record_figures *figures, struct dk_fault *fault)
{
    const struct dk_context context = {.link.technology = figures->technology};
    const struct dk_verdict *recorded = &figures->verdict;
    struct dk_rules rules;
    struct dk_verdict again;
    enum dk_err err = find_rules(r, recorded, &rules, fault);

    if (err != DK_OK)
        return err;
    dk_judge(&rules, &figures->measurement, &context, &figures->site, &figures->validity, &again);
    compare_text(differences, "verdict", "outcome", dk_outcome_text(recorded->outcome), dk_outcome_text(again.outcome));
    compare(differences, "verdict", "checks", (int64_t)recorded->count, (int64_t)again.count);
    for (size_t i = 0; i < recorded->count && i < again.count; i++) {
        const struct dk_check *was = &recorded->checks[i], *is = &again.checks[i];

        compare_text(differences, "verdict", "rule", was->rule.id, is->rule.id);
        compare_text(differences, is->rule.id, "outcome", dk_outcome_text(was->outcome), dk_outcome_text(is->outcome));
        compare(differences, is->rule.id, "threshold", was->has_threshold ? was->rule.threshold : -1,
                is->has_threshold ? is->rule.threshold : -1);
        compare(differences, is->rule.id, "value", was->has_value ? was->value : -1, is->has_value ? is->value : -1);
        compare(differences, is->rule.id, "low", was->has_value ? was->low : -1, is->has_value ? is->low : -1);
        compare(differences, is->rule.id, "high", was->has_value ? was->high : -1, is->has_value ? is->high : -1);
    }
    return DK_OK;
}

static enum dk_err print(const struct recomputation *r, const char *file, int64_t seq,
                         const struct differences *differences, struct dk_fault *fault)
{
    bool same = json_array_size(differences->list) == 0;

    if (r->json)
        return dk_json_print(json_pack("{s:s, s:I, s:s, s:O}", "file", file, "seq", (json_int_t)seq, "result",
                                       same ? "same" : "differs", "differences", differences->list),
                             fault);
    dk_text_print(file);
    printf(_(": record %" PRId64 ": %s\n"), seq, same ? _("same") : _("differs"));
    for (size_t i = 0; i < json_array_size(differences->list); i++) {
        char *text = json_dumps(json_array_get(differences->list, i), JSON_COMPACT | JSON_ENCODE_ANY);

        printf("  ");
        if (text != NULL)
            dk_text_print(text);
        printf("\n");
        free(text);
    }
    return DK_OK;
}

static enum dk_err recompute_line(void *argument, const char *file, int64_t line, const char *text, size_t len,
                                  struct dk_fault *fault)
{
    struct recomputation *r = argument;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES);
    struct dk_record_figures figures = {0};
    struct dk_record_head head;
    struct differences differences = {.list = json_array()};
    enum dk_err err = dk_jws_payload(text, len, &payload, fault);

    (void)line;
    if (err == DK_OK)
        err = dk_record_read_head(payload.data, payload.len, &head, fault);
    if (err == DK_OK && head.kind == DK_KIND_ROTATION) { // has no figures
        json_decref(differences.list);
        return DK_OK;
    }
    if (err == DK_OK)
        err = dk_record_read_figures(payload.data, payload.len, &figures, fault);
    if (err == DK_OK) {
        recompute_figures(&differences, &figures);
        if (figures.has_verdict)
            err = recompute_verdict(r, &differences, &figures, fault);
    }
    if (err == DK_OK && (differences.err != DK_OK || differences.list == NULL))
        err = dk_fail(fault, DK_ERR_MEMORY, file, NULL, "out of memory");
    if (err == DK_OK) {
        r->records++;
        r->different += json_array_size(differences.list) > 0;
        err = print(r, file, head.seq, &differences, fault);
    }
    json_decref(differences.list);
    dk_measurement_free(&figures.measurement);
    return err;
}

// As the reader of lines wants it: the fault is kept beside.
struct line_context {
    struct recomputation *recomputation;
    struct dk_fault *fault;
};

static enum dk_err on_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    struct line_context *context = argument;
    struct dk_fault own = {0};
    enum dk_err err = recompute_line(context->recomputation, file, line, text, len, &own);

    if (err == DK_OK)
        return DK_OK;
    return dk_fail(context->fault, err, file, own.todo, "%s%s%s", own.where, own.where[0] != '\0' ? ": " : "",
                   own.what);
}

int dk_verb_recompute(int argc, char **argv)
{
    const char *format = NULL, *profile = NULL;
    const struct dk_own_flag flags[] = {
        {"profile", "NAME|FILE",
         N_("the profile it was judged by; default: the one kept by a run, or of that name here"),
         &profile, NULL},
        {"format", "text|json", N_("a line for each record, or one JSON object a line"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    struct recomputation r = {0};
    struct line_context context = {&r, &fault};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count == 0)
        err = dk_fail(&fault, DK_ERR_USAGE, NULL, "name .jws files, folders of them, or - for standard input",
                      "nothing to recompute");
    if (err == DK_OK)
        err = dk_format_is_json(format, &r.json, &fault);
    if (err == DK_OK)
        dk_confine_reading(arguments.operands, (size_t)arguments.operand_count, (const char *const[]){profile, NULL},
                           arguments.settings.state_dir, NULL);
    r.profile = profile;
    r.state_dir = arguments.settings.state_dir;
    for (int i = 0; i < arguments.operand_count && err == DK_OK; i++)
        err = dk_lines_read(arguments.operands[i], DK_LINES_RECORDS, DK_JWS_MAX_BYTES, on_line, &context, &fault);
    if (err == DK_OK && r.different > 0)
        err = dk_fail(&fault, DK_ERR_DATA, NULL, "the signature is another matter: dokiem verify",
                      "%zu of %zu records do not follow from their own samples", r.different, r.records);
    return err == DK_OK ? 0 : dk_verb_fail("recompute", &fault);
}
