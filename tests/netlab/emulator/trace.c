// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/trace.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"

enum { MAX_FILE_BYTES = 64 << 20, MAX_MS = 100000000, MAX_DIGITS = 9 };

// The number that is the whole line from *at on; moves *at past the line end. -1 when it is anything else.
static int64_t read_line(const char **at, const char *end)
{
    int64_t value = 0;
    int digits = 0;

    for (; *at < end && **at >= '0' && **at <= '9' && digits < MAX_DIGITS; (*at)++, digits++)
        value = value * 10 + (**at - '0');
    if (digits == 0 || value > MAX_MS || *at == end || **at != '\n')
        return -1;
    (*at)++;
    return value;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

enum dk_err dk_trace_parse(const char *text, size_t len, const char *where, struct dk_trace **out,
                           struct dk_fault *fault)
{
    const char *at = text, *end = text + len;
    size_t lines = count_lines(text, len);
    dk_auto(trace) struct dk_trace *trace = calloc(1, sizeof *trace);

    if (trace == NULL || (trace->at_ms = calloc(lines + 1, sizeof *trace->at_ms)) == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, where, NULL, "no memory for the recording");
    for (int64_t before = 0; at < end; trace->count++) {
        int64_t value = read_line(&at, end);

        if (value < before)
            return dk_fail(fault, DK_ERR_DATA, where, NULL,
                           "line %zu is not a whole number of ms, at least that of the line before",
                           trace->count + 1);
        trace->at_ms[trace->count] = (uint32_t)value;
        before = value;
    }
    if (trace->count == 0 || trace->at_ms[trace->count - 1] == 0)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "no time passes in the recording");
    trace->period_ns = trace->at_ms[trace->count - 1] * DK_NS_PER_MS;
    *out = trace;
    trace = NULL;
    return DK_OK;
}

enum dk_err dk_trace_read(const char *path, struct dk_trace **out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(MAX_FILE_BYTES);
    enum dk_err err = dk_file_read(path, &text, fault);

    return err != DK_OK ? err : dk_trace_parse(dk_buf_text(&text), text.len, path, out, fault);
}

void dk_trace_free(struct dk_trace *trace)
{
    if (trace != NULL)
        free(trace->at_ms);
    free(trace);
}

int64_t dk_trace_rate_bps(const struct dk_trace *trace)
{
    return (int64_t)trace->count * DK_OPPORTUNITY_BYTES * 8 * 1000 / (trace->period_ns / DK_NS_PER_MS);
}
