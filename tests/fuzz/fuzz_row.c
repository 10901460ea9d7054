// SPDX-License-Identifier: Apache-2.0
//
// The readers of samples: the payload of a record, a row of JSON, and a line of CSV below the columns that its first
// line names. What is taken is looked at.
#include "agent/assess/sample.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static enum dk_err accept_all(void *argument, const struct dk_sample_head *head, struct dk_fault *why)
{
    (void)argument;
    return head->seq > 0 && head->device_id[0] != '\0' ? DK_OK : dk_fail(why, DK_ERR_DATA, NULL, NULL, "no head");
}

static void look(const struct dk_samples *samples)
{
    for (size_t i = 0; i < dk_samples_count(samples); i++) {
        const struct dk_origin *origin = dk_samples_origin(samples, i);

        if (origin->text[DK_ORIGIN_DEVICE][0] == '\0' ||
            dk_samples_end(samples, i).ns < dk_samples_start(samples, i).ns ||
            dk_samples_value(samples, i, DK_INDICATOR_DOWNLOAD_RATE) > DK_SAMPLE_VALUE_MAX ||
            dk_samples_state(samples, i)->kind == DK_KIND_SKIPPED)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    dk_auto(samples) struct dk_samples *samples = NULL;
    dk_auto(csv_columns) struct dk_csv_columns *columns = NULL;
    enum dk_intake intake = DK_INTAKE_TAKEN;
    struct dk_fault why = {0};

    if (dk_samples_new(DK_INDICATORS_ALL, &samples) != DK_OK)
        return 0;
    if (dk_samples_add_record(samples, text, size, accept_all, NULL, &intake, &why) != DK_OK ||
        dk_samples_add_row(samples, text, size, &intake, &why) != DK_OK)
        return 0;
    if (end != NULL && dk_csv_columns_read(text, (size_t)(end - text), &columns, &why) == DK_OK &&
        dk_samples_add_csv(samples, columns, end + 1, size - (size_t)(end - text) - 1, &intake, &why) != DK_OK)
        return 0;
    look(samples);
    return 0;
}
