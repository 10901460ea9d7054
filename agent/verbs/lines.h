// SPDX-License-Identifier: Apache-2.0
//
// The lines of what a person named: a file, a folder of records, or standard input.
#pragma once

#include "agent/base/error.h"

#include <stddef.h>
#include <stdint.h>

// One line without its line end, borrowed for the call. `line` counts from 1; 0 when it is the only one of its file.
// A longer line is cut to max_len + 1 bytes. An empty file has one empty line. An error ends the reading.
typedef enum dk_err dk_line_callback(void *argument, const char *file, int64_t line, const char *text, size_t len);

enum dk_lines_of {
    DK_LINES_RECORDS,
    DK_LINES_RECORDS_AND_RECEIPTS,
};

// Reads `path`: a file; "-" for standard input; a folder for its *.jws, with or without the receipts, in the order of
// their names. Errors: NO_INPUT (missing, or a folder without records), PERMISSION, IO, MEMORY, and what the callback
// gives.
enum dk_err dk_lines_read(const char *path, enum dk_lines_of of, size_t max_len, dk_line_callback *callback,
                          void *argument, struct dk_fault *fault);
