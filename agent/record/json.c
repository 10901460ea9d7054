// SPDX-License-Identifier: Apache-2.0
#include "agent/record/json.h"

#include <stdbool.h>

// jansson hands its allocator nothing to note this in.
static json_malloc_t allocate;
static bool was_short;

static void *watched_allocate(size_t size)
{
    void *data = allocate(size);

    was_short = was_short || data == NULL;
    return data;
}

json_t *dk_json_load(const char *text, size_t len, json_error_t *error, enum dk_err *err)
{
    json_free_t release;

    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(watched_allocate, release);
    was_short = false;

    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, error);

    json_set_alloc_funcs(allocate, release);
    *err = was_short ? DK_ERR_MEMORY : root == NULL ? DK_ERR_DATA : DK_OK;
    if (*err == DK_OK)
        return root;
    json_decref(root);
    return NULL;
}

struct dump {
    struct dk_buf *out;
    enum dk_err err; // the first error stands, whatever jansson makes of it
};

static int dump_part(const char *part, size_t len, void *argument)
{
    struct dump *dump = argument;

    if (dump->err == DK_OK)
        dump->err = dk_buf_append(dump->out, part, len);
    return dump->err == DK_OK ? 0 : -1;
}

enum dk_err dk_json_dump(const json_t *root, struct dk_buf *out)
{
    struct dump dump = {.out = out};
    int result = json_dump_callback(root, dump_part, &dump, JSON_COMPACT);

    return dump.err != DK_OK || result == 0 ? dump.err : DK_ERR_MEMORY;
}
