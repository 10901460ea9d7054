// SPDX-License-Identifier: Apache-2.0
//
// Records as a page for people. Each record is checked first; one that fails is shown as what it is, and
// named.
#include "agent/report/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/report/several.h"
#include "agent/report/text.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/checker.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/output.h"
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
    struct dk_checker checker;
    struct dk_listed *listed;      // owned
    struct entry whole[WHOLE_MAX]; // the first of them
    size_t count, capacity;
    size_t bad;
};

static void free_collection(struct collection *c)
{
    for (size_t i = 0; i < WHOLE_MAX; i++)
        dk_buf_free(&c->whole[i].payload);
    free(c->listed);
    dk_checker_free(&c->checker);
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

static enum dk_err add_record(void *argument, struct dk_journal *journal, const char *source, const char *jws,
                              size_t len, struct dk_fault *fault)
{
    struct collection *c = argument;
    struct dk_listed listed = {.reason = ""};
    char key_id[DK_SHA256_TEXT_SIZE] = "";
    enum dk_err err = make_room(c);

    if (err == DK_OK)
        err = dk_texts_add(&c->checker.texts, source, strlen(source), &listed.source);
    if (err == DK_OK)
        err = dk_checker_check(&c->checker, jws, len, journal != NULL, &listed, key_id);
    if (err == DK_OK && c->count < WHOLE_MAX) {
        struct entry *entry = &c->whole[c->count];

        entry->listed = listed;
        entry->payload = dk_buf_make(DK_JWS_MAX_BYTES);
        memcpy(entry->key_id, key_id, sizeof key_id);
        err = dk_sha256_hex(jws, len, entry->sha256_hex);
        if (err == DK_OK && listed.readable)
            err = dk_buf_append(&entry->payload, c->checker.payload.data, c->checker.payload.len);
        if (err == DK_OK && journal != NULL && listed.readable)
            err = check_chain(journal, listed.head.seq, entry);
    }
    if (err != DK_OK)
        return dk_fail(fault, err, source, NULL, "%s", dk_err_text(err));
    c->bad += listed.checked == DK_CHECKED_BAD || !listed.readable;
    c->listed[c->count++] = listed;
    return DK_OK;
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

    make_page(&page, c);
    return dk_output_page(&page, output, fault);
}

static enum dk_err report(const struct dk_arguments *arguments, const char *key_file, const char *output,
                          struct dk_fault *fault)
{
    dk_auto_keys struct dk_keys keys = {0};
    char last[] = "last", *only[] = {last};
    bool named = arguments->operand_count > 0;
    enum dk_err err = dk_checker_keys(key_file, arguments->settings.state_dir, &keys, fault);

    if (err != DK_OK)
        return err;
    dk_confine_reading(arguments->operands, (size_t)arguments->operand_count, NULL, arguments->settings.state_dir,
                       output);

    struct collection c = {.checker = dk_checker_make(&keys, key_file != NULL)};

    err = dk_records_each(arguments->settings.state_dir, named ? arguments->operands : only,
                          named ? arguments->operand_count : 1, add_record, &c, fault);
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
        {"output", "FILE", N_("write the page there (also -o FILE); default: standard output"), &output, NULL},
        {"language", "vi|en", N_("of the page; default: the locale's"), &language, NULL},
        {"key", "FILE", N_("public key or keys of the devices (JWK, JWK set or PEM); default: this device's own"),
         &key_file, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK)
        err = dk_verb_use_language(language, &fault);
    if (err == DK_OK)
        err = report(&arguments, key_file, output, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("report", &fault);
}
