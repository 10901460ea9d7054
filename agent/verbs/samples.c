// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/samples.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "agent/record/verifier.h"
#include "agent/verbs/keys.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/text.h"

struct collecting {
    struct dk_samples *samples;
    struct dk_input *input;
    struct dk_sample_keys *keys;       // borrowed
    const struct dk_ring_key *signer;  // of the record at hand; one of `keys->ring`
    struct dk_buf payload;
    struct dk_csv_columns *columns; // owned: of the file at hand; NULL when it is none of CSV
    bool refused;                   // the first line of the file at hand was no columns: nothing in it can be read
    struct dk_fault *fault;
};

static void note(struct collecting *c, enum dk_fate fate, const char *file, int64_t line, const struct dk_fault *why)
{
    char text[2 * DK_INPUT_NOTE_SIZE], place[24] = "";
    size_t at = c->input->note_count;

    c->input->count[fate]++;
    if (at == DK_INPUT_NOTES_MAX)
        return;
    if (line > 0)
        snprintf(place, sizeof place, ":%" PRId64, line);
    snprintf(text, sizeof text, "%s%s: %s%s%.300s", file, place, why->where, why->where[0] != '\0' ? ": " : "",
             why->what);

    dk_auto_buf struct dk_buf clean = dk_buf_make(sizeof text);

    // A cut may have gone through a character: what is left of it is cleaned away.
    if (dk_text_clean(text, strnlen(text, DK_INPUT_NOTE_SIZE - 1), false, &clean) != DK_OK)
        return;
    snprintf(c->input->notes[at].text, DK_INPUT_NOTE_SIZE, "%.*s", DK_INPUT_NOTE_SIZE - 1, dk_buf_text(&clean));
    c->input->notes[at].fate = fate;
    c->input->note_count++;
}

static enum dk_err out_of_memory(struct collecting *c)
{
    return dk_fail(c->fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
}

// Counts what became of a line. `taken` is the fate of a sample that was taken.
static enum dk_err count(struct collecting *c, enum dk_err err, enum dk_intake intake, enum dk_fate taken,
                         const char *file, int64_t line, const struct dk_fault *why)
{
    static const enum dk_fate fates[] = {
        [DK_INTAKE_SKIPPED] = DK_FATE_SKIPPED,       [DK_INTAKE_OTHER] = DK_FATE_OTHER,
        [DK_INTAKE_DUPLICATE] = DK_FATE_DUPLICATES,  [DK_INTAKE_CONFLICT] = DK_FATE_CONFLICTS,
        [DK_INTAKE_SCHEMA] = DK_FATE_UNKNOWN_SCHEMA, [DK_INTAKE_MALFORMED] = DK_FATE_MALFORMED,
        [DK_INTAKE_REFUSED] = DK_FATE_NOT_VERIFIED,
    };

    if (err == DK_ERR_MEMORY)
        return out_of_memory(c);
    if (err != DK_OK)
        return dk_fail(c->fault, err, file, "assess fewer at once", "there are more samples than can be held");
    if (intake == DK_INTAKE_TAKEN)
        c->input->count[taken]++;
    else if (intake == DK_INTAKE_SKIPPED || intake == DK_INTAKE_OTHER)
        c->input->count[fates[intake]]++;
    else
        note(c, fates[intake], file, line, why);
    return DK_OK;
}

// A change of key: the new one is believed from the next record on, the old one no more.
static enum dk_err rotate(struct collecting *c, const struct dk_sample_head *head, struct dk_fault *why)
{
    struct dk_record_head whole;
    dk_auto(key) struct dk_key *key = NULL;
    enum dk_err err = dk_record_read_head(dk_buf_text(&c->payload), c->payload.len, &whole, why);

    if (err != DK_OK)
        return err;

    const struct dk_rotation_place place = {whole.device_id, dk_key_id(c->signer->key), whole.seq, whole.prev};

    err = dk_rotation_read(dk_buf_text(&c->payload), c->payload.len, &place, &key, why);
    if (err != DK_OK)
        return err;

    char id[DK_SHA256_TEXT_SIZE];
    struct dk_ring_key *known = dk_ring_find(&c->keys->ring, dk_key_id(c->signer->key));

    snprintf(id, sizeof id, "%s", dk_key_id(key));
    if (head->seq < known->until_seq)
        known->until_seq = head->seq;
    known = dk_ring_find(&c->keys->ring, id);
    if (known == NULL) {
        err = dk_ring_add(&c->keys->ring, &key, why);
        known = err == DK_OK ? dk_ring_find(&c->keys->ring, id) : NULL;
    } else if (known->role == DK_ROLE_COLLECTOR ||
               (strcmp(known->device, id) != 0 && strcmp(known->device, head->device_id) != 0)) {
        return dk_fail(why, DK_ERR_DATA, "rotation.key", NULL, "is known as the key of somebody else");
    }
    if (known == NULL)
        return err;
    known->role = DK_ROLE_DEVICE;
    snprintf(known->device, sizeof known->device, "%s", whole.device_id);
    if (known->from_seq < head->seq + 1)
        known->from_seq = head->seq + 1;
    return DK_OK;
}

static enum dk_err accept_record(void *argument, const struct dk_sample_head *head, struct dk_fault *why)
{
    struct collecting *c = argument;
    struct dk_record_head known = {.seq = head->seq, .start = head->start, .kind = head->kind};
    enum dk_proof proof;

    if (strlen(head->device_id) >= sizeof known.device_id)
        return dk_fail(why, DK_ERR_DATA, "device.id", NULL, "is no key's thumbprint");
    memcpy(known.device_id, head->device_id, strlen(head->device_id) + 1);

    enum dk_err err = dk_proof_of_key(c->signer, &known, &proof, why);

    return err == DK_OK && head->kind == DK_KIND_ROTATION ? rotate(c, head, why) : err;
}

static enum dk_err take_record(struct collecting *c, const char *file, int64_t line, const char *text, size_t len)
{
    struct dk_fault why = {0};
    enum dk_intake intake = DK_INTAKE_TAKEN;
    const struct dk_fault *no_keys = &c->keys->fault;

    if (no_keys->err != DK_OK)
        return dk_fail(c->fault, no_keys->err, no_keys->where, no_keys->todo, "%s", no_keys->what);
    c->payload.len = 0;

    enum dk_err err = dk_record_open(&c->keys->ring, text, len, &c->signer, &c->payload, &why);
    if (err == DK_ERR_DATA) {
        note(c, DK_FATE_NOT_VERIFIED, file, line, &why);
        return DK_OK;
    }
    if (err != DK_OK)
        return dk_fail(c->fault, err, why.where, why.todo, "%s", why.what);
    err = dk_samples_add_record(c->samples, dk_buf_text(&c->payload), c->payload.len, accept_record, c, &intake,
                                &why);
    return count(c, err, intake, DK_FATE_RECORDS, file, line, &why);
}

static enum dk_err read_columns(struct collecting *c, const char *file, int64_t line, const char *text, size_t len)
{
    struct dk_fault why = {0};
    enum dk_err err = dk_csv_columns_read(text, len, &c->columns, &why);

    if (err == DK_ERR_MEMORY)
        return out_of_memory(c);
    if (err != DK_OK) {
        c->refused = true;
        note(c, DK_FATE_MALFORMED, file, line, &why);
    }
    return DK_OK;
}

static enum dk_err take_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    struct collecting *c = argument;
    struct dk_fault why = {0};
    enum dk_intake intake = DK_INTAKE_TAKEN;

    if (line <= 1) {
        dk_csv_columns_free(c->columns);
        c->columns = NULL;
        c->refused = false;
    }
    if (len == 0 && line > 0)
        return DK_OK;
    if (c->refused) {
        c->input->count[DK_FATE_MALFORMED]++;
        return DK_OK;
    }
    if (len > 0 && text[0] == '{') {
        enum dk_err err = dk_samples_add_row(c->samples, text, len, &intake, &why);

        return count(c, err, intake, DK_FATE_ROWS, file, line, &why);
    }
    if (c->columns != NULL) {
        enum dk_err err = dk_samples_add_csv(c->samples, c->columns, text, len, &intake, &why);

        return count(c, err, intake, DK_FATE_ROWS, file, line, &why);
    }
    // In a sealed record there is neither.
    if (line <= 1 && (memchr(text, ',', len) != NULL || memchr(text, ';', len) != NULL))
        return read_columns(c, file, line, text, len);
    return take_record(c, file, line, text, len);
}

void dk_samples_read_keys(const char *key_file, const char *state_dir, struct dk_sample_keys *out)
{
    *out = (struct dk_sample_keys){0};
    out->fault.err = dk_verb_keys(key_file, state_dir, &out->ring, &out->fault);
}

enum dk_err dk_samples_read(char **files, int file_count, struct dk_sample_keys *keys, const char *state_dir,
                            uint32_t indicators, struct dk_samples **out, struct dk_input *input,
                            struct dk_fault *fault)
{
    char journal[PATH_MAX + sizeof "/journal"];
    char *own[] = {journal};
    dk_auto(samples) struct dk_samples *samples = NULL;
    struct collecting c = {.input = input,
                           .keys = keys,
                           .payload = dk_buf_make(DK_JWS_MAX_BYTES),
                           .fault = fault};
    enum dk_err err = dk_samples_new(indicators, &samples);

    *input = (struct dk_input){0};
    if (err != DK_OK)
        return out_of_memory(&c);
    c.samples = samples;
    snprintf(journal, sizeof journal, "%s/journal", state_dir);
    if (file_count == 0) {
        files = own;
        file_count = 1;
    }
    for (int i = 0; i < file_count && err == DK_OK; i++)
        err = dk_lines_read(files[i], DK_LINES_RECORDS, DK_JWS_MAX_BYTES, take_line, &c, fault);
    dk_buf_free(&c.payload);
    dk_csv_columns_free(c.columns);
    if (err != DK_OK)
        return err;
    dk_samples_seal(samples);
    *out = samples;
    samples = NULL;
    return DK_OK;
}
