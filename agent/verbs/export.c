// SPDX-License-Identifier: Apache-2.0
//
// Records as rows: one a sample, for dokiem assess and for spreadsheets; or one a place, for who reports on a
// commune. A record that does not verify is no row: it is counted and named.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/assess/flat.h"
#include "agent/assess/row.h"
#include "agent/report/csv.h"
#include "agent/report/text.h"
#include "agent/report/words.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/checker.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/places.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/verbs.h"

enum { NAMES_MAX = 64, FLAGS_TEXT_SIZE = 1024, NAMED_BAD_MAX = 20 };

// What the record says under one name of a row; borrowed from the checker's texts.
struct cell {
    bool is_set;
    enum { CELL_TEXT, CELL_INTEGER, CELL_BOOLEAN } type;
    const char *text;
    int64_t integer;
};

struct export
{
    struct dk_checker checker;
    struct dk_csv csv; // not used for NDJSON
    FILE *out;
    bool ndjson;
    struct dk_places *places; // NULL for a row a sample
    size_t rows, bad, unchecked;
};

// One row, while its record is read.
struct filling {
    struct export *export;
    struct cell cells[NAMES_MAX];
    char flags[FLAGS_TEXT_SIZE]; // "host_limited:download unsteady:all"
    size_t flags_len;
};

static bool is(const struct dk_flat_member *member, const char *path)
{
    return strlen(path) == member->path_len && memcmp(path, member->path, member->path_len) == 0;
}

// The two members of a flag stand beside each other, its code first.
static void add_flag(struct filling *filling, const struct dk_flat_member *member)
{
    bool is_code = is(member, "validity.flags[].code");
    int len =
        snprintf(filling->flags + filling->flags_len, sizeof filling->flags - filling->flags_len, "%s%.*s",
                 !is_code                 ? ":"
                 : filling->flags_len > 0 ? " "
                                          : "",
                 (int)member->len, member->text);

    if (len > 0 && (size_t)len < sizeof filling->flags - filling->flags_len)
        filling->flags_len += (size_t)len;
}

static enum dk_err on_member(void *argument, const struct dk_flat_member *member)
{
    struct filling *filling = argument;

    if (is(member, "validity.flags[].code") || is(member, "validity.flags[].figure")) {
        if (member->type == DK_FLAT_TEXT)
            add_flag(filling, member);
        return DK_OK;
    }
    for (size_t i = 0; i < NAMES_MAX && dk_row_name(i) != NULL; i++)
        if (is(member, dk_row_name(i))) {
            struct cell *cell = &filling->cells[i];

            cell->is_set = member->type != DK_FLAT_NULL;
            cell->type = member->type == DK_FLAT_TEXT      ? CELL_TEXT
                         : member->type == DK_FLAT_BOOLEAN ? CELL_BOOLEAN
                                                           : CELL_INTEGER;
            cell->integer = member->integer;
            if (cell->type == CELL_TEXT)
                return dk_texts_add(&filling->export->checker.texts, member->text, member->len, &cell->text);
            return DK_OK;
        }
    return DK_OK;
}

static enum dk_err fill(struct filling *filling, const struct dk_buf *payload)
{
    struct export *export = filling->export;
    enum dk_err err =
        dk_flat_read(payload->data, payload->len, true, &export->checker.scratch, on_member, filling, NULL);

    for (size_t i = 0; err == DK_OK && dk_row_name(i) != NULL; i++) {
        struct cell *cell = &filling->cells[i];

        if (strcmp(dk_row_name(i), "schema") == 0)
            cell->text = DK_ROW_SCHEMA;
        if (strcmp(dk_row_name(i), "validity.flags") == 0 && filling->flags_len > 0)
            *cell = (struct cell){.is_set = true, .text = filling->flags};
    }
    return err;
}

static enum dk_err write_json(const struct export *export, const struct filling *filling,
                              const struct dk_listed *listed)
{
    dk_auto(json) json_t *row = json_object();
    int failed = row == NULL;

    for (size_t i = 0; dk_row_name(i) != NULL; i++) {
        const struct cell *cell = &filling->cells[i];

        if (cell->is_set)
            failed |= json_object_set_new(row, dk_row_name(i),
                                          cell->type == CELL_TEXT      ? json_string(cell->text)
                                          : cell->type == CELL_BOOLEAN ? json_boolean(cell->integer)
                                                                       : json_integer(cell->integer));
    }
    failed |= json_object_set_new(row, "seq", json_integer(listed->head.seq));
    failed |= json_object_set_new(row, "verdict.outcome", json_string(listed->outcome));

    char *text = failed == 0 ? json_dumps(row, JSON_COMPACT) : NULL;

    if (text == NULL)
        return DK_ERR_MEMORY;
    fprintf(export->out, "%s\n", text);
    free(text);
    return DK_OK;
}

static void write_heads(struct export *export)
{
    if (export->ndjson)
        return;
    for (size_t i = 0; dk_row_name(i) != NULL; i++)
        dk_csv_word(&export->csv, dk_row_name(i));
    // For people: the same once more, in their units.
    dk_csv_word(&export->csv, _("No."));
    dk_csv_word(&export->csv, _("Start (UTC+07:00)"));
    dk_csv_word(&export->csv, _("Technology"));
    dk_csv_word(&export->csv, _("download, Mb/s"));
    dk_csv_word(&export->csv, _("upload, Mb/s"));
    dk_csv_word(&export->csv, _("latency, ms"));
    dk_csv_word(&export->csv, _("Outcome"));
    dk_csv_word(&export->csv, _("Signature"));
    dk_csv_end_line(&export->csv);
}

static void write_csv(struct export *export, const struct filling *filling, const struct dk_listed *listed)
{
    struct dk_csv *csv = &export->csv;
    const char *technology = dk_code_words(listed->technology);
    char start[DK_DATE_SIZE];

    for (size_t i = 0; dk_row_name(i) != NULL; i++) {
        const struct cell *cell = &filling->cells[i];

        if (!cell->is_set)
            dk_csv_word(csv, "");
        else if (cell->type == CELL_TEXT)
            dk_csv_text(csv, cell->text);
        else if (cell->type == CELL_BOOLEAN)
            dk_csv_word(csv, cell->integer != 0 ? "true" : "false");
        else
            dk_csv_integer(csv, cell->integer);
    }
    dk_local_date(listed->head.start, start);
    dk_csv_integer(csv, listed->head.seq);
    dk_csv_word(csv, start);
    dk_csv_text(csv, technology != NULL ? technology : listed->technology);
    dk_csv_amount(csv, listed->download_bps, 1000000, 2);
    dk_csv_amount(csv, listed->upload_bps, 1000000, 2);
    dk_csv_amount(csv, listed->latency_ns, 1000000, 2);
    dk_csv_word(csv, dk_outcome_words(listed->head.kind, listed->outcome, listed->qcvn));
    dk_csv_word(csv, listed->checked == DK_CHECKED_GOOD ? _("verified") : _("not checked"));
    dk_csv_end_line(csv);
}

static void name_bad(struct export *export, const struct dk_listed *listed)
{
    if (export->bad++ >= NAMED_BAD_MAX)
        return;

    dk_auto_buf struct dk_buf words = dk_buf_make(4096);

    // A text that is too long is shown as far as it fits.
    if (dk_text_clean(listed->source, strlen(listed->source), false, &words) == DK_OK &&
        dk_buf_append(&words, ": ", 2) == DK_OK)
        (void)!dk_text_clean(listed->reason, strlen(listed->reason), false, &words);
    fprintf(stderr, "dokiem export: %s\n", dk_buf_text(&words));
}

static enum dk_err on_record(void *argument, struct dk_journal *journal, const char *source, const char *jws,
                             size_t len, struct dk_fault *fault)
{
    struct export *export = argument;
    struct filling filling = {.export = export};
    struct dk_listed listed = {.source = source, .reason = ""};
    struct dk_fault why = {0};
    struct dk_row row;
    char key_id[DK_SHA256_TEXT_SIZE];
    enum dk_err err = dk_checker_check(&export->checker, jws, len, journal != NULL, &listed, key_id);
    const struct dk_buf *payload = &export->checker.payload;

    if (err == DK_OK && listed.checked != DK_CHECKED_BAD && listed.readable) {
        err = dk_row_read_record(&export->checker.texts, &export->checker.scratch, payload->data,
                                 payload->len, &row, &why);
        if (err == DK_ERR_DATA) {
            listed.readable = false;
            listed.reason = why.what;
            err = DK_OK;
        }
    }
    if (err == DK_OK && (listed.checked == DK_CHECKED_BAD || !listed.readable)) {
        name_bad(export, &listed);
        return DK_OK;
    }
    export->unchecked += listed.checked == DK_CHECKED_NOT;
    export->rows++;
    if (err == DK_OK && export->places != NULL)
        err = dk_places_add(export->places, &row);
    else if (err == DK_OK && (err = fill(&filling, payload)) == DK_OK) {
        if (export->ndjson)
            err = write_json(export, &filling, &listed);
        else
            write_csv(export, &filling, &listed);
    }
    return err == DK_OK ? DK_OK : dk_fail(fault, err, source, NULL, "%s", dk_err_text(err));
}

static enum dk_err finish(const struct export *export, struct dk_fault *fault)
{
    if (export->unchecked > 0)
        fprintf(stderr,
                "dokiem export: the signatures of %zu of %zu records were not checked; name the keys with "
                "--key\n",
                export->unchecked, export->rows + export->bad);
    if (export->bad > 0)
        return dk_fail(fault, DK_ERR_DATA, NULL, "dokiem verify says it of each",
                       "%zu of %zu records do not verify and are no rows", export->bad,
                       export->rows + export->bad);
    return DK_OK;
}

static enum dk_err run(struct export *export, const struct dk_arguments *arguments, struct dk_fault *fault)
{
    char journal[PATH_MAX + 16], *only[] = {journal};
    bool named = arguments->operand_count > 0;

    snprintf(journal, sizeof journal, "%s/journal", arguments->settings.state_dir);
    if (!export->ndjson)
        export->csv = dk_csv_begin(export->out);
    if (export->places == NULL)
        write_heads(export);

    enum dk_err err = dk_records_each(arguments->settings.state_dir, named ? arguments->operands : only,
                                      named ? arguments->operand_count : 1, on_record, export, fault);

    if (err == DK_OK && export->places != NULL)
        err = dk_places_write(export->places, &export->csv, fault);
    return err == DK_OK ? finish(export, fault) : err;
}

static enum dk_err open_out(const char *path, FILE **out, struct dk_fault *fault)
{
    *out = path == NULL ? stdout : fopen(path, "we");
    return *out != NULL ? DK_OK : dk_fail(fault, DK_ERR_IO, path, NULL, "cannot be written");
}

// Everything but the command line.
static enum dk_err export_records(const struct dk_arguments *arguments, const char *key_file,
                                  const char *output, bool ndjson, bool by_place, struct dk_fault *fault)
{
    dk_auto_keys struct dk_keys keys = {0};
    struct dk_places places = {0};
    enum dk_err err = dk_checker_keys(key_file, arguments->settings.state_dir, &keys, fault);

    if (err == DK_OK && by_place)
        err = dk_rules_load(&places.rules, arguments->settings.profile, fault);
    if (err != DK_OK)
        return err;

    struct export export = {.checker = dk_checker_make(&keys, key_file != NULL), .ndjson = ndjson};

    if (by_place)
        export.places = &places;
    err = open_out(output, &export.out, fault);
    dk_confine_reading(arguments->operands, (size_t)arguments->operand_count, NULL, arguments->settings.state_dir,
                       NULL);
    if (err == DK_OK)
        err = run(&export, arguments, fault);
    if (output != NULL && export.out != NULL && fclose(export.out) != 0 && err == DK_OK)
        err = dk_fail(fault, DK_ERR_IO, output, NULL, "cannot be written");
    dk_places_free(&places);
    dk_checker_free(&export.checker);
    return err;
}

int dk_verb_export(int argc, char **argv)
{
    const char *key_file = NULL, *output = NULL, *language = NULL, *format = "csv", *table = "samples";
    const struct dk_own_flag flags[] = {
        {"format", "csv|ndjson",
         N_("for spreadsheets (UTF-8 with a mark, and ';' where the comma is decimal), or JSON lines"), &format,
         NULL},
        {"table", "samples|places", N_("a row a sample, or a row a site, operator and technology (csv)"), &table,
         NULL},
        {"output", "FILE", N_("write there (also -o FILE); default: standard output"), &output, NULL},
        {"language", "vi|en", N_("of headings and numbers; default: the locale's"), &language, NULL},
        {"key", "FILE", N_("public keys of the devices; default: this device's own"), &key_file, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);
    bool ndjson = strcmp(format, "ndjson") == 0, places = strcmp(table, "places") == 0;

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && !ndjson && strcmp(format, "csv") != 0)
        err = dk_fail(&fault, DK_ERR_USAGE, "--format", "use csv or ndjson", "'%s' is no format", format);
    if (err == DK_OK && !places && strcmp(table, "samples") != 0)
        err = dk_fail(&fault, DK_ERR_USAGE, "--table", "use samples or places", "'%s' is no table", table);
    if (err == DK_OK && places && ndjson)
        err = dk_fail(&fault, DK_ERR_USAGE, "--table", "places come as csv", "ndjson has a row a sample");
    if (err == DK_OK)
        err = dk_verb_use_language(language, &fault);
    if (err == DK_OK)
        err = export_records(&arguments, key_file, output, ndjson, places, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("export", &fault);
}
