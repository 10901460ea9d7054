// SPDX-License-Identifier: Apache-2.0
#include "tests/sample/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS = 4, INTERVALS = 200 };

static struct dk_throughput throughput(int64_t bps)
{
    struct dk_throughput out = {.status = DK_STATUS_OK,
                                .rate_bps = bps,
                                .rate_whole_bps = bps / 100 * 95,
                                .rate_low_bps = bps / 100 * 98,
                                .rate_high_bps = bps / 100 * 102,
                                .bytes = bps / 100 * 95 / 8 * 10,
                                .duration_ns = 10 * DK_NS_PER_S,
                                .ramp_up_ns = 2 * DK_NS_PER_S,
                                .streams = STREAMS,
                                .stop = DK_STOP_TIME,
                                .conditions = {.duration_ns = 10 * DK_NS_PER_S,
                                               .looks = INTERVALS,
                                               .looks_late = 1,
                                               .late_max_ns = 22 * DK_NS_PER_MS,
                                               .agent_cpu_ns = DK_NS_PER_S / 20,
                                               .agent_wait_ns = DK_NS_PER_S / 50,
                                               .cpu_busiest_ppm = 310000,
                                               .cpu_interrupts_ppm = 45000,
                                               .windows_closed = 0,
                                               .interface = "wwan0",
                                               .received_bytes = bps / 8 * 10,
                                               .sent_bytes = bps / 400 * 10,
                                               .own_received_bytes = bps / 8 * 10,
                                               .own_sent_bytes = bps / 400 * 10},
                                .series = {50 * DK_NS_PER_MS, STREAMS, INTERVALS, NULL}};

    out.series.bytes = calloc(STREAMS * INTERVALS, sizeof *out.series.bytes);
    if (out.series.bytes == NULL)
        abort();
    for (size_t i = 0; i < STREAMS * INTERVALS; i++)
        out.series.bytes[i] = out.bytes / (STREAMS * INTERVALS);
    for (size_t i = 0; i < STREAMS; i++) {
        out.tcp[i] = (struct dk_tcp_stream){.rtt_ns = 24 * DK_NS_PER_MS,
                                            .rtt_variation_ns = 2 * DK_NS_PER_MS,
                                            .rtt_min_ns = 18 * DK_NS_PER_MS,
                                            .retransmitted_segments = (int64_t)i,
                                            .mss_bytes = 1448,
                                            .acked_bytes = 400,
                                            .received_bytes = out.bytes / STREAMS,
                                            .sent_bytes = 40000,
                                            .segments_in = out.bytes / STREAMS / 1448,
                                            .segments_out = out.bytes / STREAMS / 2896,
                                            .busy_ns = DK_NS_PER_S,
                                            .receive_window_bytes = 3000000,
                                            .send_buffer_bytes = 87040,
                                            .receive_window_limited_ns = -1,
                                            .send_buffer_limited_ns = -1};
        snprintf(out.tcp[i].congestion_control, sizeof out.tcp[i].congestion_control, "cubic");
    }
    return out;
}

static struct dk_latency latency(int64_t median_ns)
{
    return (struct dk_latency){.status = DK_STATUS_OK,
                               .method = DK_METHOD_STAMP,
                               .timestamps = DK_TIMESTAMPS_KERNEL,
                               .send_late_median_ns = 500 * DK_NS_PER_US,
                               .send_late_max_ns = DK_NS_PER_MS,
                               .sent = 50,
                               .received = 49,
                               .lost = 1,
                               .interval_ns = 100 * DK_NS_PER_MS,
                               .timeout_ns = DK_NS_PER_S,
                               .rtt_min_ns = median_ns / 100 * 90,
                               .rtt_median_ns = median_ns,
                               .rtt_p95_ns = median_ns / 100 * 150,
                               .rtt_p99_ns = median_ns / 100 * 190,
                               .rtt_max_ns = median_ns * 2,
                               .pdv_p95_ns = median_ns / 100 * 60,
                               .ipdv_mean_ns = median_ns / 100 * 10};
}

static struct dk_rules rules(void)
{
    static const struct {
        const char *id, *basis;
        enum dk_technology technology;
        enum dk_rule_family family;
        int64_t threshold;
    } rows[] = {
        {"download-4g", "Quyết định 1132/QĐ-TTg ngày 09/10/2024", DK_TECHNOLOGY_4G, DK_RULE_FAMILY_TARGET,
         40000000},
        {"download-5g", "QCVN 126:2021/BTTTT, 2.1.5.2", DK_TECHNOLOGY_5G, DK_RULE_FAMILY_QCVN, 100000000},
        {"download-fixed", "Quyết định 1132/QĐ-TTg ngày 09/10/2024", DK_TECHNOLOGY_FIXED,
         DK_RULE_FAMILY_TARGET, 200000000},
    };
    struct dk_rules out = {.id = "vn-2025", .version = "1", .count = sizeof rows / sizeof rows[0]};

    snprintf(out.sha256, sizeof out.sha256, "%064d", 0);
    for (size_t i = 0; i < out.count; i++) {
        struct dk_rule *rule = &out.rules[i];

        snprintf(rule->id, sizeof rule->id, "%s", rows[i].id);
        snprintf(rule->basis, sizeof rule->basis, "%s", rows[i].basis);
        rule->family = rows[i].family;
        rule->indicator = DK_INDICATOR_DOWNLOAD_RATE_WHOLE;
        rule->technology = rows[i].technology;
        rule->op = DK_OP_AT_LEAST;
        rule->threshold = rows[i].threshold;
        rule->min_samples = 1500;
    }
    return out;
}

static struct dk_context context(enum dk_technology technology)
{
    struct dk_context out = {
        .link = {.interface = "wwan0",
                 .index = 3,
                 .state = "up",
                 .carrier_changes = 1,
                 .medium = technology == DK_TECHNOLOGY_FIXED ? DK_MEDIUM_ETHERNET : DK_MEDIUM_CELLULAR,
                 .mtu_bytes = 1500,
                 .speed_bps = -1,
                 .local_address = "10.20.30.40",
                 .gateway = "10.20.30.1",
                 .ipv4 = true,
                 .technology = technology,
                 .technology_declared = technology},
        .clock = {DK_CLOCK_SYNCHRONISED, 120000, 15000000},
        .host = {"Debian GNU/Linux 12 (bookworm)", "6.1.0-18-amd64", "x86_64", 4},
        .has_link_after = true};

    out.link_after = out.link;
    return out;
}

static void add_queries(struct dk_dns *dns)
{
    static const struct dk_dns_query queries[] = {
        {.server = "10.20.30.1", .port = 53, .name = "speed.example.vn", .status = DK_STATUS_OK,
         .response_ns = 11 * DK_NS_PER_MS, .authenticated = true, .answers = 2},
        {.server = "203.0.113.53", .port = 5353, .configured = true, .name = "speed.example.vn", .ipv6 = true,
         .transport = DK_TRANSPORT_TCP, .status = DK_STATUS_OK, .response_ns = 43 * DK_NS_PER_MS, .rcode = 3,
         .truncated = true, .unrelated = 1, .mismatched = 2},
        {.server = "2001:db8::53", .port = 53, .configured = true, .name = "speed.example.vn",
         .status = DK_STATUS_FAILED, .failure = DK_DNS_FAILURE_MALFORMED, .malformed = 32},
    };

    dns->queries = malloc(sizeof queries);
    if (dns->queries == NULL)
        abort();
    memcpy(dns->queries, queries, sizeof queries);
    dns->count = sizeof queries / sizeof queries[0];
}

void dk_sample_judge(struct dk_sample *sample)
{
    dk_judge_validity(&sample->measurement, &sample->context, &sample->validity);
    dk_judge(&sample->rules, &sample->measurement, &sample->context, &sample->site, &sample->validity,
             &sample->verdict);
}

// Two connections beside a load, and what its streams say.
static struct dk_responsiveness responsiveness(void)
{
    static const struct dk_foreign foreign[] = {
        {1210 * DK_NS_PER_MS, 60 * DK_NS_PER_MS, 61 * DK_NS_PER_MS, 62 * DK_NS_PER_MS},
        {1410 * DK_NS_PER_MS, 70 * DK_NS_PER_MS, 71 * DK_NS_PER_MS, 72 * DK_NS_PER_MS},
    };
    static const int64_t rtts_ns[] = {-1, 55 * DK_NS_PER_MS, 57 * DK_NS_PER_MS};
    struct dk_responsiveness out = {.status = DK_STATUS_OK,
                                    .confidence = DK_CONFIDENCE_MEDIUM,
                                    .rpm = 990,
                                    .foreign_rpm = 909,
                                    .self_rpm = 1071,
                                    .tcp_ns = 65 * DK_NS_PER_MS,
                                    .tls_ns = 66 * DK_NS_PER_MS,
                                    .http_ns = 67 * DK_NS_PER_MS,
                                    .self_ns = 56 * DK_NS_PER_MS,
                                    .end_ns = 4 * DK_NS_PER_S,
                                    .interval_ns = 200 * DK_NS_PER_MS,
                                    .sent = 4,
                                    .completed = 2,
                                    .failed = 1,
                                    .unfinished = 1,
                                    .bytes = 32000,
                                    .foreign = malloc(sizeof foreign),
                                    .self = {200 * DK_NS_PER_MS, 3, malloc(sizeof rtts_ns)}};

    if (out.foreign == NULL || out.self.rtt_ns == NULL)
        abort();
    memcpy(out.foreign, foreign, sizeof foreign);
    memcpy(out.self.rtt_ns, rtts_ns, sizeof rtts_ns);
    return out;
}

void dk_sample_make(struct dk_sample *out, enum dk_technology technology, int64_t download_bps)
{
    *out = (struct dk_sample){.rules = rules(),
                               .context = context(technology),
                               .site = {DK_ENVIRONMENT_INDOOR, DK_SUBSCRIBER_ORGANISATION,
                                        {[DK_SITE_RATE_SUBSCRIBED_DOWNLOAD] = 150000000,
                                         [DK_SITE_RATE_MINIMUM_DOWNLOAD] = 5000000}}};
    out->measurement = (struct dk_measurement){
        .server = {.status = DK_STATUS_OK,
                   .address = "203.0.113.5",
                   .connect_ns = 19 * DK_NS_PER_MS,
                   .resolve_ns = 4 * DK_NS_PER_MS,
                   .tls_ns = 41 * DK_NS_PER_MS,
                   .first_byte_ns = 20 * DK_NS_PER_MS,
                   .access_ns = 85 * DK_NS_PER_MS,
                   .tls = "TLSv1.3 TLS_AES_256_GCM_SHA384",
                   .kind = DK_SERVER_KIND_DOKIEM},
        .download = throughput(download_bps),
        .upload = throughput(download_bps / 3),
        .latency_idle = latency(20 * DK_NS_PER_MS),
        .latency_gateway = latency(DK_NS_PER_MS),
        .latency_download = {.status = DK_STATUS_NOT_MEASURED, .reason = "not asked for"},
        .latency_upload = {.status = DK_STATUS_NOT_MEASURED, .reason = "not asked for"},
        .responsiveness_download = responsiveness(),
        .responsiveness_upload = {.status = DK_STATUS_NOT_MEASURED, .reason = "not asked for"},
        .wire = {.status = DK_STATUS_OK,
                 .interface = "wwan0",
                 .duration_ns = 22 * DK_NS_PER_S,
                 .frames = 98765,
                 .dropped = 3,
                 .flows = 9,
                 .acks_of_unseen = 2,
                 .up = {40000, 20000000, 17400000, 31, 44888, 0, 12, 0},
                 .down = {58000, 60000000, 57000000, 54, 78192, 6, 0, 1},
                 .syn = {9, 31000000, 33500000, 52000000, 52000000},
                 .rtt_ack = {8000, 30900000, 61000000, 92000000, 140000000},
                 .rtt_timestamp = {0, -1, -1, -1, -1}},
        .path = {.asked = true,
                 .method = DK_PATH_METHOD_ICMP,
                 .mtu = {.status = DK_STATUS_OK, .kernel_bytes = 1500, .answered_bytes = 1420,
                         .passed_not_bytes = 1421, .black_hole = true},
                 .route = {.status = DK_STATUS_OK, .reached = true, .count = 3,
                           .hops = {{"10.20.30.1", false, {DK_NS_PER_MS, 900000, -1}},
                                    {"", false, {-1, -1, -1}},
                                    {"203.0.113.5", true, {20 * DK_NS_PER_MS, 21 * DK_NS_PER_MS, 19 * DK_NS_PER_MS}}}}},
        .dns = {.status = DK_STATUS_OK, .timeout_ns = 2 * DK_NS_PER_S},
        .candidate_count = 2,
        .candidates = {{"daklak", "https://speed.example.vn", DK_STATUS_OK, "", 19 * DK_NS_PER_MS, 3},
                       {"", "http://192.0.2.7", DK_STATUS_FAILED, "connection refused", -1, 0}},
        .data_used_bytes = download_bps / 8 * 14,
    };
    out->measurement.latency_gateway.method = DK_METHOD_ICMP;
    add_queries(&out->measurement.dns);
    dk_sample_judge(out);
    out->facts = (struct dk_record_facts){.id = "019aa0b1-7c2a-7def-8123-456789abcdef",
                                          .seq = 7,
                                          .prev = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
                                          .kind = DK_KIND_MEASUREMENT,
                                          .device_id = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
                                          .version = "0.1.0",
                                          .start = {INT64_C(1795147506789) * DK_NS_PER_MS},
                                          .end = {INT64_C(1795147536789) * DK_NS_PER_MS},
                                          .duration_ns = 30 * DK_NS_PER_S,
                                          .site_code = "DLK-0042",
                                          .site_name = "Nhà văn hóa thôn Ea Tul",
                                          .site_operator = "Viettel",
                                          .note = "",
                                          .site_commune = "Ea Tul",
                                          .site_hamlet = "Buôn Pơr",
                                          .site = &out->site,
                                          .server_name = "daklak",
                                          .server_url = "https://speed.example.vn",
                                          .server_location = "Buôn Ma Thuột",
                                          .server_operator = "VNPT",
                                          .server_net = DK_NET_OFF,
                                          .context = &out->context,
                                          .measurement = &out->measurement,
                                          .validity = &out->validity,
                                          .verdict = &out->verdict};
}
