// SPDX-License-Identifier: Apache-2.0
#include "agent/report/report.h"

#include <stdio.h>

#include "agent/report/field.h"
#include "agent/report/page.h"
#include "agent/report/text.h"

// The date of a record in words; what stands there when it is none.
static void add_date(struct dk_markup *m, const json_t *record)
{
    struct dk_wall when;
    char date[DK_DATE_SIZE];

    if (!dk_wall_parse(dk_field_text(record, "time.start"), &when)) {
        dk_markup_foreign(m, dk_field_text(record, "time.start"));
        return;
    }
    dk_local_date(when, date);
    dk_markup_words(m, "%s (UTC+07:00)", date);
}

static void add_kind(struct dk_markup *m, struct dk_wall made)
{
    char date[DK_DATE_SIZE];

    dk_local_date(made, date);
    dk_markup_add(m, "<p class=\"kind\">");
    dk_markup_words(m, _("dokiem %s, report made on %s"), DK_VERSION, date);
    dk_markup_add(m, "</p>\n");
}

static void add_title(struct dk_markup *m, const json_t *record)
{
    const char *name = dk_field_text(record, "site.name"), *code = dk_field_text(record, "site.code");

    dk_markup_add(m, "<p class=\"sub\">");
    if (name[0] != '\0' || code[0] != '\0') {
        dk_markup_foreign(m, name[0] != '\0' ? name : code);
        dk_markup_add(m, " · ");
    }
    add_date(m, record);
    dk_markup_add(m, "</p>\n");
}

void dk_report_one(struct dk_markup *m, const struct dk_report_item *item, struct dk_wall made)
{
    const char *id = dk_field_text(item->record, "id");
    char title[160];

    snprintf(title, sizeof title, "%s %.36s", _("Measurement report"), id);
    dk_page_begin(m, title, id);
    dk_markup_add(m, "<header>\n<h1>");
    dk_markup_words(m, "%s", _("Measurement report"));
    dk_markup_add(m, "</h1>\n");
    if (item->record != NULL)
        add_title(m, item->record);
    dk_markup_add(m, "</header>\n");
    dk_report_record(m, item, 2);
    add_kind(m, made);
    dk_page_end(m);
}
