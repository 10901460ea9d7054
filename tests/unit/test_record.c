// SPDX-License-Identifier: Apache-2.0
#include "agent/record/record.h"
#include "agent/record/responsiveness.h"
#include "tests/harness/harness.h"
#include "tests/sample/sample.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DK_DEFINE_FREE(json, json_t, json_decref)

// Each case starts with a fresh sample; main() frees it by starting the next one.
static struct dk_sample sample;

static void fresh(void)
{
    dk_measurement_free(&sample.measurement);
    dk_sample_make(&sample, DK_TECHNOLOGY_5G, 120000000);
}

static json_t *build(struct dk_buf *text)
{
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_record_build(&sample.facts, text, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(fault.what, "");
    return json_loads(dk_buf_text(text), JSON_REJECT_DUPLICATES, NULL);
}

// The member at a path such as "download.series.bytes"; NULL when a step is missing.
static const json_t *at(const json_t *value, const char *path)
{
    while (value != NULL && *path != '\0') {
        char key[64];
        size_t len = strcspn(path, ".");

        snprintf(key, sizeof key, "%.*s", (int)len, path);
        value = json_object_get(value, key);
        path += len + (path[len] == '.');
    }
    return value;
}

static const char *text_at(const json_t *value, const char *path)
{
    const char *text = json_string_value(at(value, path));

    return text != NULL ? text : "(none)";
}

static void has_the_names_of_the_design_in_order(void)
{
    static const char *const names[] = {"schema",          "id",       "seq",    "prev",    "kind",
                                        "device",          "time",     "site",   "link",    "server",
                                        "data_used_bytes", "download", "upload", "latency", "responsiveness",
                                        "wire",            "dns",      "path",   "validity", "verdict"};
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();

    dk_auto(json) json_t *root = build(&text);
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;

    json_object_foreach(root, key, value)
    {
        CU_ASSERT_FATAL(i < sizeof names / sizeof names[0]);
        CU_ASSERT_STRING_EQUAL(key, names[i++]);
    }
    CU_ASSERT_EQUAL(i, sizeof names / sizeof names[0]);
    CU_ASSERT_STRING_EQUAL(text_at(root, "schema"), "dokiem.record/1");
    CU_ASSERT_EQUAL(json_integer_value(at(root, "seq")), 7);
    CU_ASSERT_STRING_EQUAL(text_at(root, "time.start"), "2026-11-20T04:05:06.789Z");
    CU_ASSERT_STRING_EQUAL(text_at(root, "site.name"), "Nhà văn hóa thôn Ea Tul");
    CU_ASSERT_STRING_EQUAL(text_at(root, "link.operator"), "Viettel");
    CU_ASSERT_STRING_EQUAL(text_at(root, "server.address"), "203.0.113.5");
    CU_ASSERT_STRING_EQUAL(text_at(root, "verdict.profile.id"), "vn-2025");
    CU_ASSERT_STRING_EQUAL(text_at(root, "verdict.outcome"), "pass");

    const json_t *check = json_array_get(at(root, "verdict.checks"), 0);

    CU_ASSERT_STRING_EQUAL(text_at(check, "indicator"), "download.rate_whole_bps");
    CU_ASSERT_STRING_EQUAL(text_at(check, "op"), ">=");
    CU_ASSERT_EQUAL(json_integer_value(at(check, "threshold_bps")), 100000000);
    CU_ASSERT_PTR_NULL(at(check, "threshold_ns"));
    CU_ASSERT_EQUAL(json_integer_value(at(check, "value")), 114000000);
}

static void only_compact_integers_and_strings(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);
    bool quoted = false;

    fresh();
    json_decref(build(&text));
    for (const char *c = dk_buf_text(&text); *c != '\0'; c++) {
        if (*c == '"')
            quoted = !quoted;
        else if (!quoted)
            CU_ASSERT_PTR_NULL(strchr(" .eE\n", *c == 'e' && (c[-1] == 's' || c[-1] == 'u') ? '!' : *c));
    }
}

static void the_series_keeps_every_stream(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();
    sample.measurement.download.series.bytes[3 * 200 + 199] = 4711;

    dk_auto(json) json_t *root = build(&text);
    const json_t *rows = at(root, "download.series.bytes");

    CU_ASSERT_EQUAL(json_array_size(rows), 4);
    CU_ASSERT_EQUAL(json_array_size(json_array_get(rows, 3)), 200);
    CU_ASSERT_EQUAL(json_integer_value(json_array_get(json_array_get(rows, 3), 199)), 4711);
    CU_ASSERT_EQUAL(json_array_size(at(root, "download.tcp.streams")), 4);

    const json_t *stream = json_array_get(at(root, "download.tcp.streams"), 2);

    CU_ASSERT_EQUAL(json_integer_value(at(stream, "retransmitted_segments")), 2);
    CU_ASSERT_PTR_NULL(at(stream, "receive_window_limited_ns")); // not known: left out
}

static void a_missing_figure_has_a_reason_and_no_number(void)
{
    static const enum dk_status missing[] = {DK_STATUS_FAILED, DK_STATUS_NOT_MEASURED, DK_STATUS_INVALID};

    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

        fresh();
        sample.measurement.download.status = missing[i];
        sample.measurement.download.bytes = 0;
        snprintf(sample.measurement.download.reason, DK_REASON_SIZE, "the server closed");
        sample.measurement.latency_idle = (struct dk_latency){.status = missing[i]};

        dk_auto(json) json_t *root = build(&text);

        CU_ASSERT_EQUAL(json_object_size(at(root, "download")), 2);
        CU_ASSERT_STRING_EQUAL(text_at(root, "download.status"), dk_status_text(missing[i]));
        CU_ASSERT_STRING_EQUAL(text_at(root, "download.reason"), "the server closed");
        CU_ASSERT_EQUAL(json_object_size(at(root, "latency.idle")), 2);
        CU_ASSERT_STRING_EQUAL(text_at(root, "latency.idle.reason"), "not asked for");
    }
}

static void every_round_trip_is_kept(void)
{
    static const int64_t rtt_ns[] = {7, -1, 0};
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();

    struct dk_latency *idle = &sample.measurement.latency_idle;

    idle->sent = 3;
    idle->received = 2;
    idle->lost = 1;
    idle->series_ns = malloc(sizeof rtt_ns);
    CU_ASSERT_PTR_NOT_NULL_FATAL(idle->series_ns);
    memcpy(idle->series_ns, rtt_ns, sizeof rtt_ns);

    dk_auto(json) json_t *root = build(&text);
    const json_t *series = at(root, "latency.idle.series_ns");

    CU_ASSERT_EQUAL(json_array_size(series), 3);
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(json_integer_value(json_array_get(series, i)), rtt_ns[i]);
}

static void a_load_says_how_much_longer_round_trips_take(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES), other = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();
    sample.measurement.latency_upload = sample.measurement.latency_idle;
    sample.measurement.latency_upload.rtt_median_ns -= 5;

    dk_auto(json) json_t *root = build(&text);

    CU_ASSERT_EQUAL(json_integer_value(at(root, "latency.upload.loaded_minus_idle_ns")), -5);
    CU_ASSERT_PTR_NULL(at(root, "latency.download.loaded_minus_idle_ns")); // was not measured
    CU_ASSERT_PTR_NULL(at(root, "latency.idle.loaded_minus_idle_ns"));
    CU_ASSERT_STRING_EQUAL(text_at(root, "latency.upload.sampling"), "periodic");

    // By another method there is nothing to compare it with.
    sample.measurement.latency_upload.method = DK_METHOD_HTTP;
    sample.measurement.latency_upload.sampling = DK_SAMPLING_POISSON;

    dk_auto(json) json_t *apart = build(&other);

    CU_ASSERT_PTR_NULL(at(apart, "latency.upload.loaded_minus_idle_ns"));
    CU_ASSERT_STRING_EQUAL(text_at(apart, "latency.upload.sampling"), "poisson");
}

static void responsiveness_is_read_back(void)
{
    fresh();

    const struct dk_responsiveness *was = &sample.measurement.responsiveness_download;
    struct dk_responsiveness is = {0};
    dk_auto(json) json_t *object = dk_responsiveness_json(was);
    const char *wrong = "";

    CU_ASSERT_EQUAL_FATAL(dk_responsiveness_read(object, &is, &wrong), DK_OK);
    CU_ASSERT_EQUAL(is.confidence, was->confidence);
    CU_ASSERT_TRUE(is.rpm == was->rpm && is.foreign_rpm == was->foreign_rpm && is.self_rpm == was->self_rpm);
    CU_ASSERT_TRUE(is.tcp_ns == was->tcp_ns && is.tls_ns == was->tls_ns && is.http_ns == was->http_ns);
    CU_ASSERT_TRUE(is.self_ns == was->self_ns && is.end_ns == was->end_ns && is.interval_ns == was->interval_ns);
    CU_ASSERT_TRUE(is.sent == 4 && is.completed == 2 && is.failed == 1 && is.unfinished == 1 && is.bytes == 32000);
    CU_ASSERT_EQUAL(memcmp(is.foreign, was->foreign, 2 * sizeof is.foreign[0]), 0);
    CU_ASSERT_EQUAL_FATAL(is.self.count, was->self.count);
    CU_ASSERT_EQUAL(is.self.interval_ns, was->self.interval_ns);
    CU_ASSERT_EQUAL(memcmp(is.self.rtt_ns, was->self.rtt_ns, was->self.count * sizeof is.self.rtt_ns[0]), 0);
    free(is.foreign);
    free(is.self.rtt_ns);
}

static void what_is_no_responsiveness_is_refused(void)
{
    static const struct {
        const char *json, *wrong;
    } cases[] = {
        {"{\"rpm\": -1}", "rpm"},
        {"{\"rpm\": 9007199254740993}", "rpm"},
        {"{\"rpm\": \"1\"}", "rpm"},
        {"{\"confidence\": \"some\"}", "confidence"},
        {"{\"completed\": 1}", "foreign"},
        {"{\"completed\": 1, \"foreign\": {\"done_ns\": [1], \"tcp_ns\": [1]}}", "http_ns"},
        {"{\"completed\": 1, \"foreign\": {\"done_ns\": [1], \"tcp_ns\": [-2], \"http_ns\": [1]}}", "tcp_ns"},
        {"{\"completed\": 2, \"foreign\": {\"done_ns\": [1], \"tcp_ns\": [1], \"http_ns\": [1]}}", "foreign"},
        {"{\"completed\": 1, \"foreign\": {\"done_ns\": [1], \"tcp_ns\": [1], \"tls_ns\": [], \"http_ns\": [1]}}",
         "tls_ns"},
        {"{\"self\": {\"interval_ns\": 0, \"rtt_ns\": []}}", "self"},
        {"{\"self\": {\"interval_ns\": 1, \"rtt_ns\": 1}}", "self"},
        {"{\"self\": {\"interval_ns\": 1, \"rtt_ns\": [1000000000001]}}", "self"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dk_auto(json) json_t *object = json_loads(cases[i].json, 0, NULL);
        struct dk_responsiveness out = {.rpm = 77};
        const char *wrong = "";

        CU_ASSERT_PTR_NOT_NULL_FATAL(object);
        CU_ASSERT_EQUAL(dk_responsiveness_read(object, &out, &wrong), DK_ERR_DATA);
        CU_ASSERT_STRING_EQUAL(wrong, cases[i].wrong);
        CU_ASSERT_EQUAL(out.rpm, 77);
    }
}

static void what_was_seen_before_a_failure_stays(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();
    sample.measurement.upload.status = DK_STATUS_FAILED;
    snprintf(sample.measurement.upload.reason, DK_REASON_SIZE, "interrupted");
    sample.measurement.latency_idle.status = DK_STATUS_FAILED;
    sample.measurement.latency_idle.received = 0;
    sample.measurement.latency_idle.lost = 50;
    snprintf(sample.measurement.latency_idle.reason, DK_REASON_SIZE, "no answer");

    dk_auto(json) json_t *root = build(&text);

    CU_ASSERT_PTR_NULL(at(root, "upload.rate_bps"));
    CU_ASSERT_PTR_NULL(at(root, "upload.rate_whole_bps"));
    CU_ASSERT_TRUE(json_is_integer(at(root, "upload.bytes")));
    CU_ASSERT_TRUE(json_is_object(at(root, "upload.series")));
    CU_ASSERT_EQUAL(json_integer_value(at(root, "latency.idle.lost")), 50);
    CU_ASSERT_PTR_NULL(at(root, "latency.idle.rtt_median_ns"));
}

static void the_wire_is_there_when_it_was_asked_for(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();

    dk_auto(json) json_t *root = build(&text);

    CU_ASSERT_EQUAL(json_integer_value(at(root, "wire.up.retransmissions")), 31);
    CU_ASSERT_EQUAL(json_integer_value(at(root, "wire.dropped")), 3);
    CU_ASSERT_EQUAL(json_integer_value(at(root, "wire.rtt_timestamp.count")), 0);
    CU_ASSERT_PTR_NULL(at(root, "wire.rtt_timestamp.rtt_median_ns"));

    dk_auto_buf struct dk_buf refused = dk_buf_make(DK_RECORD_MAX_BYTES);

    sample.measurement.wire = (struct dk_wire){.status = DK_STATUS_NOT_MEASURED, .reason = "no right to capture"};

    dk_auto(json) json_t *without = build(&refused);

    CU_ASSERT_EQUAL(json_object_size(at(without, "wire")), 2);
    CU_ASSERT_STRING_EQUAL(text_at(without, "wire.reason"), "no right to capture");

    dk_auto_buf struct dk_buf unasked = dk_buf_make(DK_RECORD_MAX_BYTES);

    sample.measurement.wire = (struct dk_wire){0};

    dk_auto(json) json_t *none = build(&unasked);

    CU_ASSERT_PTR_NULL(at(none, "wire"));
}

static void a_capture_with_gaps_is_flagged(void)
{
    for (int64_t dropped = -1; dropped <= 1; dropped++) {
        fresh();
        sample.measurement.wire.dropped = 0;
        dk_sample_judge(&sample);

        size_t others = sample.validity.count;

        sample.measurement.wire.dropped = dropped;
        dk_sample_judge(&sample);
        CU_ASSERT_EQUAL(sample.validity.count, others + (dropped > 0));
    }

    bool flagged = false;

    for (size_t i = 0; i < sample.validity.count; i++)
        flagged |= sample.validity.flags[i].code == DK_FLAG_CAPTURE_DROPPED;
    CU_ASSERT_TRUE(flagged);
}

static void a_failed_run_says_why(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();
    dk_measurement_free(&sample.measurement);
    sample.facts.kind = DK_KIND_FAILED;
    sample.facts.seq = 1;
    sample.facts.prev[0] = '\0';
    sample.facts.validity = NULL;
    sample.facts.verdict = NULL;
    snprintf(sample.facts.reason, sizeof sample.facts.reason, "interrupted");

    dk_auto(json) json_t *root = build(&text);

    CU_ASSERT_STRING_EQUAL(text_at(root, "kind"), "failed");
    CU_ASSERT_STRING_EQUAL(text_at(root, "reason"), "interrupted");
    CU_ASSERT_STRING_EQUAL(text_at(root, "download.reason"), "interrupted");
    CU_ASSERT_TRUE(json_is_null(at(root, "prev")));
    CU_ASSERT_PTR_NULL(at(root, "server.address"));
    CU_ASSERT_PTR_NULL(at(root, "validity"));
    CU_ASSERT_PTR_NULL(at(root, "verdict"));
}

static void no_record_is_lost_for_a_reason(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

    fresh();
    sample.measurement.upload.status = DK_STATUS_FAILED;
    snprintf(sample.measurement.upload.reason, DK_REASON_SIZE, "máy chủ \x1b[2J\xff đóng \xe1\xba");

    dk_auto(json) json_t *root = build(&text);

    CU_ASSERT_STRING_EQUAL(text_at(root, "upload.reason"), "máy chủ ?[2J? đóng ??");
}

static void the_own_address_is_cut_to_its_network(void)
{
    static const char *const rows[][2] = {{"10.20.30.40", "10.20.30.0/24"},
                                          {"2001:db8:1234:5678::9", "2001:db8:1234::/48"},
                                          {"", "(none)"},
                                          {"fe80::1%eth0", "fe80::/48"},
                                          {"10.20.30", "(none)"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);

        fresh();
        snprintf(sample.context.link.local_address, sizeof sample.context.link.local_address, "%s",
                 rows[i][0]);

        dk_auto(json) json_t *root = build(&text);

        CU_ASSERT_STRING_EQUAL(text_at(root, "link.local_address"), rows[i][1]);
    }
}

static void refuses(enum dk_err err, const char *where)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_record_build(&sample.facts, &text, &fault), err);
    CU_ASSERT_STRING_EQUAL(fault.where, where);
    CU_ASSERT_EQUAL(text.len, 0);
}

static void what_cannot_be_true_is_refused(void)
{
    fresh();
    sample.measurement.latency_idle.received--;
    refuses(DK_ERR_INTERNAL, "latency.idle");
    fresh();
    sample.measurement.latency_idle.late = sample.measurement.latency_idle.lost + 1;
    refuses(DK_ERR_INTERNAL, "latency.idle");
    fresh();
    sample.facts.seq = 1;
    refuses(DK_ERR_INTERNAL, "seq");
    fresh();
    sample.facts.seq = 0;
    refuses(DK_ERR_INTERNAL, "seq");
    fresh();
    sample.facts.prev[0] = '\0';
    refuses(DK_ERR_INTERNAL, "seq");
    fresh();
    sample.facts.site_name = "\xff";
    refuses(DK_ERR_DATA, "site.name");
    fresh();
    sample.facts.note = "a\x1b[31m";
    refuses(DK_ERR_DATA, "site.note");

    dk_auto_buf struct dk_buf small = dk_buf_make(1000);

    fresh();
    CU_ASSERT_EQUAL(dk_record_build(&sample.facts, &small, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(small.len, 0);
}

static void the_head_is_read_back(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);
    struct dk_record_head head;
    struct dk_fault fault = {0};

    fresh();
    json_decref(build(&text));
    CU_ASSERT_EQUAL(dk_record_read_head(text.data, text.len, &head, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(head.schema, DK_RECORD_SCHEMA);
    CU_ASSERT_STRING_EQUAL(head.id, sample.facts.id);
    CU_ASSERT_EQUAL(head.seq, 7);
    CU_ASSERT_STRING_EQUAL(head.prev, sample.facts.prev);
    CU_ASSERT_EQUAL(head.kind, DK_KIND_MEASUREMENT);
    CU_ASSERT_STRING_EQUAL(head.device_id, sample.facts.device_id);
    CU_ASSERT_EQUAL(head.start.ns, sample.facts.start.ns);
}

#define HEAD(schema, id, seq, prev, kind, device, start)                                                     \
    "{\"schema\":" schema ",\"id\":" id ",\"seq\":" seq ",\"prev\":" prev ",\"kind\":" kind                  \
    ",\"device\":{\"id\":" device "},\"time\":{\"start\":" start "}}"
#define SCHEMA "\"dokiem.record/1\""
#define ID     "\"019aa0b1-7c2a-7def-8123-456789abcdef\""
#define HASH   "\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0\""
#define KIND   "\"failed\""
#define START  "\"2026-11-20T04:05:06.789Z\""

static void the_origin_is_read_or_empty(void)
{
    static const struct {
        const char *json;
        enum dk_err err;
        const char *server_url, *confirms;
    } cases[] = {
        {"{\"server\":{\"url\":\"http://a\"},\"inspection\":{\"confirms\":" ID "}}", DK_OK, "http://a",
         "019aa0b1-7c2a-7def-8123-456789abcdef"},
        {"{\"server\":{\"status\":\"failed\"}}", DK_OK, "", ""},
        {"{\"server\":7,\"inspection\":[\"confirms\"]}", DK_OK, "", ""},
        {"{\"server\":{\"url\":7},\"inspection\":{\"confirms\":\"019aa0b1-7c2a-7def-8123-456789abcdef0\"}}", DK_OK,
         "", ""},
        {"{}", DK_OK, "", ""},
        {"[]", DK_ERR_DATA, "kept", "kept"},
        {"", DK_ERR_DATA, "kept", "kept"},
        {"{\"server\":{},\"server\":{}}", DK_ERR_DATA, "kept", "kept"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dk_record_origin origin = {"kept", "kept"};

        CU_ASSERT_EQUAL(dk_record_read_origin(cases[i].json, strlen(cases[i].json), &origin, NULL), cases[i].err);
        CU_ASSERT_STRING_EQUAL(origin.server_url, cases[i].server_url);
        CU_ASSERT_STRING_EQUAL(origin.confirms, cases[i].confirms);
    }
}

static void a_bad_head_is_refused(void)
{
    static const char good[] = HEAD(SCHEMA, ID, "2", HASH, KIND, HASH, START);
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{}",
        HEAD("\"dokiem.record/2\"", ID, "2", HASH, KIND, HASH, START),
        HEAD("1", ID, "2", HASH, KIND, HASH, START),
        HEAD(SCHEMA, "\"019aa0b1-7c2a-4def-8123-456789abcdef\"", "2", HASH, KIND, HASH, START),
        HEAD(SCHEMA, "\"019AA0B1-7c2a-7def-8123-456789abcdef\"", "2", HASH, KIND, HASH, START),
        HEAD(SCHEMA, "\"019aa0b1-7c2a-7def-c123-456789abcdef\"", "2", HASH, KIND, HASH, START),
        HEAD(SCHEMA, "\"019aa0b1-7c2a-7def-8123-456789abcde\"", "2", HASH, KIND, HASH, START),
        HEAD(SCHEMA, ID, "0", "null", KIND, HASH, START),
        HEAD(SCHEMA, ID, "-1", "null", KIND, HASH, START),
        HEAD(SCHEMA, ID, "1", HASH, KIND, HASH, START),
        HEAD(SCHEMA, ID, "2", "null", KIND, HASH, START),
        HEAD(SCHEMA, ID, "2.0", HASH, KIND, HASH, START),
        HEAD(SCHEMA, ID, "\"2\"", HASH, KIND, HASH, START),
        HEAD(SCHEMA, ID, "10000000000", HASH, KIND, HASH, START),
        HEAD(SCHEMA, ID, "2", "\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa1\"", KIND, HASH, START),
        HEAD(SCHEMA, ID, "2", "\"ungWv48Bz\"", KIND, HASH, START),
        HEAD(SCHEMA, ID, "2", HASH, "\"other\"", HASH, START),
        HEAD(SCHEMA, ID, "2", HASH, KIND, "null", START),
        HEAD(SCHEMA, ID, "2", HASH, KIND, HASH, "\"2026-11-20T04:05:06Z\""),
        HEAD(SCHEMA, ID, "2", HASH, KIND, HASH, START) "x",
        HEAD(SCHEMA, ID, "2", HASH, KIND, HASH, START ",\"start\":" START),
        HEAD(SCHEMA, ID, "2,\"seq\":2", HASH, KIND, HASH, START),
        HEAD(SCHEMA, "\"\\u0000\"", "2", HASH, KIND, HASH, START),
    };
    struct dk_record_head head = {.seq = 42};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL(dk_record_read_head(bad[i], strlen(bad[i]), &head, &fault), DK_ERR_DATA);
        CU_ASSERT_NOT_EQUAL(fault.what[0], '\0');
        CU_ASSERT_EQUAL(head.seq, 42);
    }
    CU_ASSERT_EQUAL(dk_record_read_head(good, strlen(good), &head, NULL), DK_OK);
    CU_ASSERT_EQUAL(head.seq, 2);
    for (size_t len = 0; len < strlen(good); len++)
        CU_ASSERT_EQUAL(dk_record_read_head(good, len, &head, NULL), DK_ERR_DATA);
}

static void same_head(const char *text, size_t len)
{
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    // With a space after each comma no series is passed over.
    char *spaced = root == NULL ? NULL : json_dumps(root, 0);
    struct dk_record_head head = {.seq = 42}, other = {.seq = 42};
    enum dk_err err = dk_record_read_head(text, len, &head, NULL);

    CU_ASSERT_EQUAL(err, spaced == NULL ? DK_ERR_DATA : dk_record_read_head(spaced, strlen(spaced), &other, NULL));
    CU_ASSERT_EQUAL(memcmp(&head, &other, sizeof head), 0);
    free(spaced);
    json_decref(root);
}

// The head of a record is read without a tree of its series; nothing else may come of it.
static void series_are_passed_over_not_skipped(void)
{
    static const char *const series[] = {
        "[1,2,3]", "[0,-1,999999999999999999]", "[[1,2],[3],[]]", "[1,2,]", "[01]", "[1 ,2]", "[1,2", "[-]", "[1,,2]",
        "[1.5]", "\"[1,2]\"", "\"\\\"[1,2]", "[1,2]]", "1]", "[1,\"[2]\"]", "[12345678901234567890]",
        "{\"a\":[1,2],\"a\":[1,2]}",
    };
    static const char head[] = HEAD(SCHEMA, ID, "2", HASH, KIND, HASH, START);
    static const char letters[] = "[]{},:\"\\-019 e.";
    char text[1024];

    for (size_t i = 0; i < sizeof series / sizeof series[0]; i++) {
        int len = snprintf(text, sizeof text, "%.*s,\"x\":%s,\"y\":[4,5,6]}", (int)sizeof head - 2, head, series[i]);

        same_head(text, (size_t)len);
        for (int times = 0; times < 300; times++) {
            char *at = &text[dk_random_between((int)strlen(head) - 1, len - 1)], was = *at;

            *at = letters[dk_random_between(0, (int)sizeof letters - 2)];
            same_head(text, (size_t)len);
            *at = was;
        }
    }
}

static void uuids_are_version_7_in_order_and_distinct(void)
{
    char last[DK_UUID_SIZE] = "";

    for (int i = 0; i < 1000; i++) {
        char uuid[DK_UUID_SIZE], head[256];
        struct dk_record_head read;

        CU_ASSERT_EQUAL(dk_uuid7((struct dk_wall){(INT64_C(1795147506789) + i / 2 * 2) * DK_NS_PER_MS}, uuid),
                        DK_OK);
        CU_ASSERT_EQUAL(strlen(uuid), DK_UUID_SIZE - 1);
        // A later millisecond sorts later; within one, only the rest differs.
        CU_ASSERT_TRUE(i % 2 == 1 ? strncmp(last, uuid, 13) == 0 && strcmp(last, uuid) != 0
                                  : strncmp(last, uuid, 13) < 0);
        snprintf(last, sizeof last, "%s", uuid);
        snprintf(head, sizeof head, HEAD(SCHEMA, "\"%s\"", "1", "null", KIND, HASH, START), uuid);
        CU_ASSERT_EQUAL(dk_record_read_head(head, strlen(head), &read, NULL), DK_OK);
    }
    // The time of the example in RFC 9562, appendix A.6.
    CU_ASSERT_EQUAL(dk_uuid7((struct dk_wall){INT64_C(1645557742000) * DK_NS_PER_MS}, last), DK_OK);
    CU_ASSERT_EQUAL(strncmp(last, "017f22e2-79b0-7", 15), 0);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(has_the_names_of_the_design_in_order),
        DK_CASE(only_compact_integers_and_strings),
        DK_CASE(the_series_keeps_every_stream),
        DK_CASE(a_missing_figure_has_a_reason_and_no_number),
        DK_CASE(every_round_trip_is_kept),
        DK_CASE(a_load_says_how_much_longer_round_trips_take),
        DK_CASE(responsiveness_is_read_back),
        DK_CASE(what_is_no_responsiveness_is_refused),
        DK_CASE(what_was_seen_before_a_failure_stays),
        DK_CASE(the_wire_is_there_when_it_was_asked_for),
        DK_CASE(a_capture_with_gaps_is_flagged),
        DK_CASE(a_failed_run_says_why),
        DK_CASE(no_record_is_lost_for_a_reason),
        DK_CASE(the_own_address_is_cut_to_its_network),
        DK_CASE(what_cannot_be_true_is_refused),
        DK_CASE(the_head_is_read_back),
        DK_CASE(the_origin_is_read_or_empty),
        DK_CASE(a_bad_head_is_refused),
        DK_CASE(series_are_passed_over_not_skipped),
        DK_CASE(uuids_are_version_7_in_order_and_distinct),
        {0},
    };
    int status = dk_harness_main(argc, argv, "record", cases);

    dk_measurement_free(&sample.measurement);
    return status;
}
