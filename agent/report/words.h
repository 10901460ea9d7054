// SPDX-License-Identifier: Apache-2.0
//
// The words that every report for people uses, in the user's language. Never NULL; not to be freed.
#pragma once

#include "agent/judge/verdict.h"

// The figure a rule is about: "download, steady rate".
const char *dk_indicator_words(enum dk_indicator indicator);

// What a flag means for who reads the figures, in one sentence without its end.
const char *dk_flag_words(enum dk_flag_code code);

// The same for their codes as records have them ("download.rate_bps", "host_limited"); NULL for one that is
// not known.
const char *dk_indicator_path_words(const char *path);
const char *dk_flag_code_words(const char *code);

// What became of a run, by the outcome of its verdict ("pass" …, "" for none). `qcvn`: the check that decides
// is of a national technical regulation; a target of a plan is met or not, it is never failed.
const char *dk_outcome_words(enum dk_kind kind, const char *outcome, bool qcvn);

// Any other code of a record ("wifi", "4g", "indoor", "not_measured" …) in words; NULL for one that is not
// known.
const char *dk_code_words(const char *code);
// The same, or the code itself, borrowed.
const char *dk_code_said(const char *code);
