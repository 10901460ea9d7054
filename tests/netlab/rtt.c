// SPDX-License-Identifier: Apache-2.0
//
// One latency probe by hand, with each of its round trips: rtt ADDRESS TARGET URL COUNT INTERVAL_US
// ADDRESS is the server's, TARGET what [server] stamp would say. A line each: when it was sent (CLOCK_MONOTONIC, ns),
// the round trip (ns; −1 lost); then a line of what the result says. It includes the probe to see inside.
#include DK_CARRIER_FILE

#include "agent/base/parse.h"

#include <inttypes.h>

int main(int argc, char **argv)
{
    struct dk_server_urls urls = {0};
    struct dk_plan plan = {.interface = "",
                           .connect_timeout_ns = 5 * DK_NS_PER_S,
                           .latency_timeout_ns = DK_NS_PER_S,
                           .urls = &urls};
    struct dk_measurement measured = {0};
    struct dk_loop *loop = NULL;
    struct dk_probe_run *run = NULL;
    int64_t interval_us = 0;

    if (argc != 6 || !dk_parse_i64(argv[4], 1, 100000, &plan.latency_count) ||
        !dk_parse_i64(argv[5], 1, 1000000, &interval_us)) {
        fprintf(stderr, "usage: rtt ADDRESS TARGET URL COUNT INTERVAL_US\n");
        return 64;
    }
    plan.stamp = argv[2];
    plan.url = argv[3];
    plan.latency_interval_ns = interval_us * DK_NS_PER_US;
    snprintf(measured.server.address, sizeof measured.server.address, "%s", argv[1]);
    if (dk_loop_new(&loop, NULL) != DK_OK || DK_PROBE.start(loop, &plan, &measured, &run, NULL) != DK_OK)
        return 1;

    struct dk_mono end = dk_mono_add_ns(dk_mono_now(), DK_PROBE.max_duration_ns(&plan));

    while (!DK_PROBE.done(run) && dk_mono_now().ns < end.ns)
        if (dk_loop_turn(loop, end) != DK_OK)
            return 1;
    for (size_t i = 0; i < run->rounds.sent; i++)
        printf("%" PRId64 " %" PRId64 "\n", run->rounds.rounds[i].sent_at.ns, run->rounds.rtt_ns[i]);
    DK_PROBE.fill(run, &measured);

    const struct dk_latency *r = &measured.latency_idle;

    printf("status=%s method=%s timestamps=%s sent=%" PRId64 " received=%" PRId64 " duplicate=%" PRId64
           " reordered=%" PRId64 " forward=%" PRId64 " back=%" PRId64
           " send_late_median_ns=%" PRId64 " send_late_max_ns=%" PRId64 " reason=%s\n",
           dk_status_text(r->status), dk_method_text(r->method), dk_timestamps_text(r->timestamps), r->sent,
           r->received, r->duplicate, r->reordered, r->directed ? r->lost_forward : -1,
           r->directed ? r->lost_return : -1, r->send_late_median_ns, r->send_late_max_ns, r->reason);
    dk_measurement_free(&measured);
    DK_PROBE.free(run);
    dk_loop_free(loop);
    return 0;
}
