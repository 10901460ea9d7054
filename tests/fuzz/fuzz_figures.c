// SPDX-License-Identifier: Apache-2.0
//
// A record's figures from any bytes. What is accepted can be computed again and judged.
#include "agent/judge/judge.h"
#include "agent/record/read.h"
#include "probes/responsiveness/rpm.h"
#include "probes/stats.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dk_record_figures figures = {0};
    struct dk_rules rules = {.count = 1};
    struct dk_verdict verdict;

    if (dk_record_read_figures((const char *)data, size, &figures, NULL) != DK_OK)
        return 0;

    struct dk_throughput *download = &figures.measurement.download;

    if (download->status == DK_STATUS_OK && (download->series.count == 0 || download->series.bytes == NULL))
        abort();
    if (download->series.count > 0)
        (void)dk_stats_rates(&download->series, dk_stats_ramp_up_intervals(&download->series), download);

    struct dk_responsiveness *responsiveness = &figures.measurement.responsiveness_download;

    if (responsiveness->completed > 0 && responsiveness->foreign == NULL)
        abort();
    if (dk_rpm_compute(&download->series, responsiveness) == DK_OK && responsiveness->status == DK_STATUS_OK &&
        (responsiveness->rpm < 0 || responsiveness->self_ns < 1))
        abort();

    const struct dk_context context = {.link.technology = figures.technology};

    rules.rules[0] = (struct dk_rule){.technology = figures.technology, .threshold = 40000000};
    dk_judge(&rules, &figures.measurement, &context, &figures.site, &figures.validity, &verdict);
    dk_measurement_free(&figures.measurement);
    return 0;
}
