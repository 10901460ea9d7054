// SPDX-License-Identifier: Apache-2.0
#include "agent/report/qr.h"

#if DK_QR
#include <qrencode.h>

enum { QUIET_ZONE = 4 }; // ISO/IEC 18004: modules of white around it

// One path: a rectangle one module high for each run of dark modules.
static void add_runs(struct dk_markup *m, const QRcode *code)
{
    for (int y = 0; y < code->width; y++)
        for (int x = 0; x < code->width;) {
            int run = 0;

            while (x + run < code->width && (code->data[y * code->width + x + run] & 1) != 0)
                run++;
            if (run > 0)
                dk_markup_addf(m, "M%d %dh%dv1h-%dz", x, y, run, run);
            x += run + 1;
        }
}

bool dk_qr_is_built(void)
{
    return true;
}

void dk_qr_add(struct dk_markup *m, const char *text, const char *title)
{
    QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);

    if (code == NULL)
        return;
    dk_markup_addf(m,
                   "<svg class=\"qr\" role=\"img\" viewBox=\"-%d -%d %d %d\" shape-rendering=\"crispEdges\">",
                   QUIET_ZONE, QUIET_ZONE, code->width + 2 * QUIET_ZONE, code->width + 2 * QUIET_ZONE);
    dk_markup_add(m, "<title>");
    dk_markup_text(m, title);
    dk_markup_addf(
        m, "</title><rect x=\"-%d\" y=\"-%d\" width=\"100%%\" height=\"100%%\" fill=\"#fff\"/><path d=\"",
        QUIET_ZONE, QUIET_ZONE);
    add_runs(m, code);
    dk_markup_add(m, "\"/></svg>\n");
    QRcode_free(code);
}
#else
bool dk_qr_is_built(void)
{
    return false;
}

void dk_qr_add(struct dk_markup *m, const char *text, const char *title)
{
    (void)m;
    (void)text;
    (void)title;
}
#endif
