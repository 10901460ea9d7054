// SPDX-License-Identifier: Apache-2.0
#include "agent/report/page.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/base64url.h"
#include "agent/base/language.h"
#include "agent/base/sha256.h"

enum { STYLE_MAX = 32768 };

// The style of the page's foot holds the record's id: the policy is by the hash of the whole.
static enum dk_err make_style(const char *foot, struct dk_buf *out)
{
    char clean[128];
    size_t len = 0;

    for (; *foot != '\0' && len + 1 < sizeof clean; foot++)
        if (isalnum((unsigned char)*foot) || strchr(" .:-", *foot) != NULL)
            clean[len++] = *foot;
    clean[len] = '\0';
    return dk_buf_printf(
        out,
        "\n%s@page { @bottom-left { content: \"%s\"; font: 7.5pt sans-serif; color: #595959; }\n"
        "@bottom-right { content: counter(page) \" / \" counter(pages); font: 7.5pt sans-serif; "
        "color: #595959; } }\n",
        dk_page_style, clean);
}

static enum dk_err add_style(struct dk_markup *m, const char *foot)
{
    dk_auto_buf struct dk_buf style = dk_buf_make(STYLE_MAX), hash = dk_buf_make(DK_SHA256_TEXT_SIZE);
    uint8_t sha256[DK_SHA256_SIZE];
    enum dk_err err = make_style(foot, &style);

    if (err == DK_OK)
        err = dk_sha256(style.data, style.len, sha256);
    if (err == DK_OK)
        err = dk_base64url_encode(sha256, sizeof sha256, &hash);
    if (err != DK_OK)
        return err;
    dk_markup_addf(
        m,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-%s='; "
        "base-uri 'none'; form-action 'none'\">\n",
        dk_buf_text(&hash));
    dk_markup_add(m, "<style>");
    dk_markup_add(m, dk_buf_text(&style));
    dk_markup_add(m, "</style>\n");
    return DK_OK;
}

void dk_page_begin(struct dk_markup *m, const char *title, const char *foot)
{
    dk_markup_addf(m, "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n",
                   dk_language());

    enum dk_err err = add_style(m, foot);

    if (m->err == DK_OK)
        m->err = err;
    dk_markup_add(m, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"generator\" "
                     "content=\"dokiem " DK_VERSION "\">\n<title>");
    dk_markup_text(m, title);
    dk_markup_add(
        m,
        "</title>\n</head>\n<body>\n"
        "<svg class=\"hidden\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"90\" height=\"90\" "
        "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path d=\"M0 0V90\" "
        "stroke=\"#777\" stroke-width=\"18\"/></pattern></defs></svg>\n<main>\n");
}

void dk_page_end(struct dk_markup *m)
{
    dk_markup_add(m, "</main>\n</body>\n</html>\n");
}
