// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/message.h"
#include "agent/journal/journal.h"
#include "agent/report/words.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"

// "" unless the record was set aside.
static void read_refusal(struct dk_journal *journal, const struct dk_journal_entry *entry,
                         char out[static DK_REFUSAL_TEXT_SIZE])
{
    out[0] = '\0';
    if (entry->delivery == DK_DELIVERY_REFUSED)
        dk_refusal_read(journal, entry->seq, out);
}

static void print_cells(const char *const cells[static 6])
{
    static const int columns[] = {24, 11, 9, 14, -12, -12};

    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        printf("  ");
        dk_text_print_padded(cells[i], columns[i]);
    }
}

static void print_row(struct dk_journal *journal, const struct dk_journal_entry *entry,
                      const struct dk_summary *summary)
{
    char refusal[DK_REFUSAL_TEXT_SIZE];
    char start[DK_DATE_SIZE], download[DK_RATE_TEXT_SIZE], upload[DK_RATE_TEXT_SIZE];
    const char *const cells[] = {start,
                                 dk_code_said(dk_kind_text(summary->head.kind)),
                                 _(dk_delivery_text(entry->delivery)),
                                 summary->outcome[0] != '\0' ? dk_code_said(summary->outcome) : "-",
                                 download,
                                 upload};

    read_refusal(journal, entry, refusal);
    dk_when_text(summary->head.start, start);
    dk_rate_text(summary->download_bps, download);
    dk_rate_text(summary->upload_bps, upload);
    printf("%6" PRId64, entry->seq);
    print_cells(cells);
    printf("%s%s%s%s\n", summary->reason[0] != '\0' ? "  " : "", summary->reason,
           refusal[0] != '\0' ? _("  refused: ") : "", refusal);
}

static enum dk_err print_json(struct dk_journal *journal, const struct dk_journal_entry *entry,
                              const struct dk_summary *summary, struct dk_fault *fault)
{
    char refusal[DK_REFUSAL_TEXT_SIZE];
    json_t *json = dk_summary_json(summary);
    int64_t bytes = 0;

    read_refusal(journal, entry, refusal);
    (void)dk_journal_size(journal, entry->seq, &bytes);
    if (json_object_set_new(json, "delivery", json_string(dk_delivery_text(entry->delivery))) != 0 ||
        json_object_set_new(json, "bytes", json_integer(bytes)) != 0 ||
        (refusal[0] != '\0' && json_object_set_new(json, "refusal", json_string(refusal)) != 0)) {
        json_decref(json);
        json = NULL;
    }
    return dk_json_print(json, fault);
}

static enum dk_err print_damaged(const struct dk_journal_entry *entry, bool json, const char *why,
                                 struct dk_fault *fault)
{
    if (json)
        return dk_json_print(
            json_pack("{s:I, s:s, s:s}", "seq", (json_int_t)entry->seq, "kind", "damaged", "reason", why),
            fault);
    printf("%6" PRId64 "  ", entry->seq);
    dk_text_print_padded("-", 26);
    dk_text_print_padded(_("damaged"), 13);
    dk_text_print_padded(_(dk_delivery_text(entry->delivery)), 11);
    printf("%s\n", why);
    return DK_OK;
}

static enum dk_err list(struct dk_journal *journal, bool json, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0, damaged = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    if (err == DK_OK && !json && count > 0) {
        const char *const titles[] = {_("start"),   _("kind"),     _("delivery"),
                                      _("outcome"), _("download"), _("upload")};

        dk_text_print_padded(_("seq"), -6);
        print_cells(titles);
        printf("\n");
    }
    for (size_t i = 0; err == DK_OK && i < count; i++) {
        struct dk_summary summary;
        struct dk_fault own = {0};
        enum dk_err read = dk_summary_read(journal, entries[i].seq, &summary, &own);

        // A delivery may have pruned it meanwhile.
        if (read == DK_ERR_NO_INPUT)
            continue;
        if (read == DK_ERR_DATA) {
            damaged++;
            err = print_damaged(&entries[i], json, own.what, fault);
        } else if (read != DK_OK) {
            err = dk_fail(fault, read, own.where, own.todo, "%s", own.what);
        } else if (json) {
            err = print_json(journal, &entries[i], &summary, fault);
        } else {
            print_row(journal, &entries[i], &summary);
        }
    }
    free(entries);
    if (err == DK_OK && damaged > 0)
        return dk_fail(fault, DK_ERR_DATA, NULL, "keep the files, and see dokiem verify",
                       "%zu damaged records", damaged);
    return err;
}

int dk_verb_list(int argc, char **argv)
{
    const char *format = NULL;
    const struct dk_own_flag flags[] = {
        {"format", "text|json", N_("a table, or one JSON object a line"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    dk_auto(journal) struct dk_journal *journal = NULL;
    bool json = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], "see one record with dokiem show",
                      "list takes no operands");
    if (err == DK_OK)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        err = dk_journal_open(arguments.settings.state_dir, false, &journal, &fault);
    if (err == DK_OK)
        err = list(journal, json, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("list", &fault);
}
