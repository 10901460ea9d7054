// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/checker.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/language.h"
#include "agent/base/parse.h"
#include "agent/record/verifier.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/summary.h"

struct dk_checker dk_checker_make(const struct dk_keys *keys, bool key_given)
{
    return (struct dk_checker){.keys = keys,
                               .key_given = key_given,
                               .texts = dk_texts_make(),
                               .scratch = dk_buf_make(DK_JWS_MAX_BYTES),
                               .payload = dk_buf_make(DK_JWS_MAX_BYTES)};
}

void dk_checker_free(struct dk_checker *c)
{
    dk_buf_free(&c->scratch);
    dk_buf_free(&c->payload);
    dk_texts_free(&c->texts);
}

enum dk_err dk_checker_keys(const char *key_file, const char *state_dir, struct dk_keys *out,
                            struct dk_fault *fault)
{
    struct dk_fault own = {0};
    enum dk_err err = dk_verb_keys(key_file, state_dir, out, &own);

    if (err == DK_OK || (key_file == NULL && err == DK_ERR_NO_INPUT))
        return DK_OK;
    return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

static enum dk_err keep_text(struct dk_checker *c, const char *text, const char **out)
{
    return dk_texts_add(&c->texts, text, strlen(text), out);
}

static enum dk_err note_reason(struct dk_checker *c, struct dk_listed *listed, const struct dk_fault *why)
{
    char reason[DK_FAULT_WHERE_SIZE + DK_FAULT_WHAT_SIZE + 3];

    snprintf(reason, sizeof reason, "%s%s%s", why->where, why->where[0] != '\0' ? ": " : "", why->what);
    return keep_text(c, reason, &listed->reason);
}

// Opens it with its key and reads it. DATA when it is not what that key signed, or may not be signed by it.
static enum dk_err check_with(struct dk_checker *c, const struct dk_ring_key *key, const char *jws,
                              size_t len, struct dk_listed *listed, struct dk_fault *why)
{
    enum dk_proof proof;
    enum dk_err err = dk_open(key->key, DK_TYP_RECORD, jws, len, &c->payload, why);

    if (err == DK_OK)
        err = dk_listed_read(c->payload.data, c->payload.len, &c->texts, &c->scratch, listed, why);
    return err == DK_OK ? dk_proof_of_key(key, &listed->head, &proof, why) : err;
}

enum dk_err dk_checker_check(struct dk_checker *c, const char *jws, size_t len, bool own,
                             struct dk_listed *listed, char key_id[static DK_SHA256_TEXT_SIZE])
{
    struct dk_fault why = {0};
    enum dk_err err = dk_jws_key_id(jws, len, DK_TYP_RECORD, key_id, &why);
    const struct dk_ring_key *key = err == DK_OK ? dk_ring_find(c->keys, key_id) : NULL;

    c->payload.len = 0;
    // A record of another device can only be checked with that device's key.
    if (err == DK_OK && key == NULL && (c->keys->count == 0 || (!c->key_given && !own))) {
        listed->checked = DK_CHECKED_NOT;
    } else {
        if (err == DK_OK && key == NULL)
            err = dk_fail(&why, DK_ERR_DATA, NULL, NULL, "signed by another key: kid \"%s\" is not at hand",
                          key_id);
        if (err == DK_OK)
            err = check_with(c, key, jws, len, listed, &why);
        listed->checked = err == DK_OK ? DK_CHECKED_GOOD : DK_CHECKED_BAD;
    }
    if (err == DK_ERR_DATA)
        err = note_reason(c, listed, &why);
    if (err == DK_OK && listed->checked != DK_CHECKED_GOOD) {
        struct dk_fault unreadable = {0};

        c->payload.len = 0;
        err = dk_jws_payload(jws, len, &c->payload, &unreadable);
        if (err == DK_OK)
            err =
                dk_listed_read(c->payload.data, c->payload.len, &c->texts, &c->scratch, listed, &unreadable);
        if (err == DK_ERR_DATA)
            err = listed->reason[0] == '\0' ? note_reason(c, listed, &unreadable) : DK_OK;
    }
    return err;
}

// Whose callback it is while lines are read.
struct each {
    dk_record_callback *callback;
    void *argument;
    struct dk_fault *fault;
};

static enum dk_err on_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    const struct each *each = argument;
    char source[PATH_MAX + 24];

    if (line > 0)
        snprintf(source, sizeof source, "%s:%" PRId64, file, line);
    else
        snprintf(source, sizeof source, "%s", file);
    return each->callback(each->argument, NULL, source, text, len, each->fault);
}

static enum dk_err take_kept(struct dk_journal *journal, const char *which, const struct each *each)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    char source[32];
    int64_t seq = 0;
    enum dk_err err = dk_summary_find(journal, which, &seq, each->fault);

    if (err == DK_OK)
        err = dk_journal_read(journal, seq, &jws, each->fault);
    if (err != DK_OK)
        return err;
    snprintf(source, sizeof source, "%010" PRId64 ".jws", seq);
    return each->callback(each->argument, journal, source, jws.data, jws.len, each->fault);
}

// A seq number, "last" or an id names a record of the journal; anything else is a file.
static bool names_kept(const char *operand)
{
    int64_t seq = 0;

    return strcmp(operand, "last") == 0 || dk_parse_i64(operand, 1, DK_SEQ_MAX, &seq) ||
           (strlen(operand) == DK_UUID_SIZE - 1 && strspn(operand, "0123456789abcdef-") == DK_UUID_SIZE - 1);
}

enum dk_err dk_records_each(const char *state_dir, char **operands, int count, dk_record_callback *callback,
                            void *argument, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct each each = {callback, argument, fault};
    enum dk_err err = DK_OK;

    for (int i = 0; i < count && err == DK_OK; i++) {
        if (!names_kept(operands[i])) {
            err = dk_lines_read(operands[i], DK_LINES_RECORDS, DK_JWS_MAX_BYTES, on_line, &each, fault);
            continue;
        }
        if (journal == NULL)
            err = dk_journal_open(state_dir, false, &journal, fault);
        if (err == DK_OK)
            err = take_kept(journal, operands[i], &each);
    }
    return err;
}

enum dk_err dk_verb_use_language(const char *language, struct dk_fault *fault)
{
    if (language == NULL)
        return DK_OK;
    if (strcmp(language, "vi") != 0 && strcmp(language, "en") != 0)
        return dk_fail(fault, DK_ERR_USAGE, "--language", "use vi or en", "'%s' is not a language of dokiem",
                       language);
    if (!dk_language_use(language))
        return dk_fail(fault, DK_ERR_NO_INPUT, "--language",
                       "install dokiem's catalogue vi/LC_MESSAGES/dokiem.mo",
                       "the texts in that language are not there");
    return DK_OK;
}
