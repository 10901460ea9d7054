// SPDX-License-Identifier: Apache-2.0
#include "probes/measurement.h"

#include <stdlib.h>

void dk_measurement_free(struct dk_measurement *measurement)
{
    free(measurement->download.series.bytes);
    free(measurement->upload.series.bytes);
    *measurement = (struct dk_measurement){0};
}
