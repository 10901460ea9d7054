// SPDX-License-Identifier: Apache-2.0
//
// A line of a collector's answer, as a device reads it: what is accepted is clean and within its bounds. Its receipt,
// and any bytes as one, are checked with a key that has signed none.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/deliver/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dk_key *key;

static void stop(void)
{
    dk_key_free(key);
}

static void refuse_receipt(const char *receipt, size_t len)
{
    static const char sha256[] = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    struct dk_wall received = {0};
    struct dk_fault fault = {0};
    enum dk_err err = dk_receipt_check(key, receipt, len, sha256, sha256, 1, &received, &fault);

    if (err == DK_OK || (err == DK_ERR_DATA && fault.what[0] == '\0'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *)data;
    struct dk_answer answer = {.receipt = dk_buf_make(1 << 14)};

    if (key == NULL && (dk_key_generate(&key, NULL) != DK_OK || atexit(stop) != 0))
        abort();
    if (dk_answer_read(line, size, &answer) == DK_OK) {
        if (answer.status < 100 || answer.status > 599 || strlen(answer.reason) >= sizeof answer.reason ||
            !dk_text_is_clean(answer.reason, strlen(answer.reason)) || (int)dk_status_meaning(answer.status) < 0)
            abort();
        refuse_receipt(dk_buf_text(&answer.receipt), answer.receipt.len);
    }
    refuse_receipt(line, size);
    dk_buf_free(&answer.receipt);
    return 0;
}
