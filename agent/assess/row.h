// SPDX-License-Identifier: Apache-2.0
//
// One sample as it is read: from the payload of a record, a row of JSON, or a line of CSV. docs/assess.md, "Rows".
#pragma once

#include "agent/assess/intern.h"
#include "agent/assess/sample.h"

enum {
    DK_ROW_ID_SIZE = 16,
    DK_ROW_VALUES = 6, // of the indicators, those that are rates and times
    DK_ROW_TEXT_MAX = 4096,
    DK_ROW_MAX_BYTES = 64 << 10,
};

struct dk_row {
    uint8_t id[DK_ROW_ID_SIZE];
    int64_t seq; // 0 when it was not said
    struct dk_wall start;
    uint32_t duration_ms;
    struct dk_origin origin;
    struct dk_sample_state state;
    int64_t values[DK_ROW_VALUES]; // -1 for none
    bool has_unknown_schema;       // also set when the reading failed for that
};

// The place of an indicator in `values`; -1 when it is a status.
int dk_row_column(enum dk_indicator indicator);

// The names of a row, in the order that an export writes them; NULL after the last.
const char *dk_row_name(size_t number);

// Reads one. Texts go into `texts`; `scratch` is used meanwhile. Padding in *out is zero. Errors: DATA; MEMORY.
enum dk_err dk_row_read_record(struct dk_texts *texts, struct dk_buf *scratch, const char *json, size_t len,
                               struct dk_row *out, struct dk_fault *fault);
enum dk_err dk_row_read_json(struct dk_texts *texts, struct dk_buf *scratch, const char *json, size_t len,
                             struct dk_row *out, struct dk_fault *fault);
enum dk_err dk_row_read_csv(struct dk_texts *texts, struct dk_buf *scratch, const struct dk_csv_columns *columns,
                            const char *line, size_t len, struct dk_row *out, struct dk_fault *fault);
