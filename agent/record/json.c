// SPDX-License-Identifier: Apache-2.0
#include "agent/record/json.h"

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
