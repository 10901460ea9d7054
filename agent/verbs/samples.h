// SPDX-License-Identifier: Apache-2.0
//
// Samples from what a person named: sealed records, each checked, and exports of rows. Shared by assess and report.
#pragma once

#include "agent/assess/sample.h"
#include "agent/base/error.h"
#include "agent/record/ring.h"
#include "agent/report/assessment.h"

// The keys that records are checked with, or why there are none. Owned: dk_keys_free(&keys.ring).
struct dk_sample_keys {
    struct dk_keys ring;
    struct dk_fault fault; // err is DK_OK when it is good
};

// Reads the keys of `key_file`, or (NULL) those of `state_dir`.
void dk_samples_read_keys(const char *key_file, const char *state_dir, struct dk_sample_keys *out);

// Reads files, folders of records, "-" for standard input; without any, the journal in `state_dir`. A line is a sealed
// record, a row of JSON, or, in a file whose first line names columns, of CSV. Records are checked with `keys`, to
// which those of rotations are added; that there are none is an error when the first record is met. Of the figures
// those of `indicators` are kept (dk_samples_new). What is not taken is counted and named in *input. Nothing at all is
// no error. *out is set only on success. Errors: NO_INPUT (a file or folder is missing), PERMISSION, IO, MEMORY; the
// keys' own; DATA (too many samples).
enum dk_err dk_samples_read(char **files, int file_count, struct dk_sample_keys *keys, const char *state_dir,
                            uint32_t indicators, struct dk_samples **out, struct dk_input *input,
                            struct dk_fault *fault);
