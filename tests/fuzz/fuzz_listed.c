// SPDX-License-Identifier: Apache-2.0
//
// What a report's table reads of a record, from any bytes: refused with a fault, or a head and figures in their ranges,
// as the reader of heads has them.
#include <stdlib.h>
#include <string.h>

#include "agent/report/listed.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *json = (const char *)data;
    struct dk_texts texts = dk_texts_make();
    dk_auto_buf struct dk_buf scratch = dk_buf_make(1 << 16);
    struct dk_listed listed = {.reason = ""};
    struct dk_record_head head;
    struct dk_fault fault = {0};
    enum dk_err err = dk_listed_read(json, size, &texts, &scratch, &listed, &fault);

    if (err == DK_ERR_DATA && fault.what[0] == '\0')
        abort();
    if (err == DK_OK) {
        const char *const said[] = {listed.site,    listed.site_name, listed.link_operator, listed.technology,
                                    listed.outcome, listed.validity};

        for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
            if (said[i] == NULL || strlen(said[i]) > size)
                abort();
        if (listed.head.seq < 1 || listed.download_bps < -1 || listed.upload_bps < -1 || listed.latency_ns < -1)
            abort();
        // Both readers must see the same record.
        if (dk_record_read_head(json, size, &head, NULL) == DK_OK &&
            (head.seq != listed.head.seq || strcmp(head.id, listed.head.id) != 0 || head.kind != listed.head.kind ||
             strcmp(head.device_id, listed.head.device_id) != 0))
            abort();
    }
    dk_texts_free(&texts);
    return 0;
}
