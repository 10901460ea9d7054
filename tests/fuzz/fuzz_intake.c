// SPDX-License-Identifier: Apache-2.0
//
// The collector's intake with a store in memory. The first byte chooses: 'r' the rest is the body of POST
// /v1/records, 'e' that of POST /v1/devices, 'p' each line of the rest is a payload that an approved device
// signs and sends, so that what lies behind the signature is reached too.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/seal.h"
#include "collector/devices.h"
#include "collector/records.h"
#include "collector/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dk_store *store;
static struct dk_key *collector, *device;
static const struct dk_wall now = {INT64_C(1795147506789) * DK_NS_PER_MS};

static void must(enum dk_err err)
{
    if (err != DK_OK)
        abort();
}

static void put_device(void)
{
    struct dk_device row = {.state = DK_DEVICE_APPROVED, .enrolled = now};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(DK_JWK_SIZE - 1);

    must(dk_key_public_jwk(device, &jwk));
    snprintf(row.id, sizeof row.id, "%s", dk_key_id(device));
    snprintf(row.jwk, sizeof row.jwk, "%s", dk_buf_text(&jwk));
    must(dk_store_put_device(store, &row, NULL));
}

// @DEVICE@ in a payload stands for the id of the device, which is another one in every run.
static void sign_lines(const char *text, size_t len, struct dk_buf *out)
{
    static const char mark[] = "@DEVICE@";

    for (const char *at = text, *end = text + len; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        dk_auto_buf struct dk_buf payload = dk_buf_make(1 << 16);

        if (line_end == NULL)
            line_end = end;
        while (at < line_end) {
            const char *found = memmem(at, (size_t)(line_end - at), mark, sizeof mark - 1);
            const char *stop = found != NULL ? found : line_end;

            must(dk_buf_append(&payload, at, (size_t)(stop - at)));
            if (found != NULL)
                must(dk_buf_append(&payload, dk_key_id(device), strlen(dk_key_id(device))));
            at = found != NULL ? found + sizeof mark - 1 : line_end;
        }
        must(dk_seal(device, DK_TYP_RECORD, dk_buf_text(&payload), payload.len, out, NULL));
        must(dk_buf_append(out, "\n", 1));
        at = line_end + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dk_auto_buf struct dk_buf body = dk_buf_make(DK_BODY_MAX_BYTES),
                              answer = dk_buf_make(DK_ANSWER_MAX_BYTES);
    struct dk_intake_counts counts = {0};
    struct dk_fault fault = {0};
    unsigned status;

    if (size == 0 || size > 4096)
        return 0;
    if (collector == NULL) {
        must(dk_key_generate(&collector, NULL));
        must(dk_key_generate(&device, NULL));
    }
    must(dk_store_open("sqlite::memory:", &store, NULL));
    put_device();
    if (data[0] == 'p')
        sign_lines((const char *)data + 1, size - 1, &body);
    else
        must(dk_buf_append(&body, data + 1, size - 1));
    if (data[0] == 'e')
        status = dk_devices_enrol(store, collector, now, dk_buf_text(&body), body.len, &answer, &fault);
    else
        status =
            dk_records_take(store, collector, now, dk_buf_text(&body), body.len, &counts, &answer, &fault);
    // Nothing from outside makes the collector itself fail, and what is not signed by the device is never
    // kept.
    if (status >= 500 || fault.err != DK_OK || (data[0] != 'p' && counts.stored > 0))
        abort();
    dk_store_free(store);
    store = NULL;
    return 0;
}
