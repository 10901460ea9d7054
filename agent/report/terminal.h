// SPDX-License-Identifier: Apache-2.0
//
// The result of a run for a person: short, in their language, as wide as their terminal. Values in, text out.
#pragma once

#include "agent/base/terms.h"
#include "agent/context/context.h"
#include "agent/judge/verdict.h"
#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// What the text may do.
struct dk_terminal {
    bool is_terminal; // false: a pipe or a file; then no control characters at all but line ends
    bool utf8;        // the locale's characters
    bool colour;      // a terminal that can, and NO_COLOR is not set
    size_t columns;   // 80 when it is not a terminal, or does not say
};

// What `out` is: asks the terminal, and the environment for NO_COLOR and TERM.
struct dk_terminal dk_terminal_of(FILE *out);

// All of it is borrowed. Texts are "" when not set, and may hold anything: what is not clean is shown as '?'.
struct dk_report_input {
    enum dk_kind kind;
    const char *reason; // of a skipped or failed run
    const char *server_name, *server_url, *site_operator;
    const struct dk_context *context;
    const struct dk_measurement *measurement;
    const struct dk_validity *validity; // NULL when nothing was measured
    const struct dk_verdict *verdict;   // NULL when nothing was judged
    const char *id;
    int64_t seq;
    const char *kept; // the folder that the record is kept in
};

// Writes the result to `out`. Write errors are left in ferror(out).
void dk_report_result(FILE *out, const struct dk_terminal *terminal, const struct dk_report_input *input);
