// SPDX-License-Identifier: Apache-2.0
//
// The words that every report for people uses, in the user's language. Never NULL; not to be freed.
#pragma once

#include "agent/judge/verdict.h"

// The figure a rule is about: "download, steady rate".
const char *dk_indicator_words(enum dk_indicator indicator);

// What a flag means for who reads the figures, in one sentence without its end.
const char *dk_flag_words(enum dk_flag_code code);
