// SPDX-License-Identifier: Apache-2.0
#include "probes/reference/options.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/parse.h"

struct option_row {
    const char *name; // without the dashes
    const char *value;
    size_t offset;
    int64_t min, max, fallback; // max 0: a text
    const char *help;
};

#define TEXT(name, value, field, help)                                                                       \
    {                                                                                                        \
        name, value, offsetof(struct dk_reference_options, field), 0, 0, 0, help                       \
    }
#define NUMBER(name, field, min, max, fallback, help)                                                        \
    {                                                                                                        \
        name, "N", offsetof(struct dk_reference_options, field), min, max, fallback, help                    \
    }

static const struct option_row rows[] = {
    TEXT("http", "ADDR:PORT", http, N_("serve HTTP here: GET /garbage?ckSize=MIB, POST /empty, GET /getIP")),
    TEXT("word-key", "FILE", word_key,
         N_("sign what was seen of a run with this key: P-256, PEM (openssl genpkey -algorithm EC\n"
            "      -pkeyopt ec_paramgen_curve:P-256); the public part is at GET /word/key")),
    NUMBER("line-bps", line_bps, 0, INT64_C(1000000000000000), 0,
           N_("bit/s of this server's own line, told with the word; 0: not told")),
    TEXT("stamp", "ADDR:PORT", stamp, N_("reflect STAMP (RFC 8762) packets here, usually port 862")),
    TEXT("stamp-key", "FILE", stamp_key, N_("answer only packets authenticated with this key (hexadecimal)")),
    NUMBER("connections", connections, 1, 10000, 64, N_("connections of one client at a time")),
    NUMBER("total-connections", total_connections, 1, 100000, 512, N_("connections of all clients at a time")),
    NUMBER("bytes-per-hour", bytes_per_hour, 1000000, INT64_C(1000000000000000), INT64_C(200000000000),
           N_("bytes of one client in an hour, both directions")),
    NUMBER("connection-seconds", connection_seconds, 1, 3600, 120, N_("longest life of a connection")),
    NUMBER("idle-seconds", idle_seconds, 1, 3600, 15, N_("longest silence of a connection")),
    NUMBER("packets-per-second", packets_per_second, 1, 1000000, 1000,
           N_("STAMP packets of one client that are answered")),
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static const char see_help[] = N_("see dokiem-reference --help");

static const struct option_row *find(const char *argument)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(argument + 2, rows[i].name) == 0)
            return &rows[i];
    return NULL;
}

static enum dk_err set(const struct option_row *row, const char *value, struct dk_reference_options *out,
                       struct dk_fault *fault)
{
    char *field = (char *)out + row->offset;

    if (row->max == 0) {
        memcpy(field, &value, sizeof value);
        return DK_OK;
    }

    int64_t number = 0;

    if (!dk_parse_i64(value, row->min, row->max, &number))
        return dk_fail(fault, DK_ERR_USAGE, row->name, see_help,
                       "\"%s\" is not a whole number from %" PRId64 " to %" PRId64, value, row->min,
                       row->max);
    memcpy(field, &number, sizeof number);
    return DK_OK;
}

enum dk_err dk_reference_options_read(int argc, char **argv, struct dk_reference_options *out,
                                      struct dk_fault *fault)
{
    struct dk_reference_options options = {0};
    bool seen[ROWS] = {false};

    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].max != 0)
            memcpy((char *)&options + rows[i].offset, &rows[i].fallback, sizeof rows[i].fallback);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            options.help = true;
            continue;
        }

        const struct option_row *row = find(argv[i]);

        if (row == NULL)
            return dk_fail(fault, DK_ERR_USAGE, argv[i], see_help, "there is no such option");
        if (seen[row - rows])
            return dk_fail(fault, DK_ERR_USAGE, argv[i], see_help, "the option is given twice");
        if (i + 1 == argc)
            return dk_fail(fault, DK_ERR_USAGE, argv[i], see_help, "a value must follow");
        seen[row - rows] = true;

        enum dk_err err = set(row, argv[++i], &options, fault);

        if (err != DK_OK)
            return err;
    }
    if (!options.help && options.http == NULL && options.stamp == NULL)
        return dk_fail(fault, DK_ERR_USAGE, "command line", see_help,
                       "--http or --stamp, or both, must be given");
    if (options.word_key != NULL && options.http == NULL)
        return dk_fail(fault, DK_ERR_USAGE, "word-key", see_help, "it needs --http");
    if (options.line_bps != 0 && options.word_key == NULL)
        return dk_fail(fault, DK_ERR_USAGE, "line-bps", see_help, "it needs --word-key");
    if (options.stamp_key != NULL && options.stamp == NULL)
        return dk_fail(fault, DK_ERR_USAGE, "stamp-key", see_help, "it needs --stamp");
    *out = options;
    return DK_OK;
}

enum dk_err dk_reference_options_help(struct dk_buf *out)
{
    enum dk_err err = dk_buf_printf(
        out, "%s",
        _("usage: dokiem-reference [--http ADDR:PORT] [--stamp ADDR:PORT] [limits]\n\n"
          "The far end of dokiem's measurements. ADDR is numeric ([::] takes IPv6 and IPv4);\n"
          "port 0 takes a free one. The addresses in use are printed once they are open.\n\n"));

    for (size_t i = 0; i < ROWS && err == DK_OK; i++) {
        err = dk_buf_printf(out, "  --%s %s\n      %s", rows[i].name, rows[i].value, _(rows[i].help));
        if (err == DK_OK && rows[i].max != 0)
            err = dk_buf_printf(out, _(" (%" PRId64 " to %" PRId64 ", default %" PRId64 ")"), rows[i].min,
                                rows[i].max, rows[i].fallback);
        if (err == DK_OK)
            err = dk_buf_printf(out, "\n");
    }
    return err;
}
