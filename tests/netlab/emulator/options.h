// SPDX-License-Identifier: Apache-2.0
//
// The command line of the link emulator.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "tests/netlab/emulator/link.h"

struct dk_emulator_options {
    const char *agent, *server; // interfaces. All texts are borrowed from the command line
    const char *csv;            // path; NULL: none
    int64_t seed;
    int64_t grain_us;
    struct dk_link_settings links[DK_DIRECTIONS];
    struct dk_trace *traces[DK_DIRECTIONS]; // owned; NULL: none. The links point to them
    bool help;
};

// Reads the command line and the recordings it names. *out is freed with dk_emulator_options_free, also after
// an error. Errors: USAGE, and those of dk_trace_read.
enum dk_err dk_emulator_options_read(int argc, char **argv, struct dk_emulator_options *out,
                                     struct dk_fault *fault);
void dk_emulator_options_free(struct dk_emulator_options *options);

// Appends the help text. Errors: as dk_buf_append.
enum dk_err dk_emulator_options_help(struct dk_buf *out);
