// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/lines.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"

static enum dk_err fail_errno(struct dk_fault *fault, const char *path)
{
    int error_number = errno;

    return dk_fail(fault, dk_err_from_errno(error_number), path, NULL, "cannot be read: %s",
                   strerror(error_number));
}

// A stream, a block at a time.
struct source {
    FILE *stream;
    size_t at, end; // of what is left in `block`
    char block[32768];
};

// True when there is more.
static bool fill(struct source *source)
{
    if (source->at < source->end)
        return true;
    source->at = 0;
    source->end = fread(source->block, 1, sizeof source->block, source->stream);
    return source->end > 0;
}

// Appends up to the line end, or the end of the file, to `line`, of which it keeps what fits. *more says
// whether anything was there.
static enum dk_err read_line(struct source *source, struct dk_buf *line, bool *more)
{
    *more = false;
    while (fill(source)) {
        const char *from = source->block + source->at;
        const char *stop = memchr(from, '\n', source->end - source->at);
        size_t len = stop != NULL ? (size_t)(stop - from) : source->end - source->at, room = line->max - line->len;
        enum dk_err err = dk_buf_append(line, from, len < room ? len : room);

        *more = true;
        source->at += len + (stop != NULL ? 1 : 0);
        if (err != DK_OK || stop != NULL)
            return err;
    }
    return DK_OK;
}

static enum dk_err read_stream(FILE *stream, const char *name, size_t max_len, dk_line_callback *callback,
                               void *argument, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf line = dk_buf_make(max_len + 1);
    struct source source = {.stream = stream};
    bool more = true;

    for (int64_t number = 1; more; number++) {
        line.len = 0;

        enum dk_err err = read_line(&source, &line, &more);

        if (err != DK_OK)
            return dk_fail(fault, err, name, NULL, "out of memory");
        if (ferror(stream) != 0)
            return fail_errno(fault, name);
        if (!more && number > 1)
            return DK_OK;

        // Whether this is the only line shows in what follows it.
        bool next = fill(&source);

        err = callback(argument, name, number == 1 && !next ? 0 : number, dk_buf_text(&line), line.len);
        if (err != DK_OK)
            return err;
        more = next;
    }
    return DK_OK;
}

static enum dk_err read_file(const char *path, size_t max_len, dk_line_callback *callback, void *argument,
                             struct dk_fault *fault)
{
    FILE *stream = fopen(path, "re");

    if (stream == NULL)
        return fail_errno(fault, path);

    enum dk_err err = read_stream(stream, path, max_len, callback, argument, fault);

    fclose(stream);
    return err;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int is_line(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && ends_with(entry->d_name, ".jws");
}

static int is_record(const struct dirent *entry)
{
    return is_line(entry) && !ends_with(entry->d_name, ".receipt.jws");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum dk_err read_folder(const char *path, enum dk_lines_of of, size_t max_len, dk_line_callback *callback,
                               void *argument, struct dk_fault *fault)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, of == DK_LINES_RECORDS ? is_record : is_line, by_bytes);
    enum dk_err err = DK_OK;

    if (count < 0)
        return fail_errno(fault, path);
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX];

        if (err == DK_OK &&
            snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name) >= (int)sizeof name)
            err = dk_fail(fault, DK_ERR_IO, path, NULL, "the path is too long");
        if (err == DK_OK)
            err = read_file(name, max_len, callback, argument, fault);
        free(entries[i]);
    }
    free(entries);
    if (count == 0)
        return dk_fail(fault, DK_ERR_NO_INPUT, path, "name the journal folder of a state folder",
                       "holds no records (*.jws)");
    return err;
}

static bool is_folder(const char *path)
{
    DIR *folder = opendir(path);

    if (folder == NULL)
        return false;
    closedir(folder);
    return true;
}

enum dk_err dk_lines_read(const char *path, enum dk_lines_of of, size_t max_len, dk_line_callback *callback,
                          void *argument, struct dk_fault *fault)
{
    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "-", max_len, callback, argument, fault);
    if (is_folder(path))
        return read_folder(path, of, max_len, callback, argument, fault);
    return read_file(path, max_len, callback, argument, fault);
}
