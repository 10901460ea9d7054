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
#include "agent/record/verifier.h"
#include "agent/report/several.h"
#include "agent/report/text.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/keys.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/verbs.h"

enum {
    PAGE_MAX_BYTES = 4 << 20,
    WHOLE_MAX = 12, // records that a page may show as a whole: of more, only the table's figures are kept
};

// One record, read and checked.
struct entry {
    struct dk_listed listed;
    enum dk_place place;
    struct dk_buf payload; // of the first WHOLE_MAX
    char key_id[DK_SHA256_TEXT_SIZE], sha256_hex[DK_SHA256_HEX_SIZE];
};

struct collection {
    const struct dk_keys *keys; // without keys nothing can be checked
    bool key_given;             // --key: then every record has to be of one of them
    struct dk_texts texts;
    struct dk_buf scratch, payload;
    struct dk_listed *listed;      // owned
    struct entry whole[WHOLE_MAX]; // the first of them; `listed` of these is not used
    size_t count, capacity;
    size_t bad;
};

static struct collection make_collection(const struct dk_keys *keys, bool key_given)
{
    return (struct collection){.keys = keys,
                               .key_given = key_given,
                               .texts = dk_texts_make(),
                               .scratch = dk_buf_make(DK_JWS_MAX_BYTES),
                               .payload = dk_buf_make(DK_JWS_MAX_BYTES)};
}

static void free_collection(struct collection *c)
{
    for (size_t i = 0; i < WHOLE_MAX; i++)
        dk_buf_free(&c->whole[i].payload);
    dk_buf_free(&c->scratch);
    dk_buf_free(&c->payload);
    free(c->listed);
    dk_texts_free(&c->texts);
}

static enum dk_err keep_text(struct collection *c, const char *text, const char **out)
{
    return dk_texts_add(&c->texts, text, strlen(text), out);
}

static enum dk_err note_reason(struct collection *c, struct dk_listed *listed, const struct dk_fault *why)
{
    char reason[DK_FAULT_WHERE_SIZE + DK_FAULT_WHAT_SIZE + 3];

    snprintf(reason, sizeof reason, "%s%s%s", why->where, why->where[0] != '\0' ? ": " : "", why->what);
    return keep_text(c, reason, &listed->reason);
}

// Opens it with its key and reads it. DATA when it is not what that key signed, or may not be signed by it.
static enum dk_err check_with(struct collection *c, const struct dk_ring_key *key, const char *jws,
                              size_t len, struct dk_listed *listed, struct dk_fault *why)
{
    enum dk_proof proof;
    enum dk_err err = dk_open(key->key, DK_TYP_RECORD, jws, len, &c->payload, why);

    if (err == DK_OK)
        err = dk_listed_read(c->payload.data, c->payload.len, &c->texts, &c->scratch, listed, why);
    return err == DK_OK ? dk_proof_of_key(key, &listed->head, &proof, why) : err;
}

// Checks and reads one record; its payload is in c->payload when there is one, whatever the check says.
static enum dk_err check(struct collection *c, const char *jws, size_t len, bool own,
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

static enum dk_err make_room(struct collection *c)
{
    if (c->count < c->capacity)
        return DK_OK;

    size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
    struct dk_listed *listed = reallocarray(c->listed, capacity, sizeof *listed);

    if (listed == NULL)
        return DK_ERR_MEMORY;
    c->listed = listed;
    c->capacity = capacity;
    return DK_OK;
}

static enum dk_err add_record(struct collection *c, const char *source, const char *jws, size_t len, bool own,
                              struct dk_fault *fault)
{
    struct dk_listed listed = {.source = "", .reason = ""};
    char key_id[DK_SHA256_TEXT_SIZE] = "";
    enum dk_err err = make_room(c);

    if (err == DK_OK)
        err = keep_text(c, source, &listed.source);
    if (err == DK_OK)
        err = check(c, jws, len, own, &listed, key_id);
    if (err == DK_OK && c->count < WHOLE_MAX) {
        struct entry *entry = &c->whole[c->count];

        entry->listed = listed;
        entry->payload = dk_buf_make(DK_JWS_MAX_BYTES);
        memcpy(entry->key_id, key_id, sizeof key_id);
        err = dk_sha256_hex(jws, len, entry->sha256_hex);
        if (err == DK_OK && listed.readable)
            err = dk_buf_append(&entry->payload, c->payload.data, c->payload.len);
    }
    if (err != DK_OK)
        return dk_fail(fault, err, source, NULL, "%s", dk_err_text(err));
    c->bad += listed.checked == DK_CHECKED_BAD || !listed.readable;
    c->listed[c->count++] = listed;
    return DK_OK;
}

// Whether the record of the journal follows the one before it there.
static enum dk_err check_chain(struct dk_journal *journal, int64_t seq, struct entry *entry)
{
    dk_auto_buf struct dk_buf before = dk_buf_make(DK_JWS_MAX_BYTES);
    const char *prev = entry->listed.head.prev;
    char sha256[DK_SHA256_TEXT_SIZE];

    if (seq == 1 || prev[0] == '\0') {
        entry->place = seq == 1 && prev[0] == '\0' ? DK_PLACE_FIRST : DK_PLACE_BROKEN;
        return DK_OK;
    }

    enum dk_err err = dk_journal_read(journal, seq - 1, &before, NULL);

    if (err == DK_OK)
        err = dk_sha256_text(before.data, before.len, sha256);
    if (err == DK_OK)
        entry->place = strcmp(sha256, prev) == 0 ? DK_PLACE_FOLLOWS : DK_PLACE_BROKEN;
    return err == DK_ERR_MEMORY ? err : DK_OK; // one that was pruned says nothing
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
    err = add_record(c, source, jws.data, jws.len, true, fault);
    if (err == DK_OK && c->count <= WHOLE_MAX && c->listed[c->count - 1].readable &&
        check_chain(journal, seq, &c->whole[c->count - 1]) != DK_OK)
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
    return add_record(context->collection, source, text, len, false, context->fault);
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

// The item of a record kept whole. Its JSON is the caller's.
static struct dk_report_item item_of(const struct entry *entry, json_t **record)
{
    struct dk_report_item item = {.checked = entry->listed.checked,
                                  .place = entry->place,
                                  .reason = entry->listed.reason,
                                  .source = entry->listed.source,
                                  .key_id = entry->key_id};

    memcpy(item.sha256_hex, entry->sha256_hex, sizeof item.sha256_hex);
    *record = entry->payload.len > 0
                  ? json_loadb(entry->payload.data, entry->payload.len, JSON_REJECT_DUPLICATES, NULL)
                  : NULL;
    item.record = *record;
    return item;
}

static void make_page(struct dk_markup *page, struct collection *c)
{
    size_t shown = 0;

    if (c->count != 1)
        dk_several_begin(page, c->listed, c->count, dk_wall_now());
    while (c->count <= WHOLE_MAX && shown < c->count) {
        dk_auto(json) json_t *record = NULL;
        struct dk_report_item item = item_of(&c->whole[shown], &record);

        if (c->count == 1)
            dk_report_one(page, &item, dk_wall_now());
        else if (!dk_several_add(page, &item))
            break;
        shown++;
    }
    if (c->count != 1)
        dk_several_end(page, c->count - shown);
}

static enum dk_err write_page(struct collection *c, const char *output, struct dk_fault *fault)
{
    struct dk_markup page = dk_markup_make(PAGE_MAX_BYTES);
    enum dk_err err = DK_OK;

    make_page(&page, c);
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
    enum dk_err err = dk_verb_keys(key_file, arguments->settings.state_dir, &keys, &own);

    // Without a key of its own, whoever only reads records still gets a page, which says that nothing was
    // checked.
    if (err != DK_OK && (key_file != NULL || err != DK_ERR_NO_INPUT))
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);

    struct collection c = make_collection(&keys, key_file != NULL);

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
