// SPDX-License-Identifier: Apache-2.0
#include "probes/measurement.h"

#include <stdlib.h>

struct dk_latency *dk_measurement_latency(struct dk_measurement *measurement, enum dk_phase phase)
{
    switch (phase) {
    case DK_PHASE_DOWNLOAD:
        return &measurement->latency_download;
    case DK_PHASE_UPLOAD:
        return &measurement->latency_upload;
    case DK_PHASE_GATEWAY:
        return &measurement->latency_gateway;
    case DK_PHASE_IDLE:
        break;
    }
    return &measurement->latency_idle;
}

bool dk_measurement_loaded_minus_idle_ns(const struct dk_measurement *measurement, const struct dk_latency *loaded,
                                         int64_t *out)
{
    const struct dk_latency *idle = &measurement->latency_idle;

    if (idle->status != DK_STATUS_OK || loaded->status != DK_STATUS_OK || idle->method != loaded->method)
        return false;
    *out = loaded->rtt_median_ns - idle->rtt_median_ns;
    return true;
}

struct dk_responsiveness *dk_measurement_responsiveness(struct dk_measurement *measurement, enum dk_phase phase)
{
    return phase == DK_PHASE_UPLOAD ? &measurement->responsiveness_upload : &measurement->responsiveness_download;
}

struct dk_range dk_throughput_range(const struct dk_throughput *throughput)
{
    const struct dk_steadiness *steadiness = &throughput->steadiness;
    int64_t levels[] = {steadiness->level_first_bps, steadiness->level_last_bps, throughput->rate_whole_bps};
    struct dk_range range = {throughput->rate_low_bps, throughput->rate_high_bps};

    for (size_t i = 0; steadiness->unsteady && i < sizeof levels / sizeof levels[0]; i++) {
        if (levels[i] < range.low_bps)
            range.low_bps = levels[i];
        if (levels[i] > range.high_bps)
            range.high_bps = levels[i];
    }
    return range;
}

void dk_measurement_take_latency(struct dk_measurement *measurement, enum dk_phase phase,
                                 const struct dk_latency *latency)
{
    struct dk_latency *place = dk_measurement_latency(measurement, phase);

    free(place->series_ns);
    *place = *latency;
}

int64_t dk_wire_other_ppm(const struct dk_wire *wire)
{
    int64_t all = wire->frame_bytes + wire->other_bytes;

    return all > 0 ? wire->other_bytes * 1000 / (all / 1000 + 1) : 0;
}

void dk_measurement_free(struct dk_measurement *measurement)
{
    free(measurement->download.series.bytes);
    free(measurement->upload.series.bytes);
    free(measurement->latency_idle.series_ns);
    free(measurement->latency_download.series_ns);
    free(measurement->latency_upload.series_ns);
    free(measurement->latency_gateway.series_ns);
    free(measurement->dns.queries);
    free(measurement->responsiveness_download.foreign);
    free(measurement->responsiveness_download.self.rtt_ns);
    free(measurement->responsiveness_upload.foreign);
    free(measurement->responsiveness_upload.self.rtt_ns);
    dk_buf_free(&measurement->wire.evidence.pcap);
    *measurement = (struct dk_measurement){0};
}
