// SPDX-License-Identifier: Apache-2.0
//
// keep STATE - seals the payloads on standard input, a line each, as they are, and keeps them.
// keep STATE COUNT [NOTE]: seals COUNT sample records with the key of a state folder and keeps them in its
// journal, as runs would. The note is put in without any check, as a hostile device would.
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "agent/state.h"
#include "tests/sample/sample.h"

static enum dk_err add_note(struct dk_buf *payload, const char *note)
{
    json_t *json = json_loadb(payload->data, payload->len, 0, NULL);
    json_t *text = json_string(note);
    enum dk_err err = DK_ERR_INTERNAL;

    json_object_set(json_object_get(json, "site"), "note", text);
    json_object_set(json, "reason", text);

    char *dumped = json_dumps(json, JSON_COMPACT);

    dk_buf_free(payload);
    if (dumped != NULL)
        err = dk_buf_append(payload, dumped, strlen(dumped));
    free(dumped);
    json_decref(text);
    json_decref(json);
    return err;
}

static enum dk_err keep_one(struct dk_journal *journal, const struct dk_key *key, const char *note,
                            struct dk_fault *fault)
{
    struct dk_sample sample;
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_RECORD_MAX_BYTES), jws = dk_buf_make(DK_JWS_MAX_BYTES);
    char prev[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = dk_journal_head(journal, &seq, prev, fault);

    dk_sample_make(&sample, DK_TECHNOLOGY_5G, 130000000);
    sample.facts.seq = seq + 1;
    memcpy(sample.facts.prev, prev, sizeof sample.facts.prev);
    snprintf(sample.facts.device_id, sizeof sample.facts.device_id, "%s", dk_key_id(key));
    if (err == DK_OK)
        err = dk_uuid7(dk_wall_now(), sample.facts.id);
    if (err == DK_OK)
        err = dk_record_build(&sample.facts, &payload, fault);
    if (err == DK_OK && note != NULL)
        err = add_note(&payload, note);
    if (err == DK_OK)
        err = dk_seal(key, DK_TYP_RECORD, payload.data, payload.len, &jws, fault);
    if (err == DK_OK)
        err = dk_journal_append(journal, seq + 1, jws.data, jws.len, fault);
    dk_measurement_free(&sample.measurement);
    return err;
}

// One line of standard input, as the next record.
static enum dk_err keep_payload(struct dk_journal *journal, const struct dk_key *key, const char *payload, size_t len,
                                struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    char prev[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = dk_journal_head(journal, &seq, prev, fault);

    if (err == DK_OK)
        err = dk_seal(key, DK_TYP_RECORD, payload, len, &jws, fault);
    return err == DK_OK ? dk_journal_append(journal, seq + 1, jws.data, jws.len, fault) : err;
}

static enum dk_err keep_lines(struct dk_journal *journal, const struct dk_key *key, struct dk_fault *fault)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = 0;
    enum dk_err err = DK_OK;

    while (err == DK_OK && (len = getline(&line, &size, stdin)) > 0)
        err = keep_payload(journal, key, line, (size_t)len - (line[len - 1] == '\n' ? 1 : 0), fault);
    free(line);
    return err;
}

int main(int argc, char **argv)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_fault fault = {0};
    char path[PATH_MAX];
    int64_t count = 0;

    if (argc < 3 || (strcmp(argv[2], "-") != 0 && !dk_parse_i64(argv[2], 0, 1000000, &count)))
        return 64;
    snprintf(path, sizeof path, "%s/%s", argv[1], DK_KEY_FILE);

    enum dk_err err = dk_key_read_private(path, &key, &fault);

    if (err == DK_OK)
        err = dk_journal_open(argv[1], true, &journal, &fault);
    if (err == DK_OK && strcmp(argv[2], "-") == 0)
        err = keep_lines(journal, key, &fault);
    for (int64_t i = 0; err == DK_OK && i < count; i++)
        err = keep_one(journal, key, argv[3], &fault);
    if (err != DK_OK)
        fprintf(stderr, "keep: %s: %s\n", fault.where, fault.what);
    return dk_err_exit_status(err);
}
