// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/message.h"
#include "agent/base/parse.h"
#include "agent/record/seal.h"
#include "agent/verbs/text.h"

// A clean string member; what is none, or does not fit, leaves `out` empty.
static void get_text(const json_t *object, const char *key, char *out, size_t size)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value) && json_string_length(value) < size &&
        dk_text_is_clean(json_string_value(value), json_string_length(value)))
        snprintf(out, size, "%s", json_string_value(value));
}

static int64_t get_rate(const json_t *root, const char *part)
{
    const json_t *rate = json_object_get(json_object_get(root, part), "rate_bps");

    return json_is_integer(rate) ? json_integer_value(rate) : -1;
}

enum dk_err dk_summary_read(struct dk_journal *journal, int64_t seq, struct dk_summary *out,
                            struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_summary summary = {.download_bps = -1, .upload_bps = -1};
    enum dk_err err = dk_journal_read(journal, seq, &jws, fault);

    if (err == DK_OK)
        err = dk_jws_payload(dk_buf_text(&jws), jws.len, &payload, fault);
    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &summary.head, fault);
    if (err != DK_OK)
        return err;
    if (summary.head.seq != seq)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "file %" PRId64 " holds record %" PRId64, seq,
                       summary.head.seq);

    dk_auto(json) json_t *root = json_loadb(dk_buf_text(&payload), payload.len, JSON_REJECT_DUPLICATES, NULL);

    get_text(root, "reason", summary.reason, sizeof summary.reason);
    get_text(json_object_get(root, "verdict"), "outcome", summary.outcome, sizeof summary.outcome);
    summary.download_bps = get_rate(root, "download");
    summary.upload_bps = get_rate(root, "upload");
    *out = summary;
    return DK_OK;
}

// The newest record whose id is `id`; what cannot be read is passed over.
static enum dk_err find_id(struct dk_journal *journal, const char *id, int64_t *seq, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);
    bool found = false;

    for (size_t i = count; err == DK_OK && !found && i > 0; i--) {
        struct dk_summary summary;

        found = dk_summary_read(journal, entries[i - 1].seq, &summary, NULL) == DK_OK &&
                strcmp(summary.head.id, id) == 0;
        *seq = entries[i - 1].seq;
    }
    free(entries);
    if (err == DK_OK && !found)
        return dk_fail(fault, DK_ERR_NO_INPUT, id, "dokiem list shows what is there",
                       "there is no such record (an id, a seq number, or 'last')");
    return err;
}

enum dk_err dk_summary_find(struct dk_journal *journal, const char *which, int64_t *seq, struct dk_fault *fault)
{
    char hash[DK_SHA256_TEXT_SIZE];

    if (dk_parse_i64(which, 1, DK_SEQ_MAX, seq))
        return DK_OK;
    if (strcmp(which, "last") != 0)
        return find_id(journal, which, seq, fault);

    enum dk_err err = dk_journal_head(journal, seq, hash, fault);

    if (err == DK_OK && *seq == 0)
        return dk_fail(fault, DK_ERR_NO_INPUT, NULL, "dokiem run makes one", "there is no record yet");
    return err;
}

void dk_refusal_read(struct dk_journal *journal, int64_t seq, char out[static DK_REFUSAL_TEXT_SIZE])
{
    dk_auto_buf struct dk_buf words = dk_buf_make(DK_REFUSAL_MAX), clean = dk_buf_make((size_t)4 * DK_REFUSAL_MAX);

    out[0] = '\0';
    if (dk_journal_read_refusal(journal, seq, &words, NULL) != DK_OK ||
        dk_text_clean(dk_buf_text(&words), words.len, false, &clean) != DK_OK)
        return;

    size_t len = clean.len < DK_REFUSAL_TEXT_SIZE ? clean.len : DK_REFUSAL_TEXT_SIZE - 1;

    while (len > 0 && !dk_text_is_clean(dk_buf_text(&clean), len)) // not in the middle of a character
        len--;
    memcpy(out, dk_buf_text(&clean), len);
    out[len] = '\0';
}

const char *dk_delivery_text(enum dk_delivery delivery)
{
    static const char *const texts[] = {N_("waiting"), N_("delivered"), N_("refused")};

    return texts[delivery];
}

json_t *dk_summary_json(const struct dk_summary *summary)
{
    char start[DK_RFC3339_SIZE];

    dk_wall_rfc3339(summary->head.start, start);
    return json_pack("{s:I, s:s, s:s, s:s, s:s*, s:s*, s:o*, s:o*}", "seq", (json_int_t)summary->head.seq,
                     "id", summary->head.id, "start", start, "kind", dk_kind_text(summary->head.kind),
                     "outcome", summary->outcome[0] != '\0' ? summary->outcome : NULL, "reason",
                     summary->reason[0] != '\0' ? summary->reason : NULL, "download_bps",
                     summary->download_bps >= 0 ? json_integer(summary->download_bps) : NULL, "upload_bps",
                     summary->upload_bps >= 0 ? json_integer(summary->upload_bps) : NULL);
}

enum dk_err dk_json_print(json_t *json, struct dk_fault *fault)
{
    dk_auto(json) json_t *owned = json;
    char *text = owned != NULL ? json_dumps(owned, JSON_COMPACT) : NULL;

    if (text == NULL)
        return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "the answer cannot be written as JSON");
    puts(text);
    free(text);
    return DK_OK;
}
