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
    case DK_PHASE_IDLE:
        break;
    }
    return &measurement->latency_idle;
}

void dk_measurement_free(struct dk_measurement *measurement)
{
    free(measurement->download.series.bytes);
    free(measurement->upload.series.bytes);
    *measurement = (struct dk_measurement){0};
}
