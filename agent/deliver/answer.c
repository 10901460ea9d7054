// SPDX-License-Identifier: Apache-2.0
#include "agent/deliver/answer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/record/json.h"
#include "agent/record/receipt.h"

DK_DEFINE_FREE(json, json_t, json_decref)

enum dk_meaning dk_status_meaning(int64_t status)
{
    switch (status) {
    case 200:
    case 201:
        return DK_MEANING_STORED;
    case 400:
        return DK_MEANING_MALFORMED;
    case 401:
    case 403:
        return DK_MEANING_FORBIDDEN;
    case 409:
        return DK_MEANING_FORK;
    case 413:
    case 429:
        return DK_MEANING_NOT_NOW;
    default:
        return status >= 500 && status <= 599 ? DK_MEANING_NOT_NOW : DK_MEANING_NONSENSE;
    }
}

enum dk_err dk_answer_read(const char *line, size_t len, struct dk_answer *out)
{
    enum dk_err err = DK_OK;
    dk_auto(json) json_t *json = dk_json_load(line, len, NULL, &err);
    const json_t *status = json_object_get(json, "status"), *reason = json_object_get(json, "reason");
    const json_t *receipt = json_object_get(json, "receipt");
    const char *text = reason != NULL ? json_string_value(reason) : "";
    size_t cut;

    if (err == DK_ERR_MEMORY)
        return err;
    if (!json_is_integer(status) || json_integer_value(status) < 100 || json_integer_value(status) > 599 ||
        text == NULL || !dk_text_is_clean(text, strlen(text)) ||
        (receipt != NULL && !json_is_string(receipt)))
        return DK_ERR_DATA;
    out->status = json_integer_value(status);
    cut = strlen(text);
    if (cut >= sizeof out->reason) {
        cut = sizeof out->reason - 1;
        while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80) // not in the middle of a character
            cut--;
    }
    snprintf(out->reason, sizeof out->reason, "%.*s", (int)cut, text);
    dk_buf_free(&out->receipt);
    return receipt == NULL ? DK_OK
                           : dk_buf_append(&out->receipt, json_string_value(receipt), json_string_length(receipt));
}

enum dk_err dk_receipt_check(const struct dk_key *collector, const char *receipt, size_t len,
                             const char *sha256, const char *device, int64_t seq, struct dk_wall *received,
                             struct dk_fault *fault)
{
    struct dk_receipt said;
    enum dk_err err = dk_receipt_open(collector, receipt, len, &said, fault);

    if (err != DK_OK)
        return err;
    if (strcmp(said.record_sha256, sha256) != 0 || strcmp(said.device, device) != 0 || said.seq != seq)
        return dk_fail(fault, DK_ERR_DATA, "receipt", NULL, "is about another record");
    *received = said.received;
    return DK_OK;
}
