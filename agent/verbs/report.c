// SPDX-License-Identifier: Apache-2.0
//
// Records as a page for people. Each record is checked first; one that fails is shown as what it is, and
// named.
#include "agent/report/report.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/journal/journal.h"
#include "agent/record/seal.h"
#include "agent/report/text.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/keys.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/verbs.h"

enum { PAGE_MAX_BYTES = 4 << 20 };

// One record, read and checked. The item's texts point into it.
struct entry {
    struct dk_report_item item;
    json_t *record; // owned
    char *source;   // owned
    char key_id[DK_SHA256_TEXT_SIZE];
    char reason[DK_FAULT_WHERE_SIZE + DK_FAULT_WHAT_SIZE + 3];
};

struct collection {
    const struct dk_keys *keys; // without keys: nothing can be checked
    bool key_given;             // --key: then every record has to be of one of them
    struct entry **entries;     // owned
    size_t count, capacity;
    size_t bad;
};

static void free_collection(struct collection *c)
{
    for (size_t i = 0; i < c->count; i++) {
        json_decref(c->entries[i]->record);
        free(c->entries[i]->source);
        free(c->entries[i]);
    }
    free(c->entries);
}

static void note_reason(struct entry *entry, const struct dk_fault *why)
{
    snprintf(entry->reason, sizeof entry->reason, "%s%s%s", why->where, why->where[0] != '\0' ? ": " : "",
             why->what);
    entry->item.reason = entry->reason;
}

// Checks the signature and fills the proof; leaves the payload in `payload` whatever the check says, if there
// is one.
static enum dk_err check(const struct collection *c, const char *jws, size_t len, bool own,
                         struct entry *entry, struct dk_buf *payload, struct dk_fault *fault)
{
    struct dk_fault why = {0};
    struct dk_record_head head;
    enum dk_err err = dk_jws_key_id(jws, len, DK_TYP_RECORD, entry->key_id, NULL);
    bool known = err == DK_OK && dk_ring_find(c->keys, entry->key_id) != NULL;

    entry->item.key_id = entry->key_id;
    if (err == DK_OK && (c->keys->count == 0 || (!known && !c->key_given && !own))) {
        entry->item.proof = DK_CHECKED_NOT;
    } else {
        err = c->keys->count > 0 ? dk_record_check(c->keys, jws, len, &head, payload, &why)
                                 : dk_jws_key_id(jws, len, DK_TYP_RECORD, entry->key_id, &why);
        entry->item.proof = err == DK_OK ? DK_CHECKED_GOOD : DK_CHECKED_BAD;
    }
    if (err != DK_OK && err != DK_ERR_DATA)
        return dk_fail(fault, err, why.where, why.todo, "%s", why.what);
    if (entry->item.proof == DK_CHECKED_BAD)
        note_reason(entry, &why);
    if (entry->item.proof != DK_CHECKED_GOOD) {
        payload->len = 0;
        err = dk_jws_payload(jws, len, payload, &why);
    }
    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(payload), payload->len, &head, &why);
    if (err == DK_ERR_DATA) {
        payload->len = 0;
        if (entry->reason[0] == '\0')
            note_reason(entry, &why);
        return DK_OK;
    }
    return err;
}

static enum dk_err add_entry(struct collection *c, const char *source, const char *jws, size_t len, bool own,
                             struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);

    if (c->count == c->capacity) {
        size_t capacity = c->capacity == 0 ? 16 : c->capacity * 2;
        struct entry **entries = reallocarray(c->entries, capacity, sizeof *entries);

        if (entries == NULL)
            return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        c->entries = entries;
        c->capacity = capacity;
    }

    struct entry *entry = calloc(1, sizeof *entry);

    if (entry == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    c->entries[c->count++] = entry;
    entry->item.reason = "";
    entry->source = strdup(source);
    entry->item.source = entry->source != NULL ? entry->source : "";

    enum dk_err err = check(c, jws, len, own, entry, &payload, fault);

    if (err == DK_OK)
        err = dk_sha256_hex(jws, len, entry->item.sha256_hex);
    if (err == DK_OK && payload.len > 0) {
        entry->record = json_loadb(dk_buf_text(&payload), payload.len, JSON_REJECT_DUPLICATES, NULL);
        entry->item.record = entry->record;
    }
    c->bad += entry->item.proof == DK_CHECKED_BAD || entry->record == NULL;
    return err;
}

// Whether the record of the journal follows the one before it there.
static enum dk_err check_chain(struct dk_journal *journal, int64_t seq, struct entry *entry)
{
    dk_auto_buf struct dk_buf before = dk_buf_make(DK_JWS_MAX_BYTES);
    const json_t *prev = json_object_get(entry->record, "prev");
    char sha256[DK_SHA256_TEXT_SIZE];

    if (seq <= 1 || !json_is_string(prev)) {
        entry->item.chain = seq == 1 && json_is_null(prev) ? DK_PLACE_FIRST : DK_PLACE_UNKNOWN;
        return DK_OK;
    }

    enum dk_err err = dk_journal_read(journal, seq - 1, &before, NULL);

    if (err == DK_OK)
        err = dk_sha256_text(before.data, before.len, sha256);
    if (err == DK_ERR_MEMORY)
        return err;
    if (err == DK_OK)
        entry->item.chain = strcmp(sha256, json_string_value(prev)) == 0 ? DK_PLACE_FOLLOWS : DK_PLACE_BROKEN;
    return DK_OK;
}

static enum dk_err add_kept(struct collection *c, struct dk_journal *journal, const char *which,
                            struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    char source[32];
    int64_t seq = 0;
    enum dk_err err = dk_summary_find(journal, which, &seq, fault);

    if (err == DK_OK)
        err = dk_journal_read(journal, seq, &jws, fault);
    if (err != DK_OK)
        return err;
    snprintf(source, sizeof source, "%010" PRId64 ".jws", seq);
    err = add_entry(c, source, jws.data, jws.len, true, fault);
    if (err == DK_OK && check_chain(journal, seq, c->entries[c->count - 1]) != DK_OK)
        err = dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    return err;
}

struct line_context {
    struct collection *collection;
    struct dk_fault *fault;
};

static enum dk_err on_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    struct line_context *context = argument;
    char source[PATH_MAX + 24];

    if (line > 0)
        snprintf(source, sizeof source, "%s:%" PRId64, file, line);
    else
        snprintf(source, sizeof source, "%s", file);
    return add_entry(context->collection, source, text, len, false, context->fault);
}

// A seq number, "last" or an id names a record of the journal; anything else is a file.
static bool names_kept(const char *operand)
{
    int64_t seq = 0;

    return strcmp(operand, "last") == 0 || dk_parse_i64(operand, 1, DK_SEQ_MAX, &seq) ||
           (strlen(operand) == DK_UUID_SIZE - 1 && strspn(operand, "0123456789abcdef-") == DK_UUID_SIZE - 1);
}

static enum dk_err collect(struct collection *c, const struct dk_arguments *arguments, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct line_context context = {c, fault};
    char last[] = "last", *only[] = {last};
    char **operands = arguments->operand_count > 0 ? arguments->operands : only;
    int count = arguments->operand_count > 0 ? arguments->operand_count : 1;
    enum dk_err err = DK_OK;

    for (int i = 0; i < count && err == DK_OK; i++) {
        if (!names_kept(operands[i])) {
            err = dk_lines_read(operands[i], DK_LINES_RECORDS, DK_JWS_MAX_BYTES, on_line, &context, fault);
            continue;
        }
        if (journal == NULL)
            err = dk_journal_open(arguments->settings.state_dir, false, &journal, fault);
        if (err == DK_OK)
            err = add_kept(c, journal, operands[i], fault);
    }
    return err;
}

// Writes the page to a file at once, so that no half of it is ever there, with the rights that any new file
// has.
static enum dk_err write_file(const char *path, const struct dk_buf *page, struct dk_fault *fault)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX] = ".";
    mode_t mask = umask(0);

    umask(mask);
    if (slash != NULL && (size_t)(slash - path) + 2 > sizeof directory)
        return dk_fail(fault, DK_ERR_USAGE, path, NULL, "the path is too long");
    if (slash != NULL)
        snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);

    enum dk_err err = dk_file_write(directory, slash != NULL ? slash + 1 : path, page->data, page->len,
                                    DK_WRITE_REPLACE, fault);

    if (err == DK_OK && chmod(path, 0666 & ~mask) != 0)
        return dk_fail(fault, DK_ERR_IO, path, NULL, "its rights cannot be set");
    return err;
}

static enum dk_err write_page(const struct collection *c, const char *output, struct dk_fault *fault)
{
    struct dk_markup page = dk_markup_make(PAGE_MAX_BYTES);
    enum dk_err err = DK_OK;

    dk_report_one(&page, &c->entries[0]->item, dk_wall_now());
    if (page.err != DK_OK)
        err = dk_fail(fault, page.err, NULL, NULL, "the page cannot be made: %s", dk_err_text(page.err));
    else if (output != NULL)
        err = write_file(output, &page.out, fault);
    else
        fwrite(page.out.data, 1, page.out.len, stdout);
    dk_buf_free(&page.out);
    return err;
}

static enum dk_err report(const struct dk_arguments *arguments, const char *key_file, const char *output,
                          struct dk_fault *fault)
{
    dk_auto_keys struct dk_keys keys = {0};
    struct dk_fault own = {0};
    struct collection c = {.keys = &keys, .key_given = key_file != NULL};
    enum dk_err err = dk_verb_keys(key_file, arguments->settings.state_dir, &keys, &own);

    // Without a key of its own, whoever only reads records still gets a page, which says that nothing was
    // checked.
    if (err != DK_OK && (key_file != NULL || err != DK_ERR_NO_INPUT))
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    err = collect(&c, arguments, fault);
    if (err == DK_OK)
        err = write_page(&c, output, fault);
    if (err == DK_OK && c.bad > 0)
        err = dk_fail(fault, DK_ERR_DATA, NULL, "dokiem verify says it of each",
                      "%zu of %zu records do not verify: the report says so", c.bad, c.count);
    free_collection(&c);
    return err;
}

int dk_verb_report(int argc, char **argv)
{
    const char *key_file = NULL, *output = NULL, *language = NULL;
    const struct dk_own_flag flags[] = {
        {"output", "FILE", "write the page there (also -o FILE); default: standard output", &output, NULL},
        {"language", "vi|en", "of the page; default: the locale's", &language, NULL},
        {"key", "FILE", "public key or keys of the devices (JWK, JWK set or PEM); default: this device's own",
         &key_file, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && language != NULL && strcmp(language, "vi") != 0 && strcmp(language, "en") != 0)
        err = dk_fail(&fault, DK_ERR_USAGE, "--language", "use vi or en", "'%s' is no language of reports",
                      language);
    if (err == DK_OK && language != NULL && !dk_text_use_language(language))
        err = dk_fail(&fault, DK_ERR_NO_INPUT, "--language",
                      "install dokiem's catalogue vi/LC_MESSAGES/dokiem.mo",
                      "the texts in that language are not there");
    if (err == DK_OK)
        err = report(&arguments, key_file, output, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("report", &fault);
}
