// SPDX-License-Identifier: Apache-2.0
//
// Marks texts for people, and says them in their language (gettext, domain "dokiem").
#pragma once

#if DK_NLS
#include <libintl.h>
#define _(text) dgettext("dokiem", text)
#else
#define _(text) (text)
#endif
// Marks a text that _() is applied to later.
#define N_(text) text
