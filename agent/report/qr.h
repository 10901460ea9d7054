// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>

#include "agent/report/markup.h"

// True when this build draws QR codes (libqrencode).
bool dk_qr_is_built(void);

// Appends a QR code (ISO/IEC 18004, error correction M) of `text` as an inline SVG called `title`; nothing
// when it is not built or the text is too long for one.
void dk_qr_add(struct dk_markup *m, const char *text, const char *title);
