// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/usage.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"

enum { FILE_MAX_BYTES = DK_USAGE_ROWS_MAX * (DK_USAGE_LINK_SIZE + 48) };

static const char folder_name[] = "budget", file_name[] = "usage";

static struct tm date_of(struct dk_wall when)
{
    time_t seconds = (time_t)((when.ns + DK_VIETNAM_NS) / DK_NS_PER_S);
    struct tm date = {0};

    (void)gmtime_r(&seconds, &date);
    return date;
}

int64_t dk_usage_month(struct dk_wall when)
{
    struct tm date = date_of(when);

    return (date.tm_year + INT64_C(1900)) * 100 + date.tm_mon + 1;
}

int64_t dk_usage_day(struct dk_wall when)
{
    return dk_usage_month(when) * 100 + date_of(when).tm_mday;
}

// "PERIOD BYTES LINK"
static bool read_row(char *line, struct dk_usage_row *out)
{
    char *bytes = strchr(line, ' '), *link = bytes != NULL ? strchr(bytes + 1, ' ') : NULL;

    if (link == NULL || strlen(link + 1) >= sizeof out->link || !dk_text_is_clean(link + 1, strlen(link + 1)))
        return false;
    *bytes = '\0';
    *link = '\0';
    snprintf(out->link, sizeof out->link, "%s", link + 1);
    return dk_parse_i64(line, 197001, 99991231, &out->period) && dk_parse_i64(bytes + 1, 0, INT64_MAX, &out->bytes);
}

enum dk_err dk_usage_read(const char *state_dir, struct dk_usage *out, struct dk_fault *fault)
{
    char path[PATH_MAX + sizeof folder_name + sizeof file_name + 1], line[DK_USAGE_LINK_SIZE + 48];
    dk_auto_buf struct dk_buf text = dk_buf_make(FILE_MAX_BYTES);
    struct dk_fault own = {0};

    snprintf(path, sizeof path, "%s/%s/%s", state_dir, folder_name, file_name);
    out->count = 0;

    enum dk_err err = dk_file_read(path, &text, &own);

    if (err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err != DK_OK)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    for (const char *at = dk_buf_text(&text), *end = at + text.len; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t len = line_end != NULL ? (size_t)(line_end - at) : sizeof line;

        if (len < sizeof line)
            memcpy(line, at, len);
        line[len < sizeof line ? len : 0] = '\0';
        if (len >= sizeof line || out->count == DK_USAGE_ROWS_MAX || !read_row(line, &out->rows[out->count]))
            return dk_fail(fault, DK_ERR_DATA, path, "remove it; what was used before is then not counted",
                           "is damaged: line %zu is not a period, bytes and a link", out->count + 1);
        out->count++;
        at += len + 1;
    }
    return DK_OK;
}

int64_t dk_usage_of(const struct dk_usage *usage, int64_t period, const char *link)
{
    for (size_t i = 0; i < usage->count; i++)
        if (usage->rows[i].period == period && strcmp(usage->rows[i].link, link) == 0)
            return usage->rows[i].bytes;
    return 0;
}

// Puts the row at the end, changed.
static void change(struct dk_usage *usage, int64_t period, const char *link, int64_t bytes)
{
    struct dk_usage_row row = {.period = period, .bytes = dk_usage_of(usage, period, link)};
    size_t at = 0;

    snprintf(row.link, sizeof row.link, "%s", link);
    if (__builtin_add_overflow(row.bytes, bytes, &row.bytes))
        row.bytes = bytes > 0 ? INT64_MAX : 0;
    row.bytes = row.bytes > 0 ? row.bytes : 0;
    while (at < usage->count && (usage->rows[at].period != period || strcmp(usage->rows[at].link, link) != 0))
        at++;
    if (at == usage->count && usage->count == DK_USAGE_ROWS_MAX)
        at = 0;
    if (at < usage->count) {
        usage->count--;
        memmove(&usage->rows[at], &usage->rows[at + 1], (usage->count - at) * sizeof usage->rows[0]);
    }
    usage->rows[usage->count++] = row;
}

enum dk_err dk_usage_add(const char *state_dir, const char *link, struct dk_wall when, int64_t bytes,
                         struct dk_fault *fault)
{
    struct dk_usage usage;
    dk_auto_buf struct dk_buf text = dk_buf_make(FILE_MAX_BYTES);
    enum dk_err err = dk_usage_read(state_dir, &usage, fault);

    if (err != DK_OK)
        return err;
    change(&usage, dk_usage_day(when), link, bytes);
    change(&usage, dk_usage_month(when), link, bytes);
    for (size_t i = 0; i < usage.count && err == DK_OK; i++)
        err = dk_buf_printf(&text, "%" PRId64 " %" PRId64 " %s\n", usage.rows[i].period, usage.rows[i].bytes,
                            usage.rows[i].link);
    if (err != DK_OK)
        return dk_fail(fault, err, file_name, NULL, "cannot be written: %s", dk_err_text(err));

    char folder[PATH_MAX + sizeof folder_name + 1];

    snprintf(folder, sizeof folder, "%s/%s", state_dir, folder_name);
    err = dk_directory_make(folder, fault);
    if (err != DK_OK)
        return err;
    return dk_file_write(folder, file_name, dk_buf_text(&text), text.len, DK_WRITE_REPLACE, fault);
}
