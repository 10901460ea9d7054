// SPDX-License-Identifier: Apache-2.0
#include "agent/record/record.h"

#include "agent/base/network.h"
#include "agent/base/parse.h"
#include "agent/record/json.h"
#include "agent/record/responsiveness.h"
#include "agent/record/way.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

DK_DEFINE_FREE(json, json_t, json_decref)

// The first error stands; after it nothing more is put in, so only the end has to look.
struct builder {
    enum dk_err err;
    struct dk_fault *fault;
    const char *part; // of the record, for the fault
};

static void fail(struct builder *b, enum dk_err err, const char *key, const char *what)
{
    char where[64];

    snprintf(where, sizeof where, "%s%s%s", b->part, b->part[0] != '\0' ? "." : "", key);
    if (b->err == DK_OK)
        b->err = dk_fail(b->fault, err, where, NULL, "%s", what);
}

// Takes `value`. Once the builder has failed `object` may be NULL, and the value is just freed.
static json_t *put(struct builder *b, json_t *object, const char *key, json_t *value)
{
    if (b->err != DK_OK) {
        json_decref(value);
        return NULL;
    }
    if (value == NULL || json_object_set_new(object, key, value) != 0) {
        fail(b, DK_ERR_MEMORY, key, "out of memory");
        return NULL;
    }
    return value;
}

static json_t *append(struct builder *b, json_t *array, const char *key, json_t *value)
{
    if (b->err != DK_OK) {
        json_decref(value);
        return NULL;
    }
    if (value == NULL || json_array_append_new(array, value) != 0) {
        fail(b, DK_ERR_MEMORY, key, "out of memory");
        return NULL;
    }
    return value;
}

static json_t *put_object(struct builder *b, json_t *object, const char *key)
{
    b->part = key;
    return put(b, object, key, json_object());
}

static void put_integer(struct builder *b, json_t *object, const char *key, int64_t value)
{
    put(b, object, key, json_integer(value));
}

// A figure that is −1 when it is not known is left out then.
static void put_known(struct builder *b, json_t *object, const char *key, int64_t value)
{
    if (value >= 0)
        put_integer(b, object, key, value);
}

// A duration; 0 is not known.
static void put_duration(struct builder *b, json_t *object, const char *key, int64_t value_ns)
{
    if (value_ns > 0)
        put_integer(b, object, key, value_ns);
}

static void put_text(struct builder *b, json_t *object, const char *key, const char *text)
{
    if (!dk_text_is_clean(text, strlen(text)))
        fail(b, DK_ERR_DATA, key, "is not UTF-8 without control characters");
    put(b, object, key, b->err == DK_OK ? json_string(text) : NULL);
}

static void put_text_if_set(struct builder *b, json_t *object, const char *key, const char *text)
{
    if (text[0] != '\0')
        put_text(b, object, key, text);
}

// A reason may quote a server, and may have been cut within a character. No record is lost for that: bytes
// that are not clean become '?'.
static void put_reason(struct builder *b, json_t *object, const char *key, const char *text)
{
    char clean[DK_REASON_SIZE];

    dk_text_cleaned(text, clean, sizeof clean);
    put_text(b, object, key, clean);
}

static void put_chain(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    if (facts->seq < 1 || facts->seq > DK_RECORD_SEQ_MAX || (facts->seq == 1) != (facts->prev[0] == '\0'))
        fail(b, DK_ERR_INTERNAL, "seq", "does not fit prev: record 1 has none, every other one has");
    put_text(b, root, "schema", DK_RECORD_SCHEMA);
    put_text(b, root, "id", facts->id);
    put_integer(b, root, "seq", facts->seq);
    if (facts->prev[0] == '\0')
        put(b, root, "prev", json_null());
    else
        put_text(b, root, "prev", facts->prev);
    put_text(b, root, "kind", dk_kind_text(facts->kind));
    if (facts->kind == DK_KIND_SKIPPED || facts->kind == DK_KIND_FAILED)
        put_reason(b, root, "reason", facts->reason[0] != '\0' ? facts->reason : "no reason was given");
    if (facts->dropped == NULL)
        return;

    json_t *dropped = put_object(b, root, "dropped");

    put_integer(b, dropped, "first_seq", facts->dropped->first_seq);
    put_integer(b, dropped, "last_seq", facts->dropped->last_seq);
    put_integer(b, dropped, "count", facts->dropped->count);
    put_integer(b, dropped, "bytes", facts->dropped->bytes);
    put_text_if_set(b, dropped, "prev", facts->dropped->prev);
    put_text_if_set(b, dropped, "sha256", facts->dropped->sha256);
}

static void put_device_and_time(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    const struct dk_host *host = &facts->context->host;
    const struct dk_clock *clock = &facts->context->clock;
    char date[DK_RFC3339_SIZE];
    json_t *device = put_object(b, root, "device");

    put_text(b, device, "id", facts->device_id);
    put_text(b, device, "software", "dokiem");
    put_text(b, device, "version", facts->version);
    put_text(b, device, "os", host->os[0] != '\0' ? host->os : "unknown");
    put_text(b, device, "arch", host->arch[0] != '\0' ? host->arch : "unknown");
    put_text_if_set(b, device, "kernel", host->kernel);
    if (host->cpus > 0)
        put_integer(b, device, "cpus", host->cpus);

    json_t *time = put_object(b, root, "time");

    dk_wall_rfc3339(facts->start, date);
    put_text(b, time, "start", date);
    dk_wall_rfc3339(facts->end, date);
    put_text(b, time, "end", date);
    put_integer(b, time, "duration_ns", facts->duration_ns);

    json_t *state = put_object(b, time, "clock");

    put_text(b, state, "state", dk_clock_state_text(clock->state));
    put_known(b, state, "estimated_error_ns", clock->estimated_error_ns);
    put_known(b, state, "maximum_error_ns", clock->maximum_error_ns);
    if (clock->has_collector_offset) {
        put_integer(b, state, "collector_offset_ns", clock->collector_offset_ns);
        put_integer(b, state, "collector_offset_error_ns", clock->collector_offset_error_ns);
        put_integer(b, state, "collector_offset_age_ns", clock->collector_offset_age_ns);
    }
}

static void put_network(struct builder *b, json_t *object, const char *key, const char *address)
{
    char network[DK_NETWORK_SIZE];

    if (dk_network_of(address, network))
        put_text(b, object, key, network);
}

static void put_after(struct builder *b, json_t *object, const struct dk_context *context)
{
    const struct dk_link *before = &context->link, *after = &context->link_after;

    if (!context->has_link_after)
        return;

    json_t *out = put(b, object, "after", json_object());

    put_text_if_set(b, out, "interface", after->interface);
    put_text(b, out, "medium", dk_medium_text(after->medium));
    put_text(b, out, "technology", dk_technology_text(after->technology));
    put_text_if_set(b, out, "state", after->state);
    put_network(b, out, "local_address", after->local_address);
    if (before->carrier_changes >= 0 && before->index == after->index)
        put_known(b, out, "carrier_changes", after->carrier_changes - before->carrier_changes);
}

static void put_site(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
#define X(name, text) text "_bps",
    static const char *const keys[] = {DK_SITE_RATE_LIST(X)};
#undef X
    const struct dk_site *from = facts->site;
    json_t *site = put_object(b, root, "site");

    put_text_if_set(b, site, "code", facts->site_code);
    put_text_if_set(b, site, "name", facts->site_name);
    put_text_if_set(b, site, "commune", facts->site_commune);
    put_text_if_set(b, site, "hamlet", facts->site_hamlet);
    put_text(b, site, "environment", dk_environment_text(from->environment));
    if (from->subscriber != DK_SUBSCRIBER_UNSTATED)
        put_text(b, site, "subscriber", dk_subscriber_text(from->subscriber));
    for (size_t i = 0; i < DK_SITE_RATES; i++)
        if (from->rate_bps[i] > 0)
            put_integer(b, site, keys[i], from->rate_bps[i]);
    put_text_if_set(b, site, "note", facts->note);
}

static void put_link(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    const struct dk_link *link = &facts->context->link;
    json_t *object = put_object(b, root, "link");

    put_text_if_set(b, object, "interface", link->interface);
    put_text(b, object, "medium", dk_medium_text(link->medium));
    put_text(b, object, "technology", dk_technology_text(link->technology));
    put_text(b, object, "technology_declared", dk_technology_text(link->technology_declared));
    put_text_if_set(b, object, "operator", facts->site_operator);
    put_known(b, object, "mtu_bytes", link->mtu_bytes);
    put_known(b, object, "speed_bps", link->speed_bps);
    put_network(b, object, "local_address", link->local_address);
    put_network(b, object, "gateway", link->gateway);
    put(b, object, "ipv4", json_boolean(link->ipv4));
    put(b, object, "ipv6", json_boolean(link->ipv6));
    put_text_if_set(b, object, "state", link->state);
    put_after(b, object, facts->context);
}

// Says why a figure is missing. A figure nobody asked for has no reason of its own; a run that ended early
// has.
static void put_status(struct builder *b, json_t *object, enum dk_status status, const char *reason,
                       const struct dk_record_facts *facts)
{
    put_text(b, object, "status", dk_status_text(status));
    if (status == DK_STATUS_OK)
        return;
    if (reason[0] == '\0')
        reason =
            facts->kind != DK_KIND_MEASUREMENT && facts->reason[0] != '\0' ? facts->reason : "not asked for";
    put_reason(b, object, "reason", reason);
}

static void put_candidates(struct builder *b, json_t *server, const struct dk_measurement *measurement)
{
    json_t *array = measurement->candidate_count > 0 ? put(b, server, "candidates", json_array()) : NULL;

    for (size_t i = 0; i < measurement->candidate_count; i++) {
        const struct dk_candidate *from = &measurement->candidates[i];
        json_t *to = append(b, array, "candidates", json_object());

        put_text_if_set(b, to, "name", from->name);
        put_text(b, to, "url", from->url);
        put_text(b, to, "status", dk_status_text(from->status));
        if (from->status != DK_STATUS_OK)
            put_reason(b, to, "reason", from->reason);
        put_known(b, to, "connect_ns", from->connect_ns);
    }
}

static void put_inspection(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    const struct dk_inspection nothing = {0};
    const struct dk_inspection *from = facts->inspection != NULL ? facts->inspection : &nothing;
    const char *confirms = facts->confirms != NULL ? facts->confirms : "";
    const struct {
        const char *key, *text;
    } members[] = {
        {"case", from->case_number}, {"inspector", from->inspector},       {"place", from->place},
        {"tariff", from->tariff},    {"photo_sha256", from->photo_sha256}, {"campaign", from->campaign},
        {"confirms", confirms},
    };
    json_t *object = NULL;

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (members[i].text[0] == '\0')
            continue;
        if (object == NULL)
            object = put_object(b, root, "inspection");
        put_text(b, object, members[i].key, members[i].text);
    }
}

static void put_server(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    const struct dk_server *server = &facts->measurement->server;
    json_t *object = put_object(b, root, "server");

    put_text_if_set(b, object, "name", facts->server_name);
    put_text_if_set(b, object, "url", facts->server_url);
    put_text_if_set(b, object, "location", facts->server_location);
    put_text_if_set(b, object, "operator", facts->server_operator);
    if (facts->server_net != DK_NET_UNSTATED)
        put_text(b, object, "net", dk_net_text(facts->server_net));
    if (server->kind != DK_SERVER_KIND_AUTO)
        put_text(b, object, "kind", dk_server_kind_text(server->kind));
    put_status(b, object, server->status, server->reason, facts);
    if (server->address[0] != '\0') {
        put_text(b, object, "address", server->address);
        put_known(b, object, "connect_ns", server->connect_ns);
    put_duration(b, object, "resolve_ns", server->resolve_ns);
    put_duration(b, object, "tls_ns", server->tls_ns);
    put_duration(b, object, "first_byte_ns", server->first_byte_ns);
    put_duration(b, object, "access_ns", server->access_ns);
        put_text_if_set(b, object, "tls", server->tls);
    }
    if (facts->word != NULL)
        put_text_if_set(b, object, "word", facts->word);
    put_candidates(b, object, facts->measurement);
}

static void put_series(struct builder *b, json_t *object, const struct dk_series *series)
{
    if (series->count == 0 || series->bytes == NULL)
        return;

    json_t *out = put(b, object, "series", json_object());

    put_integer(b, out, "interval_ns", series->interval_ns);

    json_t *bytes = put(b, out, "bytes", json_array());

    for (size_t s = 0; s < series->streams; s++) {
        json_t *row = append(b, bytes, "series", json_array());

        for (size_t i = 0; i < series->count; i++)
            append(b, row, "series", json_integer(series->bytes[s * series->count + i]));
    }

    int64_t last_ns = 0;

    for (size_t s = 0; s < series->streams && s < DK_STREAMS_MAX; s++)
        if (series->joined_ns[s] > last_ns)
            last_ns = series->joined_ns[s];
    if (last_ns > 0) {
        json_t *joined = put(b, out, "joined_ns", json_array());

        for (size_t s = 0; s < series->streams && s < DK_STREAMS_MAX; s++)
            append(b, joined, "joined_ns", json_integer(series->joined_ns[s]));
    }
}

static void put_tcp(struct builder *b, json_t *object, const struct dk_throughput *throughput)
{
    json_t *tcp = put(b, object, "tcp", json_object());
    json_t *streams = put(b, tcp, "streams", json_array());

    for (int64_t i = 0; i < throughput->streams && i < DK_STREAMS_MAX; i++) {
        const struct dk_tcp_stream *from = &throughput->tcp[i];
        json_t *to = append(b, streams, "tcp", json_object());

        put_known(b, to, "rtt_ns", from->rtt_ns);
        put_known(b, to, "rtt_variation_ns", from->rtt_variation_ns);
        put_known(b, to, "rtt_min_ns", from->rtt_min_ns);
        put_known(b, to, "retransmitted_segments", from->retransmitted_segments);
        put_known(b, to, "mss_bytes", from->mss_bytes);
        put_known(b, to, "acked_bytes", from->acked_bytes);
        put_known(b, to, "received_bytes", from->received_bytes);
        put_known(b, to, "sent_bytes", from->sent_bytes);
        put_known(b, to, "segments_in", from->segments_in);
        put_known(b, to, "segments_out", from->segments_out);
        put_known(b, to, "busy_ns", from->busy_ns);
        put_known(b, to, "receive_window_bytes", from->receive_window_bytes);
        put_known(b, to, "send_buffer_bytes", from->send_buffer_bytes);
        put_known(b, to, "receive_window_limited_ns", from->receive_window_limited_ns);
        put_known(b, to, "send_buffer_limited_ns", from->send_buffer_limited_ns);
        put_text_if_set(b, to, "congestion_control", from->congestion_control);
    }
}

static void put_conditions(struct builder *b, json_t *object, const struct dk_conditions *from)
{
    if (from->duration_ns == 0)
        return;

    json_t *out = put(b, object, "conditions", json_object());

    put_integer(b, out, "duration_ns", from->duration_ns);
    put_integer(b, out, "looks", from->looks);
    put_integer(b, out, "looks_late", from->looks_late);
    put_integer(b, out, "late_max_ns", from->late_max_ns);
    put_known(b, out, "agent_cpu_ns", from->agent_cpu_ns);
    put_known(b, out, "agent_wait_ns", from->agent_wait_ns);
    put_known(b, out, "cpu_busiest_ppm", from->cpu_busiest_ppm);
    put_known(b, out, "cpu_interrupts_ppm", from->cpu_interrupts_ppm);
    put_known(b, out, "windows_closed", from->windows_closed);
    if (from->received_bytes < 0 || from->sent_bytes < 0)
        return;
    put_text_if_set(b, out, "interface", from->interface);
    put_integer(b, out, "received_bytes", from->received_bytes);
    put_integer(b, out, "sent_bytes", from->sent_bytes);
    put_integer(b, out, "own_received_bytes", from->own_received_bytes);
    put_integer(b, out, "own_sent_bytes", from->own_sent_bytes);
}

static void put_throughput(struct builder *b, json_t *root, const char *key, const struct dk_throughput *from,
                           const struct dk_record_facts *facts)
{
    json_t *object = put_object(b, root, key);

    put_status(b, object, from->status, from->reason, facts);
    if (from->status == DK_STATUS_OK) {
        put_integer(b, object, "rate_bps", from->rate_bps);
        put_integer(b, object, "rate_whole_bps", from->rate_whole_bps);
        put_integer(b, object, "rate_low_bps", from->rate_low_bps);
        put_integer(b, object, "rate_high_bps", from->rate_high_bps);
        put_integer(b, object, "ramp_up_ns", from->ramp_up_ns);
        put_text(b, object, "stop", dk_stop_text(from->stop));
        put_text(b, object, "path", dk_path_text(from->path));
    }
    // A test that broke off keeps what was seen: it shows how far it came, without being a rate.
    if (from->status == DK_STATUS_OK || (from->bytes > 0 && from->duration_ns > 0)) {
        put_integer(b, object, "bytes", from->bytes);
        put_integer(b, object, "duration_ns", from->duration_ns);
        put_integer(b, object, "streams", from->streams);
        put_series(b, object, &from->series);
        put_conditions(b, object, &from->conditions);
        put_tcp(b, object, from);
    }
}

static void put_latency(struct builder *b, json_t *latency, const char *key, const struct dk_latency *from,
                        const struct dk_record_facts *facts)
{
    json_t *object = put(b, latency, key, json_object());
    int64_t added_ns = 0;

    put_status(b, object, from->status, from->reason, facts);
    if (from->sent != from->received + from->lost || from->late > from->lost ||
        (from->directed && from->lost_forward + from->lost_return > from->lost) ||
        (from->status == DK_STATUS_OK && from->received < 1))
        fail(b, DK_ERR_INTERNAL, key, "the counts do not close: sent is not received + lost");
    // Without any answer there is no round-trip time, but the loss is a finding.
    if (from->status != DK_STATUS_OK && from->sent == 0)
        return;
    put_text(b, object, "method", dk_method_text(from->method));
    put_text(b, object, "timestamps", dk_timestamps_text(from->timestamps));
    put_text(b, object, "sampling", dk_sampling_text(from->sampling));
    put_integer(b, object, "interval_ns", from->interval_ns);
    put_integer(b, object, "timeout_ns", from->timeout_ns);
    put_integer(b, object, "send_late_median_ns", from->send_late_median_ns);
    put_integer(b, object, "send_late_max_ns", from->send_late_max_ns);
    put_integer(b, object, "sent", from->sent);
    put_integer(b, object, "received", from->received);
    put_integer(b, object, "lost", from->lost);
    put_integer(b, object, "late", from->late);
    put_integer(b, object, "duplicate", from->duplicate);
    put_integer(b, object, "reordered", from->reordered);
    put_integer(b, object, "foreign", from->foreign);
    if (from->directed) {
        put_integer(b, object, "lost_forward", from->lost_forward);
        put_integer(b, object, "lost_return", from->lost_return);
    }
    put_text_if_set(b, object, "reflector_clock", from->reflector_clock);
    put_text_if_set(b, object, "reflector_timestamps", from->reflector_timestamps);
    if (from->series_ns != NULL) {
        json_t *series = put(b, object, "series_ns", json_array());

        for (int64_t i = 0; i < from->sent; i++)
            append(b, series, "series_ns", json_integer(from->series_ns[i]));
    }
    if (from->status != DK_STATUS_OK)
        return;
    put_integer(b, object, "rtt_min_ns", from->rtt_min_ns);
    put_integer(b, object, "rtt_median_ns", from->rtt_median_ns);
    put_integer(b, object, "rtt_p95_ns", from->rtt_p95_ns);
    put_integer(b, object, "rtt_p99_ns", from->rtt_p99_ns);
    put_integer(b, object, "rtt_max_ns", from->rtt_max_ns);
    put_integer(b, object, "pdv_p95_ns", from->pdv_p95_ns);
    put_known(b, object, "ipdv_mean_ns", from->ipdv_mean_ns); // none without two answers in a row
    if (from != &facts->measurement->latency_idle &&
        dk_measurement_loaded_minus_idle_ns(facts->measurement, from, &added_ns))
        put_integer(b, object, "loaded_minus_idle_ns", added_ns);
}

static void put_responsiveness(struct builder *b, json_t *responsiveness, const char *key,
                               const struct dk_responsiveness *from, const struct dk_record_facts *facts)
{
    if (from->sent != from->completed + from->failed + from->unfinished)
        fail(b, DK_ERR_INTERNAL, key, "the counts do not close: sent is not completed + failed + unfinished");
    put_status(b, put(b, responsiveness, key, dk_responsiveness_json(from)), from->status, from->reason, facts);
}

static void put_wire_direction(struct builder *b, json_t *wire, const char *key, const struct dk_wire_direction *from)
{
    json_t *object = put(b, wire, key, json_object());

    put_integer(b, object, "packets", from->packets);
    put_integer(b, object, "ip_bytes", from->ip_bytes);
    put_integer(b, object, "payload_bytes", from->payload_bytes);
    put_integer(b, object, "retransmissions", from->retransmissions);
    put_integer(b, object, "retransmitted_bytes", from->retransmitted_bytes);
    put_integer(b, object, "out_of_order", from->out_of_order);
    put_integer(b, object, "duplicate_acks", from->duplicate_acks);
    put_integer(b, object, "ce_packets", from->ce_packets);
}

static void put_wire_rtt(struct builder *b, json_t *wire, const char *key, const struct dk_wire_rtt *from)
{
    json_t *object = put(b, wire, key, json_object());

    put_integer(b, object, "count", from->count);
    put_known(b, object, "rtt_min_ns", from->min_ns);
    put_known(b, object, "rtt_median_ns", from->median_ns);
    put_known(b, object, "rtt_p95_ns", from->p95_ns);
    put_known(b, object, "rtt_max_ns", from->max_ns);
}

static void put_wire(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    const struct dk_wire *wire = &facts->measurement->wire;

    if (wire->status == DK_STATUS_NOT_MEASURED && wire->reason[0] == '\0')
        return;

    json_t *object = put_object(b, root, "wire");

    put_status(b, object, wire->status, wire->reason, facts);
    if (wire->status != DK_STATUS_OK)
        return;
    put_text(b, object, "interface", wire->interface);
    put_integer(b, object, "duration_ns", wire->duration_ns);
    put_integer(b, object, "frames", wire->frames);
    put_integer(b, object, "frame_bytes", wire->frame_bytes);
    put_integer(b, object, "other_packets", wire->other_packets);
    put_integer(b, object, "other_bytes", wire->other_bytes);
    put_integer(b, object, "other_share_ppm", dk_wire_other_ppm(wire));
    put_integer(b, object, "truncated", wire->truncated);
    put_integer(b, object, "malformed", wire->malformed);
    put_known(b, object, "dropped", wire->dropped);
    put_integer(b, object, "flows", wire->flows);
    put_integer(b, object, "acks_of_unseen", wire->acks_of_unseen);
    put_wire_direction(b, object, "up", &wire->up);
    put_wire_direction(b, object, "down", &wire->down);
    put_wire_rtt(b, object, "syn", &wire->syn);
    put_wire_rtt(b, object, "rtt_ack", &wire->rtt_ack);
    put_wire_rtt(b, object, "rtt_timestamp", &wire->rtt_timestamp);
    if (wire->evidence.file[0] == '\0')
        return;

    json_t *evidence = put_object(b, object, "evidence");

    put_text(b, evidence, "file", wire->evidence.file);
    put_text(b, evidence, "sha256", wire->evidence.sha256);
    put_integer(b, evidence, "bytes", (int64_t)wire->evidence.pcap.len);
    put_integer(b, evidence, "packets", wire->evidence.packets);
    put(b, evidence, "complete", json_boolean(wire->evidence.complete));
}

static void put_figures(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    const struct dk_measurement *measurement = facts->measurement;

    b->part = "";
    put_integer(b, root, "data_used_bytes", measurement->data_used_bytes);
    put_throughput(b, root, "download", &measurement->download, facts);
    put_throughput(b, root, "upload", &measurement->upload, facts);

    json_t *latency = put_object(b, root, "latency");

    put_latency(b, latency, "idle", &measurement->latency_idle, facts);
    put_latency(b, latency, "download", &measurement->latency_download, facts);
    put_latency(b, latency, "upload", &measurement->latency_upload, facts);
    put_latency(b, latency, "gateway", &measurement->latency_gateway, facts);

    json_t *responsiveness = put_object(b, root, "responsiveness");

    put_responsiveness(b, responsiveness, "download", &measurement->responsiveness_download, facts);
    put_responsiveness(b, responsiveness, "upload", &measurement->responsiveness_upload, facts);
    put_wire(b, root, facts);
    if (measurement->dns.status != DK_STATUS_NOT_MEASURED || measurement->dns.reason[0] != '\0')
        put(b, root, "dns", dk_way_dns(&measurement->dns, facts->context->link.local_address));
    if (measurement->path.asked)
        put(b, root, "path", dk_way_path(&measurement->path, facts->context->link.local_address));
}

static void put_validity(struct builder *b, json_t *root, const struct dk_validity *validity)
{
    json_t *object = put_object(b, root, "validity");

    put_text(b, object, "state", dk_validity_text(validity->state));

    json_t *flags = put(b, object, "flags", json_array());

    for (size_t i = 0; i < validity->count; i++) {
        json_t *flag = append(b, flags, "flags", json_object());

        put_text(b, flag, "code", dk_flag_text(validity->flags[i].code));
        put_text(b, flag, "figure", dk_flag_figure_text(validity->flags[i].figure));
        put_reason(b, flag, "detail", validity->flags[i].detail);
    }
}

static void put_check(struct builder *b, json_t *object, const struct dk_check *check)
{
    const struct dk_rule *rule = &check->rule;

    put_text(b, object, "rule", rule->id);
    put_text(b, object, "family", dk_rule_family_text(rule->family));
    put_text(b, object, "basis", rule->basis);
    if (rule->unconfirmed)
        put_text(b, object, "unconfirmed", rule->note);
    put_text(b, object, "indicator", dk_indicator_text(rule->indicator));
    put_text(b, object, "op", dk_op_text(rule->op));
    if (check->has_threshold)
        put_integer(b, object, dk_check_in_ns(check) ? "threshold_ns" : "threshold_bps", rule->threshold);
    if (check->has_value) {
        put_integer(b, object, "value", check->value);
        put_integer(b, object, "low", check->low);
        put_integer(b, object, "high", check->high);
    }
    put_text(b, object, "outcome", dk_outcome_text(check->outcome));
    put_reason(b, object, "reason", check->reason);
}

static void put_verdict(struct builder *b, json_t *root, const struct dk_verdict *verdict)
{
    json_t *object = put_object(b, root, "verdict");
    json_t *profile = put(b, object, "profile", json_object());

    put_text(b, profile, "id", verdict->profile_id);
    put_text(b, profile, "version", verdict->profile_version);
    put_text(b, profile, "sha256", verdict->profile_sha256);
    put_text(b, object, "technology", dk_technology_text(verdict->technology));
    put_text(b, object, "outcome", dk_outcome_text(verdict->outcome));
    if (verdict->reason[0] != '\0')
        put_reason(b, object, "reason", verdict->reason);

    json_t *checks = put(b, object, "checks", json_array());

    for (size_t i = 0; i < verdict->count; i++) {
        json_t *check = append(b, checks, "checks", json_object());

        put_check(b, check, &verdict->checks[i]);
    }
}

static void put_rotation(struct builder *b, json_t *root, const struct dk_record_facts *facts)
{
    json_t *rotation = put_object(b, root, "rotation");

    put(b, rotation, "key", json_loads(facts->new_jwk, JSON_REJECT_DUPLICATES, NULL));
    put_text(b, rotation, "proof", facts->new_proof);
}

enum dk_err dk_record_build(const struct dk_record_facts *facts, struct dk_buf *out, struct dk_fault *fault)
{
    struct builder b = {.fault = fault, .part = ""};
    dk_auto(json) json_t *root = json_object();

    if (root == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "record", NULL, "out of memory");
    put_chain(&b, root, facts);
    put_device_and_time(&b, root, facts);
    if (facts->kind == DK_KIND_ROTATION) {
        put_rotation(&b, root, facts);
    } else {
        put_site(&b, root, facts);
        put_inspection(&b, root, facts);
        put_link(&b, root, facts);
        put_server(&b, root, facts);
        put_figures(&b, root, facts);
    }
    if (facts->validity != NULL)
        put_validity(&b, root, facts->validity);
    if (facts->verdict != NULL)
        put_verdict(&b, root, facts->verdict);
    if (b.err != DK_OK)
        return b.err;

    dk_auto_buf struct dk_buf text = dk_buf_make(out->max);
    enum dk_err err = dk_json_dump(root, &text);

    if (err == DK_OK)
        err = dk_buf_append(out, text.data, text.len);
    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, "record", NULL, "out of memory");
    if (err != DK_OK)
        return dk_fail(fault, err, "record", "shorten the test or use fewer streams",
                       "is longer than the %zu bytes allowed", out->max);
    return DK_OK;
}
