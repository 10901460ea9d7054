// SPDX-License-Identifier: Apache-2.0
//
// Prints records of every kind, one a line, for tests/golden/schema.py.
#include "tests/sample/sample.h"

#include <stdio.h>
#include <string.h>

static int print(const struct dk_sample *sample)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_RECORD_MAX_BYTES);
    struct dk_fault fault = {0};

    if (dk_record_build(&sample->facts, &text, &fault) != DK_OK) {
        fprintf(stderr, "%s: %s\n", fault.where, fault.what);
        return 1;
    }
    puts(dk_buf_text(&text));
    return 0;
}

static int print_measurements(void)
{
    static const enum dk_technology technologies[] = {DK_TECHNOLOGY_4G, DK_TECHNOLOGY_5G, DK_TECHNOLOGY_FIXED,
                                                      DK_TECHNOLOGY_AUTO};
    int failures = 0;

    for (size_t i = 0; i < sizeof technologies / sizeof technologies[0]; i++) {
        struct dk_sample sample;

        dk_sample_make(&sample, technologies[i], 105000000);
        failures += print(&sample);

        // All that can be missing is missing.
        struct dk_measurement *m = &sample.measurement;

        m->download.status = DK_STATUS_FAILED;
        snprintf(m->download.reason, sizeof m->download.reason, "the server closed");
        m->latency_idle.status = DK_STATUS_FAILED;
        m->latency_idle.lost = m->latency_idle.sent;
        m->latency_idle.received = 0;
        m->latency_download.reason[0] = '\0';
        m->latency_upload = m->latency_idle;
        m->latency_upload.status = DK_STATUS_OK;
        m->latency_upload.received = m->latency_upload.sent = 1;
        m->latency_upload.lost = 0;
        m->latency_upload.ipdv_mean_ns = -1;
        m->responsiveness_download.status = DK_STATUS_FAILED;
        m->responsiveness_download.foreign[0].tls_ns = -1;
        m->wire = (struct dk_wire){.status = DK_STATUS_NOT_MEASURED, .reason = "no right to capture"};
        sample.context.clock = (struct dk_clock){DK_CLOCK_UNSYNCHRONISED, -1, -1, true, -5, DK_NS_PER_MS, 60};
        sample.context.link.medium = DK_MEDIUM_TUNNEL;
        sample.context.link.mtu_bytes = -1;
        sample.context.link.state[0] = sample.context.link_after.interface[0] = '\0';
        m->upload.conditions =
            (struct dk_conditions){DK_NS_PER_S, 0, 0, 0, -1, -1, -1, -1, -1, "", -1, -1, 0, 0};
        snprintf(sample.context.link.local_address, INET6_ADDRSTRLEN, "2001:db8:1234:5678::9");
        sample.context.host = (struct dk_host){0};
        sample.site = (struct dk_site){0};
        for (size_t k = 0; k < sample.rules.count; k++) {
            struct dk_rule *rule = &sample.rules.rules[k];

            rule->unconfirmed = true;
            snprintf(rule->note, sizeof rule->note, "chưa xem được nguyên văn");
            rule->factor_ppm = 800000;
        }
        dk_sample_judge(&sample);
        sample.facts.seq = 1;
        sample.facts.prev[0] = '\0';
        sample.facts.site_code = sample.facts.site_name = sample.facts.site_operator = "";
        sample.facts.server_name = sample.facts.server_location = sample.facts.server_operator = "";
        sample.facts.server_net = DK_NET_UNSTATED;
        sample.facts.confirms = "019aa0b1-7c2a-7def-8123-456789abcdee";
        m->candidate_count = 0;
        sample.facts.note = "Đo lại sau khi sửa \"router\"";
        failures += print(&sample);
        dk_measurement_free(m);
    }
    return failures;
}

static int print_without_measurement(enum dk_kind kind, const char *reason)
{
    struct dk_sample sample;

    dk_sample_make(&sample, DK_TECHNOLOGY_5G, 0);
    dk_measurement_free(&sample.measurement);
    sample.context =
        (struct dk_context){.link = {.mtu_bytes = -1, .speed_bps = -1}, .clock = {DK_CLOCK_UNKNOWN, -1, -1}};
    sample.facts.kind = kind;
    sample.facts.validity = NULL;
    sample.facts.verdict = NULL;
    snprintf(sample.facts.reason, sizeof sample.facts.reason, "%s", reason);
    return print(&sample);
}

int main(void)
{
    int failures = print_measurements();

    failures += print_without_measurement(DK_KIND_FAILED, "speed.example.vn: does not resolve");
    failures += print_without_measurement(DK_KIND_SKIPPED, "the data budget of this month is used up");
    return failures != 0;
}
