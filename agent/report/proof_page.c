// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "agent/report/field.h"
#include "agent/report/parts.h"
#include "agent/report/qr.h"
#include "agent/report/text.h"

static void add_row(struct dk_markup *m, const char *label)
{
    dk_markup_add(m, "<dt>");
    dk_markup_words(m, "%s", label);
    dk_markup_add(m, "</dt><dd>");
}

static void add_state(struct dk_markup *m, const struct dk_report_item *item)
{
    add_row(m, _("Signature"));
    switch (item->checked) {
    case DK_CHECKED_GOOD:
        dk_markup_add(m, "<span class=\"state-ok\">");
        dk_markup_words(m, "✓ %s", _("verified when this report was made"));
        break;
    case DK_CHECKED_BAD:
        dk_markup_add(m, "<span class=\"state-bad\">");
        dk_markup_words(m, "✗ %s", _("does not hold"));
        break;
    case DK_CHECKED_NOT:
    default:
        dk_markup_add(m, "<span class=\"state-bad\">");
        dk_markup_words(m, "%s", _("not checked: no public key was at hand"));
        break;
    }
    dk_markup_add(m, "</span> (ES256)</dd>\n");
}

static void add_chain(struct dk_markup *m, const struct dk_report_item *item, int64_t seq)
{
    add_row(m, _("Place in the chain"));
    dk_markup_words(m, _("record %lld of this device"), (long long)seq);
    if (item->place == DK_PLACE_FIRST)
        dk_markup_words(m, ", %s", _("the first"));
    else if (item->place == DK_PLACE_FOLLOWS)
        dk_markup_words(m, "; %s", _("it follows the record kept before it"));
    else if (item->place == DK_PLACE_BROKEN) {
        dk_markup_add(m, "; <span class=\"state-bad\">✗ ");
        dk_markup_words(m, "%s", _("the record kept before it is another: the chain is broken"));
        dk_markup_add(m, "</span>");
    }
    dk_markup_add(m, "</dd>\n");
}

static void add_code_row(struct dk_markup *m, const char *label, const char *code)
{
    if (code[0] == '\0')
        return;
    add_row(m, label);
    dk_markup_add(m, "<code>");
    dk_markup_text(m, code);
    dk_markup_add(m, "</code></dd>\n");
}

static void add_commands(struct dk_markup *m, int64_t seq, const char *sha256_hex)
{
    char file[32];

    snprintf(file, sizeof file, "%010" PRId64 ".jws", seq);
    dk_markup_add(m, "<p>");
    dk_markup_words(
        m,
        _("Ask the device's owner, or the Department that collects its records, for the file %s and for "
          "the device's public key. On any machine, without a network:"),
        file);
    dk_markup_addf(
        m, "</p>\n<pre>sha256sum %s\n  %s\ndokiem verify --key device.jwk %s\ndokiem recompute %s</pre>\n",
        file, sha256_hex, file, file);
    dk_markup_add(m, "<p class=\"soft\">");
    dk_markup_words(
        m, "%s",
        _("The first shows that the file is the one this page is about; the second, that the device signed "
          "it and nothing in it was changed; the third, that the figures and the verdict follow from the "
          "samples in it. Any JOSE program verifies it too (JWS, RFC 7515)."));
    dk_markup_add(m, "</p>\n");
}

void dk_part_proof(struct dk_markup *m, const struct dk_report_item *item, int level)
{
    const char *id = dk_field_text(item->record, "id");
    int64_t seq = dk_field_integer(item->record, "seq", 0);
    char qr[128];

    dk_markup_add(m, "<section>");
    dk_part_heading(m, level, _("The record and how to check it"));
    dk_markup_add(m, "<div class=\"proof\">\n<div><dl class=\"facts\">\n");
    add_state(m, item);
    add_code_row(m, _("Record"), id);
    if (seq > 0)
        add_chain(m, item, seq);
    add_code_row(m, "SHA-256", item->sha256_hex);
    add_code_row(m, _("Device's key"), item->key_id);
    dk_markup_add(m, "</dl></div>\n");
    snprintf(qr, sizeof qr, "%.36s %s", id, item->sha256_hex);
    if (dk_qr_is_built()) {
        dk_markup_add(m, "<div>");
        dk_qr_add(m, qr, _("QR code of the record's id and SHA-256"));
        dk_markup_add(m, "<small>");
        dk_markup_words(m, "%s", _("Id and SHA-256"));
        dk_markup_add(m, "</small></div>");
    }
    dk_markup_add(m, "</div>\n");
    if (seq > 0)
        add_commands(m, seq, item->sha256_hex);
    dk_markup_add(m, "</section>\n");
}
