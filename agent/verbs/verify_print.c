// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/report/text.h"
#include "agent/verbs/summary.h"

struct telling {
    const struct dk_verifier *verifier;
    json_t *chains, *problems, *doubts; // NULL when text is wanted; owned
    size_t devices, broken;
    int64_t first, last; // of the device told last
    enum dk_err err;     // MEMORY, once it happened
};

static const char *const proof_words[] = {
    [DK_PROOF_GOOD] = "",
    [DK_PROOF_SIGNATURE] = N_("the signature is not valid"),
    [DK_PROOF_KEY] = N_("the key may not sign this record"),
    [DK_PROOF_REVOKED] = N_("the key was revoked"),
    [DK_PROOF_SCHEMA] = N_("it has not the form of a record"),
    [DK_PROOF_RECEIPT] = N_("the receipt is not valid"),
};

// What is wrong most often, so that it can be said in the reader's language; anything else stays as it is.
static const char *const common_reasons[] = {
    N_("the signature does not fit: the text was changed after it was signed, or was never signed with this key"),
    N_("the signature was altered: its s is above n/2, which dokiem never writes"),
    N_("the signature is not 64 bytes in base64url"),
    N_("the header is not a JSON object with each member once"),
    N_("the header has other members than alg, kid and typ"),
    N_("the header is not written as dokiem writes it (order, spaces or escapes)"),
    N_("alg is \"none\": it is not signed; only ES256 is accepted"),
    N_("is empty: there is no JWS"),
};

static const char *reason_words(const char *reason)
{
    for (size_t i = 0; i < sizeof common_reasons / sizeof common_reasons[0]; i++)
        if (strcmp(reason, common_reasons[i]) == 0)
            return _(common_reasons[i]);
    return reason;
}

static bool is_good_record(const struct dk_item *item)
{
    return !item->is_receipt && item->proof == DK_PROOF_GOOD;
}

static void print_place(const struct dk_item *item)
{
    printf("%s", item->file);
    if (item->line > 0)
        printf(":%" PRId64, item->line);
}

// `stamped` is NULL when time stamps are not asked for.
static void print_time_stamp(const struct dk_item *item, const struct dk_stamped *stamped)
{
    char date[DK_RFC3339_SIZE];

    if (stamped == NULL)
        return;
    if (stamped->by == NULL) {
        printf("%s", _(", no time stamp"));
        return;
    }
    dk_wall_rfc3339(stamped->by->time, date);
    if (stamped->seq == item->head.seq)
        printf(_(", time-stamped %s by %s"), date, stamped->by->authority);
    else
        printf(_(", existed before %s: time stamp of record %lld by %s"), date, (long long)stamped->seq,
               stamped->by->authority);
}

// `stamped` is NULL when time stamps are not asked for.
static bool is_date_unproven(const struct dk_item *item, const struct dk_stamped *stamped)
{
    return item->date_unproven && (stamped == NULL || !stamped->before_revocation);
}

static void print_item(const struct dk_item *item, const struct dk_stamped *stamped)
{
    char date[DK_RFC3339_SIZE];

    if (item->proof != DK_PROOF_GOOD) {
        printf("%-4s ", _("BAD"));
        print_place(item);
        printf(": %s: %s\n", _(proof_words[item->proof]), reason_words(item->reason));
        return;
    }
    if (item->is_receipt)
        return;
    dk_wall_rfc3339(item->head.start, date);
    printf("%-4s ", _("OK"));
    print_place(item);
    printf(" seq %" PRId64 " %s %s %s", item->head.seq, date, dk_kind_text(item->head.kind), item->head.id);
    if (item->receipt == DK_RECEIPT_GOOD) {
        dk_wall_rfc3339(item->received, date);
        printf(_(", received %s"), date);
    }
    if (item->witness == DK_WITNESS_AGREES)
        printf("%s", _(", the server's word agrees"));
    print_time_stamp(item, stamped);
    printf("\n");
    if (item->witness_reason != NULL) {
        printf("%-4s ", _("BAD"));
        print_place(item);
        printf(": %s: %s\n", item->witness == DK_WITNESS_DIFFERS ? _("the server's word differs")
                                                                : _("the server's word is not valid"),
               item->witness_reason);
    }
    if (item->received_early)
        printf(_("NOTE record %lld was received before its own date: the clock of the device was ahead\n"),
               (long long)item->head.seq);
    if (stamped != NULL && stamped->early)
        printf(_("NOTE record %lld has a time stamp from before its own end: the clock of the device was ahead\n"),
               (long long)item->head.seq);
    if (is_date_unproven(item, stamped))
        printf(_("NOTE record %lld is dated before its key was revoked, but no receipt proves that\n"),
               (long long)item->head.seq);
}

static void tell_problem(void *argument, const char *device_id, const struct dk_chain_problem *problem)
{
    struct telling *t = argument;
    dk_auto_buf struct dk_buf words = dk_buf_make(1024);
    bool doubt = problem->kind >= DK_CHAIN_CLOCK;

    if (dk_chain_tell(problem, _(dk_chain_words(problem->kind)), &words) != DK_OK) {
        t->err = DK_ERR_MEMORY;
        return;
    }
    if (t->chains == NULL) {
        printf("%-4s ", doubt ? _("NOTE") : _("BAD"));
        printf(_("chain of %s: %s\n"), device_id, dk_buf_text(&words));
    } else if (json_array_append_new(doubt ? t->doubts : t->problems, json_string(dk_buf_text(&words))) != 0) {
        t->err = DK_ERR_MEMORY;
    }
}

// Figures of one device's good records.
struct device_sum {
    size_t records, received;
    struct dk_wall first, last;
    const char *key; // of the last record
};

static struct device_sum sum_up(const struct dk_verifier *v, const char *device_id)
{
    struct device_sum sum = {0};

    for (size_t i = 0; i < v->count; i++) {
        const struct dk_item *item = &v->items[i];

        if (!is_good_record(item) || strcmp(item->head.device_id, device_id) != 0)
            continue;
        if (sum.records == 0 || item->head.start.ns < sum.first.ns)
            sum.first = item->head.start;
        if (sum.records == 0 || item->head.start.ns > sum.last.ns)
            sum.last = item->head.start;
        sum.records++;
        sum.received += item->receipt == DK_RECEIPT_GOOD;
        sum.key = item->key_id;
    }
    return sum;
}

static void print_span(const struct dk_verifier *v, const struct dk_chain_span *span)
{
    const struct device_sum sum = sum_up(v, span->device_id);
    char first[DK_RFC3339_SIZE], last[DK_RFC3339_SIZE];

    dk_wall_rfc3339(sum.first, first);
    dk_wall_rfc3339(sum.last, last);
    printf(_("device     %s\n"), span->device_id);
    printf(_("  signed   by the key %s\n"), sum.key);
    printf(_("  dated    %s to %s, by the clock of the device\n"), first, last);
    printf(_("  intact   %zu: nothing was changed after it was signed\n"), sum.records);
    for (size_t i = 0; i < v->count; i++) {
        const struct dk_item *item = &v->items[i];

        if (is_good_record(item) && item->new_key[0] != '\0' && strcmp(item->head.device_id, span->device_id) == 0)
            printf(_("  new key  from record %lld on: %s\n"), (long long)item->head.seq + 1, item->new_key);
    }
    if (sum.received > 0)
        printf(_("  receipts %zu of %zu: their dates are proved by the collector\n"), sum.received, sum.records);
}

static void tell_span(void *argument, const struct dk_chain_span *span)
{
    struct telling *t = argument;

    t->devices++;
    t->first = span->first;
    t->last = span->last;
    t->broken += span->problems > 0;
    if (t->chains == NULL) {
        print_span(t->verifier, span);
        return;
    }

    json_t *rotations = json_array();

    for (size_t i = 0; i < t->verifier->count; i++) {
        const struct dk_item *item = &t->verifier->items[i];

        if (is_good_record(item) && item->new_key[0] != '\0' &&
            strcmp(item->head.device_id, span->device_id) == 0 &&
            json_array_append_new(rotations, json_pack("{s:I, s:s, s:s}", "seq", (json_int_t)item->head.seq, "from",
                                                       item->key_id, "to", item->new_key)) != 0)
            t->err = DK_ERR_MEMORY;
    }
    if (json_array_append_new(
            t->chains, json_pack("{s:s, s:I, s:I, s:s, s:O, s:O, s:o}", "device", span->device_id, "first",
                                 (json_int_t)span->first, "last", (json_int_t)span->last, "state",
                                 span->problems > 0 ? "broken" : "whole", "problems", t->problems, "doubts", t->doubts,
                                 "rotations", rotations)) != 0)
        t->err = DK_ERR_MEMORY;
    json_decref(t->problems);
    json_decref(t->doubts);
    t->problems = json_array();
    t->doubts = json_array();
}

static void print_bad_time_stamps(const struct dk_time_stamps *t)
{
    for (size_t i = 0; i < t->bad_count; i++) {
        printf("%-4s %s: ", _("BAD"), t->bad[i].file);
        printf(_("the time stamp is not valid: %s\n"), t->bad[i].reason);
    }
}

static void print_time_stamps(const struct dk_time_stamps *t)
{
    if (t->unchecked > 0)
        printf(_("NOTE %zu time stamps were not checked: no certificate of an authority was given (--tsa-ca FILE)\n"),
               t->unchecked);
    if (t->alone > 0)
        printf(_("NOTE %zu time stamps are about records that were not given\n"), t->alone);
    if (t->count > 0)
        printf(_("%zu time stamps are good: the certificates were valid at the times stamped; whether one was revoked "
                 "is not known here\n"),
               t->count);
}

static void print_summary(const struct dk_verifier *v, const struct telling *t)
{
    if (v->receipts_unchecked > 0)
        printf(_("NOTE %zu receipts were not checked: no collector's key was given (--collector-key FILE)\n"),
               v->receipts_unchecked);
    if (v->words_unchecked > 0)
        printf(_("NOTE %zu words of servers were not checked: no key of theirs was given (--server-key FILE)\n"),
               v->words_unchecked);
    if (v->receipts_alone > 0)
        printf(_("NOTE %zu receipts are about records that were not given\n"), v->receipts_alone);
    if (v->held_beyond > 0)
        printf(_("NOTE a receipt says that the collector had a record %lld, beyond those given\n"),
               (long long)v->held_beyond);
    if (v->records == 1)
        printf("%s", _("1 record verified"));
    else
        printf(_("%zu records verified"), v->records);
    if (v->bad > 0)
        printf(_(", %zu bad"), v->bad);
    if (t->broken > 0)
        printf(t->devices > 1 ? _(", the chain is broken for some devices\n") : _(", the chain is broken\n"));
    else if (t->devices > 1)
        printf(_(", the chains of %zu devices are whole\n"), t->devices);
    else if (t->devices == 1)
        printf(_(", chain whole from %lld to %lld\n"), (long long)t->first, (long long)t->last);
    else
        printf("\n");
}

static bool is_good(const struct dk_verifier *v, const struct telling *t, const struct dk_verify_result *result)
{
    return v->bad == 0 && t->broken == 0 && v->words_disputed == 0 && result->evidence_bad == 0 &&
           result->time_stamps->bad_count == 0;
}

enum dk_err dk_verify_print_text(const struct dk_verifier *v, struct dk_verify_result *out, struct dk_fault *fault)
{
    struct telling t = {.verifier = v};
    const struct dk_chain_listener listener = {tell_problem, tell_span, &t};

    for (size_t i = 0; i < v->count; i++)
        print_item(&v->items[i], out->time_stamps->tsa != NULL ? &out->time_stamps->stamped[i] : NULL);
    print_bad_time_stamps(out->time_stamps);

    enum dk_err err = dk_verifier_chains(v, &listener, fault);

    if (err == DK_OK && t.err != DK_OK)
        err = dk_fail(fault, t.err, NULL, NULL, "out of memory");
    if (err == DK_OK)
        print_time_stamps(out->time_stamps);
    if (err == DK_OK && v->count > 0)
        print_summary(v, &t);
    out->good = is_good(v, &t, out);
    return err;
}

static json_t *bad_item(const struct dk_item *item)
{
    json_t *json = json_pack("{s:s, s:I, s:s, s:s, s:s}", "file", item->file, "line",
                             (json_int_t)(item->line > 0 ? item->line : 1), "status", "bad", "check",
                             dk_proof_text(item->proof), "reason", item->reason);

    return json;
}

static json_t *time_stamp_of(const struct dk_item *item, const struct dk_stamped *stamped)
{
    char date[DK_RFC3339_SIZE];

    if (stamped->by == NULL)
        return json_pack("{s:s}", "status", "none");
    dk_wall_rfc3339(stamped->by->time, date);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "status", stamped->seq == item->head.seq ? "own" : "chain",
                     "time", date, "accuracy_ns", (json_int_t)stamped->by->accuracy_ns, "authority",
                     stamped->by->authority, "policy", stamped->by->policy, "seq", (json_int_t)stamped->seq);
}

// `stamped` is NULL when time stamps are not asked for.
static json_t *good_item(const struct dk_item *item, const struct dk_stamped *stamped)
{
    static const char *const receipts[] = {"none", "unchecked", "ok"};
    char start[DK_RFC3339_SIZE], received[DK_RFC3339_SIZE];

    dk_wall_rfc3339(item->head.start, start);

    json_t *json = json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "file", item->file, "line",
                             (json_int_t)(item->line > 0 ? item->line : 1), "seq", (json_int_t)item->head.seq, "id",
                             item->head.id, "status", "ok", "kind", dk_kind_text(item->head.kind), "device",
                             item->head.device_id, "key", item->key_id, "sha256", item->sha256, "start", start,
                             "receipt", receipts[item->receipt]);

    if (item->receipt == DK_RECEIPT_GOOD) {
        dk_wall_rfc3339(item->received, received);
        json_object_set_new(json, "received", json_string(received));
    }
    json_object_set_new(json, "word", json_string(dk_witness_text(item->witness)));
    if (item->witness_reason != NULL)
        json_object_set_new(json, "word_reason", json_string(item->witness_reason));
    if (stamped != NULL)
        json_object_set_new(json, "time_stamp", time_stamp_of(item, stamped));
    if (item->received_early || is_date_unproven(item, stamped))
        json_object_set_new(json, "doubt",
                            json_string(item->received_early ? "received_before_its_date" : "date_unproven"));
    else if (stamped != NULL && stamped->early)
        json_object_set_new(json, "doubt", json_string("stamped_before_its_end"));
    return json;
}

// NULL when there is none and none is asked for.
static json_t *all_time_stamps(const struct dk_time_stamps *t)
{
    json_t *problems = json_array();

    if (t->tsa == NULL && t->unchecked == 0) {
        json_decref(problems);
        return NULL;
    }
    for (size_t i = 0; i < t->bad_count; i++)
        json_array_append_new(problems,
                              json_pack("{s:s, s:s}", "file", t->bad[i].file, "reason", t->bad[i].reason));
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "ok", (json_int_t)t->count, "bad", (json_int_t)t->bad_count,
                     "unchecked", (json_int_t)t->unchecked, "without_record", (json_int_t)t->alone, "problems",
                     problems);
}

static enum dk_err print_object(const struct dk_verifier *v, struct telling *t, json_t *records,
                                const struct dk_verify_result *result, struct dk_fault *fault)
{
    json_t *evidence = NULL;

    if (result->evidence_checked)
        evidence = json_pack("{s:I, s:I, s:I}", "ok", (json_int_t)result->evidence_good, "bad",
                             (json_int_t)result->evidence_bad, "missing", (json_int_t)result->evidence_missing);
    return dk_json_print(
        json_pack("{s:O, s:O, s:{s:I, s:I, s:I}, s:o*, s:o*, s:s}", "records", records, "chain", t->chains, "receipts",
                  "ok", (json_int_t)v->receipts_good, "unchecked", (json_int_t)v->receipts_unchecked, "without_record",
                  (json_int_t)v->receipts_alone, "time_stamps", all_time_stamps(result->time_stamps), "evidence",
                  evidence, "status", result->good ? "ok" : "bad"),
        fault);
}

enum dk_err dk_verify_print_json(const struct dk_verifier *v, struct dk_verify_result *out, struct dk_fault *fault)
{
    dk_auto(json) json_t *records = json_array();
    struct telling t = {.verifier = v, .chains = json_array(), .problems = json_array(), .doubts = json_array()};
    const struct dk_chain_listener listener = {tell_problem, tell_span, &t};

    for (size_t i = 0; i < v->count; i++) {
        const struct dk_item *item = &v->items[i];
        const struct dk_stamped *stamped = out->time_stamps->tsa != NULL ? &out->time_stamps->stamped[i] : NULL;

        if (item->proof != DK_PROOF_GOOD || !item->is_receipt)
            if (json_array_append_new(records, item->proof == DK_PROOF_GOOD ? good_item(item, stamped)
                                                                            : bad_item(item)) != 0)
                t.err = DK_ERR_MEMORY;
    }

    enum dk_err err = dk_verifier_chains(v, &listener, fault);

    if (err == DK_OK && t.err != DK_OK)
        err = dk_fail(fault, t.err, NULL, NULL, "out of memory");
    out->good = is_good(v, &t, out);
    if (err == DK_OK)
        err = print_object(v, &t, records, out, fault);
    json_decref(t.chains);
    json_decref(t.problems);
    json_decref(t.doubts);
    return err;
}
