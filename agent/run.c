// SPDX-License-Identifier: Apache-2.0
#include "agent/run.h"

#include "agent/bounds.h"
#include "agent/budget.h"
#include "agent/journal/captures.h"
#include "agent/journal/journal.h"
#include "agent/journal/profiles.h"
#include "agent/judge/judge.h"
#include "agent/context/offset.h"
#include "agent/record/seal.h"
#include "agent/record/word.h"
#include "agent/signer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

// A run that lacks a figure it was asked for has failed, and says which one came first.
static void decide_kind(int64_t only, bool interrupted, struct dk_run_result *result)
{
    const struct dk_measurement *m = &result->measurement;
    // Other figures stand without an upload that the server does not take.
    bool upload_asked = (only & DK_ONLY_UPLOAD) != 0 && (m->upload.status != DK_STATUS_NOT_MEASURED ||
                                                         only == DK_ONLY_UPLOAD);
    const struct {
        const char *name;
        bool asked;
        enum dk_status status;
        const char *reason;
    } figures[] = {
        {"server", true, m->server.status, m->server.reason},
        {"latency", (only & DK_ONLY_LATENCY) != 0, m->latency_idle.status, m->latency_idle.reason},
        {"download", (only & DK_ONLY_DOWNLOAD) != 0, m->download.status, m->download.reason},
        {"upload", upload_asked, m->upload.status, m->upload.reason},
    };

    result->kind = DK_KIND_MEASUREMENT;
    for (size_t i = 0; i < sizeof figures / sizeof figures[0] && result->kind == DK_KIND_MEASUREMENT; i++)
        if (figures[i].asked && figures[i].status != DK_STATUS_OK) {
            result->kind = DK_KIND_FAILED;
            if (interrupted)
                snprintf(result->reason, sizeof result->reason, "interrupted");
            else
                snprintf(result->reason, sizeof result->reason, "%s: %.180s", figures[i].name, figures[i].reason);
        }
}

// Takes what the server's word says of itself to the judge. Nonsense from a server does not get into a record.
static void hear_word(const char *run, struct dk_measurement *measurement)
{
    struct dk_word word;

    if (dk_word_read_unverified(measurement->word, strlen(measurement->word), run, &word, NULL) != DK_OK) {
        measurement->word[0] = '\0';
        return;
    }
    dk_word_hint(&word, false, &measurement->hint_download);
    dk_word_hint(&word, true, &measurement->hint_upload);
}

// The evidence goes first: the record has its hash. A disk without room for it has room for the record.
static void keep_evidence(const struct dk_settings *settings, const char *id, struct dk_run_result *result)
{
    struct dk_wire_evidence *evidence = &result->measurement.wire.evidence;
    enum dk_err err = DK_OK;

    if (evidence->pcap.len == 0)
        return;
    snprintf(evidence->file, sizeof evidence->file, "%s.pcap", id);
    err = dk_sha256_hex(evidence->pcap.data, evidence->pcap.len, evidence->sha256);
    if (err == DK_OK)
        err = dk_capture_keep(settings->state_dir, evidence->file, evidence->pcap.data, evidence->pcap.len,
                              settings->evidence_folder_max_bytes, &result->evidence_fault);
    if (err != DK_OK) {
        result->evidence_fault.err = err;
        evidence->file[0] = '\0';
    }
}

// Seals the payload. When the token does not sign any more, or the process that has the key is gone, what was measured
// is put by for the next run to seal.
static enum dk_err seal(const struct dk_settings *settings, const struct dk_key *key, const struct dk_buf *payload,
                        struct dk_buf *jws, struct dk_fault *fault)
{
    struct dk_fault own = {0}, keeping = {0};
    enum dk_err err = dk_seal(key, DK_TYP_RECORD, payload->data, payload->len, jws, &own);

    if (err == DK_OK)
        return err;
    if (err != DK_ERR_IO)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    if (dk_device_put_by(settings->state_dir, payload, &keeping) != DK_OK)
        return dk_fail(fault, err, own.where, NULL, "%s; what was measured is lost: %s: %s", own.what, keeping.where,
                       keeping.what);
    return dk_fail(fault, err, own.where,
                   settings->device_key[0] != '\0'
                       ? N_("plug the token in: the next run seals what was measured, and goes on")
                       : N_("run again: the next run seals what was measured, and goes on"),
                   "%s", own.what);
}

static enum dk_err keep(const struct dk_settings *settings, const struct dk_repeated *repeated,
                        struct dk_journal *journal, const struct dk_device_signer *signer, int64_t head_seq,
                        const char *head_sha256, struct dk_run_result *result, struct dk_fault *fault)
{
    struct dk_record_facts facts = {
        .seq = head_seq + 1,
        .kind = result->kind,
        .version = DK_VERSION,
        .start = result->start,
        .end = result->end,
        .duration_ns = result->duration_ns,
        .site_code = settings->site_code,
        .site_name = settings->site_name,
        .site_operator = settings->site_operator,
        .note = settings->note,
        .site_commune = settings->site_commune,
        .site_hamlet = settings->site_hamlet,
        .site = &settings->site,
        .server_name = result->server->name,
        .server_url = result->server->url,
        .server_location = result->server->location,
        .server_operator = result->server->network_operator,
        .server_net = result->server->net,
        .inspection = &settings->inspection,
        .confirms = repeated != NULL ? repeated->id : NULL,
        .context = &result->context,
        .measurement = &result->measurement,
        .validity = result->kind != DK_KIND_SKIPPED ? &result->validity : NULL,
        .verdict = result->kind != DK_KIND_SKIPPED ? &result->verdict : NULL,
    };
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    const char *word = result->measurement.word;
    char sha256[DK_SHA256_TEXT_SIZE];
    enum dk_err err;

    if (word[0] != '\0')
        facts.word = word;
    memcpy(facts.id, result->id, sizeof facts.id);
    keep_evidence(settings, facts.id, result);
    snprintf(facts.reason, sizeof facts.reason, "%s", result->reason);
    snprintf(facts.prev, sizeof facts.prev, "%s", head_sha256);
    snprintf(facts.device_id, sizeof facts.device_id, "%s", signer->device.id);
    result->payload = dk_buf_make(DK_RECORD_MAX_BYTES);
    err = dk_record_build(&facts, &result->payload, fault);
    if (err == DK_OK)
        err = seal(settings, signer->key, &result->payload, &jws, fault);
    if (err == DK_OK)
        err = dk_journal_append(journal, facts.seq, jws.data, jws.len, fault);
    if (err == DK_OK) {
        result->seq = facts.seq;
        err = dk_sha256_text(jws.data, jws.len, sha256);
    }
    if (err == DK_OK)
        err = dk_bounds_apply(journal, settings->journal_max_bytes, settings->journal_max_age_ns, signer->key, &facts,
                              sha256, fault);
    return err;
}

// Journal and lock: all that must be in order before anything is measured, so that no measurement is made in vain.
static enum dk_err open_state(const struct dk_settings *settings, const struct dk_device_signer *signer,
                              struct dk_journal **journal, struct dk_fault *fault)
{
    // A journal that has vanished must not start again from 1 behind the collector's back.
    enum dk_err err = dk_journal_open(settings->state_dir, false, journal, fault);

    if (err == DK_ERR_NO_INPUT) {
        err = DK_ERR_IO;
        if (fault != NULL) {
            fault->err = err;
            snprintf(fault->todo, sizeof fault->todo,
                     "bring the folder back; a new chain needs a new key (--state DIR, dokiem keygen)");
        }
    }
    if (err == DK_OK)
        err = dk_journal_lock(*journal, fault);
    if (err == DK_OK)
        err = dk_device_signer_check(signer, settings->state_dir, *journal, fault);
    return err;
}

// The server of the run before, for a series to stay with: of the last record that is about a server and repeats no
// other one, since a repeat was to use another server. "" when there is none near: then the nearest is used.
static void find_last_server(struct dk_journal *journal, int64_t seq, struct dk_record_origin *out)
{
    enum { LOOKED_AT_MAX = 5 };

    for (int looked_at = 0; looked_at < LOOKED_AT_MAX && seq > 0; looked_at++, seq--) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_RECORD_MAX_BYTES);

        if (dk_journal_read(journal, seq, &jws, NULL) == DK_OK &&
            dk_jws_payload(jws.data, jws.len, &payload, NULL) == DK_OK &&
            dk_record_read_origin(payload.data, payload.len, out, NULL) == DK_OK && out->server_url[0] != '\0' &&
            out->confirms[0] == '\0')
            return;
        *out = (struct dk_record_origin){0};
    }
}

// Measures, unless the budget does not allow it. The link is then not touched: it is the one that the settings name, or
// that the default route leaves by.
static enum dk_err measure(const struct dk_settings *settings, const struct dk_rules *rules,
                           const struct dk_run_hooks *hooks, struct dk_server_choice *choice, bool *interrupted,
                           struct dk_run_result *out, struct dk_fault *fault)
{
    bool asked = settings->budget_daily_bytes > 0 || settings->budget_monthly_bytes > 0 ||
                 settings->budget_metered == DK_METERED_SKIP;
    bool admitted = true;
    struct dk_budget budget = {0};
    enum dk_err err = DK_OK;

    if (asked) {
        dk_context_gather("", settings->interface, settings->technology, &out->context);
        err = dk_budget_admit(settings, &out->context, dk_measure_bound(settings).bytes, hooks->ignore_budget, &budget,
                              &admitted, out->reason, sizeof out->reason, fault);
    }
    if (err == DK_OK && !admitted) {
        out->kind = DK_KIND_SKIPPED;
        out->measurement.server.connect_ns = -1;
        choice->used = &settings->servers[0];
        return DK_OK;
    }
    if (err != DK_OK)
        return err;
    out->context = (struct dk_context){0};
    err = dk_measure(settings, rules, hooks, choice, &out->measurement, &out->context, interrupted, fault);
    if (err == DK_OK)
        err = dk_budget_settle(&budget, out->measurement.data_used_bytes, fault);
    if (err == DK_OK)
        decide_kind(settings->only, *interrupted, out);
    return err;
}

enum dk_err dk_run(const struct dk_settings *settings, const struct dk_rules *rules, const struct dk_buf *profile,
                   const struct dk_repeated *repeated, const struct dk_run_hooks *hooks, struct dk_run_result *out,
                   struct dk_fault *fault)
{
    struct dk_record_origin last = {0};
    char run[DK_RUN_ID_SIZE] = "";
    struct dk_server_choice choice = {
        .last_url = last.server_url,
        .run = run,
        .avoid_url = repeated != NULL ? repeated->server_url : "",
    };
    char head_sha256[DK_SHA256_TEXT_SIZE] = "";
    int64_t head_seq = 0;
    bool interrupted = false;

    *out = (struct dk_run_result){0};
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = open_state(settings, hooks->signer, &journal, fault);

    if (err == DK_OK)
        err = dk_journal_head(journal, &head_seq, head_sha256, fault);
    if (err == DK_OK)
        err = dk_bounds_settle(journal, head_seq, fault);
    if (err != DK_OK)
        return err;
    if (settings->server_count > 1)
        find_last_server(journal, head_seq, &last);

    struct dk_mono begun = dk_mono_now();

    out->start = dk_wall_now();
    err = dk_uuid7(out->start, out->id);
    if (err == DK_OK)
        err = dk_run_id(hooks->signer->device.id, out->id, run);
    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "no randomness for the record's id");
    err = measure(settings, rules, hooks, &choice, &interrupted, out, fault);
    if (err != DK_OK)
        return err;
    out->server = choice.used;
    out->duration_ns = dk_mono_diff_ns(dk_mono_now(), begun);
    out->end = dk_wall_now();
    dk_offset_read(settings->state_dir, &out->context.clock);
    hear_word(run, &out->measurement);
    dk_judge_validity(&out->measurement, &out->context, &out->validity);
    dk_judge(rules, &out->measurement, &out->context, &settings->site, &out->validity, &out->verdict);
    err = dk_profile_keep(settings->state_dir, rules->sha256, dk_buf_text(profile), profile->len, fault);
    if (err == DK_OK)
        err = keep(settings, repeated, journal, hooks->signer, head_seq, head_sha256, out, fault);
    if (err != DK_OK || out->kind == DK_KIND_MEASUREMENT)
        return err;
    if (out->kind == DK_KIND_SKIPPED)
        return dk_fail(fault, DK_ERR_NOT_NOW, "run", "wait, or measure all the same with --ignore-budget", "%s",
                       out->reason);
    return dk_fail(fault, interrupted ? DK_ERR_INTERRUPTED : DK_ERR_UNREACHABLE, out->server->url, NULL,
                   "%s", out->reason);
}

void dk_run_result_free(struct dk_run_result *result)
{
    dk_measurement_free(&result->measurement);
    dk_buf_free(&result->payload);
}
