// SPDX-License-Identifier: Apache-2.0
//
// Text from outside on its way to a person: nothing in it may steer a terminal or pose as something else.
#pragma once

#include "agent/base/clock.h"
#include "agent/report/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Prints a text on stdout, cleaned.
void dk_text_print(const char *text);

// Prints a text on stdout, filled up with blanks to so many columns: negative, with the blanks before it.
void dk_text_print_padded(const char *text, int columns);

// A moment for people: in Vietnamese the time of Vietnam, "20/11/2026 14:05:30", else RFC 3339.
void dk_when_text(struct dk_wall when, char out[static DK_DATE_SIZE]);

enum { DK_RATE_TEXT_SIZE = 32 };

// "54.3 Mb/s"; "-" for a negative rate.
void dk_rate_text(int64_t rate_bps, char out[static DK_RATE_TEXT_SIZE]);
