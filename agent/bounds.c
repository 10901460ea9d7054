// SPDX-License-Identifier: Apache-2.0
#include "agent/bounds.h"

#include "agent/record/seal.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The payload of record `seq`. Errors: NO_INPUT, DATA, IO, MEMORY.
static enum dk_err read_payload(struct dk_journal *journal, int64_t seq, struct dk_buf *jws, struct dk_buf *payload,
                                struct dk_fault *fault)
{
    enum dk_err err = dk_journal_read(journal, seq, jws, fault);

    return err == DK_OK ? dk_jws_payload(dk_buf_text(jws), jws->len, payload, fault) : err;
}

enum dk_err dk_bounds_worth(struct dk_journal *journal, int64_t seq, struct dk_journal_worth *out,
                            struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_record_dropped dropped;
    struct dk_record_head head;
    struct dk_fault own = {0};
    enum dk_err err = read_payload(journal, seq, &jws, &payload, &own);
    const char *text = dk_buf_text(&payload);

    // Few records are of worth: only those are read as JSON.
    if (err == DK_OK && strstr(text, "\"rotation\"") != NULL) {
        err = dk_record_read_head(text, payload.len, &head, &own);
        out->needed = err == DK_OK && head.kind == DK_KIND_ROTATION;
    }
    if (err == DK_OK && strstr(text, "\"dropped\":{") != NULL) {
        err = dk_record_read_dropped(text, payload.len, &dropped);
        out->explains = err == DK_OK ? dropped.last_seq : 0;
    }
    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, own.where, NULL, "out of memory");
    out->needed = out->needed || (err != DK_OK && err != DK_ERR_DATA && err != DK_ERR_NO_INPUT);
    return DK_OK;
}

enum dk_err dk_bounds_settle(struct dk_journal *journal, int64_t head_seq, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_record_dropped dropped;

    // What cannot be read is no statement; that it is damaged others will say.
    if (head_seq == 0 || read_payload(journal, head_seq, &jws, &payload, NULL) != DK_OK ||
        dk_record_read_dropped(dk_buf_text(&payload), payload.len, &dropped) != DK_OK)
        return DK_OK;

    struct dk_fault busy = {0};
    enum dk_err err = dk_journal_lock_delivery(journal, &busy);

    if (err == DK_OK)
        return dk_journal_drop(journal, dropped.first_seq, dropped.last_seq, dk_bounds_worth, fault);
    return err == DK_ERR_NOT_NOW ? DK_OK : dk_fail(fault, err, busy.where, busy.todo, "%s", busy.what);
}

// Adds one record that is to go. A statement about earlier ones is taken over: it goes, too. A damaged record is only
// counted.
static enum dk_err add(struct dk_journal *journal, int64_t seq, bool first, struct dk_record_dropped *out,
                       struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_record_dropped earlier;
    struct dk_record_head head;
    struct dk_fault own = {0};
    enum dk_err err = dk_journal_read(journal, seq, &jws, &own);

    out->sha256[0] = '\0';
    if (err == DK_OK)
        err = dk_sha256_text(jws.data, jws.len, out->sha256);
    if (err == DK_OK)
        err = dk_jws_payload(dk_buf_text(&jws), jws.len, &payload, &own);
    if (err == DK_OK && first)
        err = dk_record_read_head(dk_buf_text(&payload), payload.len, &head, &own);
    if (err == DK_OK && first)
        memcpy(out->prev, head.prev, sizeof out->prev);
    // Few records are statements: only those are read as JSON.
    if (err == DK_OK && strstr(dk_buf_text(&payload), "\"dropped\":{") != NULL &&
        dk_record_read_dropped(dk_buf_text(&payload), payload.len, &earlier) == DK_OK) {
        out->count += earlier.count;
        out->bytes += earlier.bytes;
        if (earlier.first_seq < out->first_seq) {
            out->first_seq = earlier.first_seq;
            memcpy(out->prev, earlier.prev, sizeof out->prev);
        }
    }
    if (err == DK_OK || err == DK_ERR_DATA || err == DK_ERR_NO_INPUT)
        return DK_OK;
    return dk_fail(fault, err, own.where, own.todo, "%s", own.what[0] != '\0' ? own.what : dk_err_text(err));
}

static enum dk_err describe(struct dk_journal *journal, const struct dk_journal_excess *excess,
                            struct dk_record_dropped *out, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    *out = (struct dk_record_dropped){.first_seq = excess->first_seq,
                                      .last_seq = excess->last_seq,
                                      .count = excess->count,
                                      .bytes = excess->bytes};
    for (size_t i = 0; err == DK_OK && i < count; i++) {
        struct dk_journal_worth worth = {0};

        if (entries[i].seq < excess->first_seq || entries[i].seq > excess->last_seq ||
            entries[i].delivery == DK_DELIVERY_DELIVERED)
            continue;
        err = dk_bounds_worth(journal, entries[i].seq, &worth, fault);
        if (err == DK_OK && !worth.needed)
            err = add(journal, entries[i].seq, entries[i].seq == excess->first_seq, out, fault);
    }
    free(entries);
    return err;
}

// The statement: a link of the chain like every other one.
static enum dk_err state(struct dk_journal *journal, const struct dk_key *key, const struct dk_record_facts *like,
                         const char *head_sha256, bool too_old, const struct dk_record_dropped *dropped,
                         struct dk_fault *fault)
{
    const struct dk_measurement nothing = {.server = {.connect_ns = -1}};
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_RECORD_MAX_BYTES);
    struct dk_record_facts facts = *like;

    facts.seq = like->seq + 1;
    snprintf(facts.prev, sizeof facts.prev, "%s", head_sha256);
    facts.kind = DK_KIND_SKIPPED;
    facts.start = facts.end = dk_wall_now();
    facts.duration_ns = 0;
    facts.measurement = &nothing;
    facts.validity = NULL;
    facts.verdict = NULL;
    facts.dropped = dropped;
    snprintf(facts.reason, sizeof facts.reason,
             "no run: %" PRId64 " undelivered records, %" PRId64 " to %" PRId64
             ", were dropped: the journal was over its %s",
             dropped->count, dropped->first_seq, dropped->last_seq, too_old ? "max_age" : "max_bytes");

    enum dk_err err = dk_uuid7(facts.start, facts.id);

    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "no randomness for the record's id");
    err = dk_record_build(&facts, &payload, fault);
    if (err == DK_OK)
        err = dk_seal(key, DK_TYP_RECORD, payload.data, payload.len, &jws, fault);
    return err == DK_OK ? dk_journal_append(journal, facts.seq, jws.data, jws.len, fault) : err;
}

enum dk_err dk_bounds_apply(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                            const struct dk_key *key, const struct dk_record_facts *like,
                            const char head_sha256[static DK_SHA256_TEXT_SIZE], struct dk_fault *fault)
{
    bool synchronised = like->context->clock.state == DK_CLOCK_SYNCHRONISED;
    struct dk_journal_excess excess = {0};
    struct dk_record_dropped dropped;
    struct dk_fault busy = {0};
    enum dk_err err = dk_journal_prune(journal, max_bytes, max_age_ns, dk_bounds_worth, fault);

    if (err == DK_OK)
        err = dk_journal_excess(journal, max_bytes, synchronised ? max_age_ns : 0, dk_bounds_worth, &excess, fault);
    if (err != DK_OK || excess.count == 0)
        return err;
    // A delivery may just be sending them. The next run finds them still there, or delivered.
    err = dk_journal_lock_delivery(journal, &busy);
    if (err != DK_OK)
        return err == DK_ERR_NOT_NOW ? DK_OK : dk_fail(fault, err, busy.where, busy.todo, "%s", busy.what);
    err = describe(journal, &excess, &dropped, fault);
    if (err == DK_OK)
        err = state(journal, key, like, head_sha256, excess.too_old, &dropped, fault);
    return err == DK_OK ? dk_journal_drop(journal, excess.first_seq, excess.last_seq, dk_bounds_worth, fault) : err;
}
