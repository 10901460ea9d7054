// SPDX-License-Identifier: Apache-2.0
//
// Samples from what a person named: sealed records, each checked, and exports of rows. Shared by assess and report.
#pragma once

#include "agent/assess/sample.h"
#include "agent/base/error.h"
#include "agent/report/assessment.h"

// Reads files, folders of records, "-" for standard input; without any, the journal in `state_dir`. A line is a sealed
// record, a row of JSON, or, in a file whose first line names columns, of CSV. Records are checked with the keys of
// `key_file`, or (NULL) the state's own, which are read when the first record is met. Of the figures those of
// `indicators` are kept (dk_samples_new). What is not taken is counted and named in *input. Nothing at all is no error.
// *out is set only on success. Errors: NO_INPUT (a file or folder is missing), PERMISSION, IO, MEMORY; the keys' own;
// DATA (too many samples).
enum dk_err dk_samples_read(char **files, int file_count, const char *key_file, const char *state_dir,
                            uint32_t indicators, struct dk_samples **out, struct dk_input *input,
                            struct dk_fault *fault);
