// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/options.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "tests/netlab/emulator/frame.h"

enum { VALUE_SIZE = 4096, DEFAULT_QUEUE_MS = 50, LEAST_QUEUE_BYTES = 2 * 1514 };

static const char see_help[] = "see link_emulator --help";

// What a direction can be told. A queue is in bytes or in ms of the rate.
struct keys {
    struct dk_link_settings link;
    int64_t queue_ms;
    char trace[VALUE_SIZE];
};

struct key_row {
    const char *name;
    size_t offset;
    int64_t min, max, scale; // max 0: a path
    const char *help;
};

#define KEY(name, field, min, max, scale, help)                                                              \
    {                                                                                                        \
        name, offsetof(struct keys, field), min, max, scale, help                                            \
    }
#define SHAPER(name, field, min, max, scale, help) KEY(name, link.shaper.field, min, max, scale, help)
#define LINK(name, field, min, max, scale, help)   KEY(name, link.field, min, max, scale, help)

static const struct key_row key_rows[] = {
    SHAPER("rate_bps", rate_bps, 1000, INT64_C(10000000000), 1, "rate; without it there is no limit"),
    LINK("overhead_bytes", overhead_bytes, 0, 200, 1,
         "counted beside the IP bytes of a packet; 14 (Ethernet) with rate_bps, 0 with trace"),
    LINK("queue_bytes", queue_bytes, 1, INT64_C(1000000000), 1, "length of the drop-tail queue"),
    KEY("queue_ms", queue_ms, 1, 60000, 1, "the same in ms of the (mean) rate; 50"),
    LINK("delay_us", delay_ns, 0, 10000000, DK_NS_PER_US, "one-way delay"),
    LINK("jitter_us", jitter_ns, 0, 10000000, DK_NS_PER_US, "up to this more; order is kept"),
    LINK("loss_ppm", loss_ppm, 0, 1000000, 1, "packets lost before the queue"),
    LINK("reorder_ppm", reorder_ppm, 0, 1000000, 1, "packets held back by reorder_us"),
    LINK("reorder_us", reorder_ns, 0, 10000000, DK_NS_PER_US, "how long"),
    LINK("duplicate_ppm", duplicate_ppm, 0, 1000000, 1, "packets that arrive twice"),
    SHAPER("burst_bytes", burst_bytes, 1, INT64_C(10000000000), 1,
           "bytes that pass at burst_bps before rate_bps holds; what idles fills it again"),
    SHAPER("burst_bps", burst_bps, 1000, INT64_C(10000000000), 1, "rate of the burst; without it at once"),
    SHAPER("move_ppm", move_ppm, 0, 900000, 1, "the rate moves by up to this share up and down"),
    SHAPER("move_ms", move_ns, 1, 60000, DK_NS_PER_MS, "about how long it moves one way; 1000"),
    KEY("trace", trace, 0, 0, 0, "path of a recording to replay; see trace.h"),
    SHAPER("trace_scale_ppm", trace_scale_ppm, 1000, 1000000000, 1, "times its rate; 1000000"),
    SHAPER("trace_start_ms", trace_start_ns, 0, 100000000, DK_NS_PER_MS, "where in it to begin"),
};

enum { KEYS = sizeof key_rows / sizeof key_rows[0] };

// Sets the key that `text`, "KEY=VALUE" of `len` characters, names.
static enum dk_err set_key(const char *text, size_t len, struct keys *keys, bool seen[static KEYS],
                           struct dk_fault *fault)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len, row = 0;
    char value[VALUE_SIZE] = "";
    int64_t number = 0;

    while (row < KEYS &&
           (strncmp(text, key_rows[row].name, name_len) != 0 || key_rows[row].name[name_len] != '\0'))
        row++;
    if (row == KEYS || equals == NULL)
        return dk_fail(fault, DK_ERR_USAGE, text, see_help, "does not begin with a known KEY=VALUE");
    if (seen[row])
        return dk_fail(fault, DK_ERR_USAGE, key_rows[row].name, see_help, "the key is given twice");
    seen[row] = true;
    if (len - name_len - 1 >= sizeof value || len == name_len + 1)
        return dk_fail(fault, DK_ERR_USAGE, key_rows[row].name, see_help, "the value is empty or too long");
    memcpy(value, equals + 1, len - name_len - 1);
    if (key_rows[row].max == 0) {
        memcpy(keys->trace, value, sizeof value);
        return DK_OK;
    }
    if (!dk_parse_i64(value, key_rows[row].min, key_rows[row].max, &number))
        return dk_fail(fault, DK_ERR_USAGE, key_rows[row].name, see_help,
                       "\"%s\" is not a whole number from %" PRId64 " to %" PRId64, value, key_rows[row].min,
                       key_rows[row].max);
    number *= key_rows[row].scale;
    memcpy((char *)keys + key_rows[row].offset, &number, sizeof number);
    return DK_OK;
}

static bool given(const bool seen[static KEYS], const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(key_rows[i].name, name) == 0)
            return seen[i];
    return false;
}

// What goes together and what does not.
static enum dk_err check_keys(const struct keys *keys, const bool seen[static KEYS], struct dk_fault *fault)
{
    bool rate = given(seen, "rate_bps"), trace = given(seen, "trace"), burst = given(seen, "burst_bytes");
    const char *wrong = NULL;

    if (rate && trace)
        wrong = "rate_bps and trace exclude each other";
    else if ((burst || given(seen, "move_ppm")) && !rate)
        wrong = "burst_bytes and move_ppm need rate_bps";
    else if (given(seen, "burst_bps") && (!burst || keys->link.shaper.burst_bps < keys->link.shaper.rate_bps))
        wrong = "burst_bps needs burst_bytes and is at least rate_bps";
    else if (given(seen, "queue_ms") && given(seen, "queue_bytes"))
        wrong = "queue_ms and queue_bytes exclude each other";
    else if ((given(seen, "trace_scale_ppm") || given(seen, "trace_start_ms")) && !trace)
        wrong = "trace_scale_ppm and trace_start_ms need trace";
    else if (given(seen, "reorder_ppm") != given(seen, "reorder_us"))
        wrong = "reorder_ppm and reorder_us need each other";
    return wrong == NULL ? DK_OK : dk_fail(fault, DK_ERR_USAGE, "direction", see_help, "%s", wrong);
}

static enum dk_err set_queue(struct keys *keys, bool in_bytes, struct dk_fault *fault)
{
    struct dk_link_settings *link = &keys->link;
    int64_t rate_bps = link->shaper.rate_bps;

    if (in_bytes)
        return DK_OK;
    if (link->shaper.trace != NULL)
        rate_bps = dk_trace_rate_bps(link->shaper.trace) / 1000 * (link->shaper.trace_scale_ppm / 1000);
    if (rate_bps == 0)
        link->queue_bytes = INT64_MAX; // nothing ever waits
    else if (__builtin_mul_overflow(rate_bps, keys->queue_ms, &link->queue_bytes))
        return dk_fail(fault, DK_ERR_USAGE, "queue_ms", see_help, "the queue is too long");
    else
        link->queue_bytes /= 8000;
    if (link->queue_bytes < LEAST_QUEUE_BYTES)
        link->queue_bytes = LEAST_QUEUE_BYTES;
    return DK_OK;
}

static enum dk_err read_direction(const char *text, struct dk_link_settings *out, struct dk_trace **trace,
                                  struct dk_fault *fault)
{
    bool seen[KEYS] = {false};
    struct keys keys = {.queue_ms = DEFAULT_QUEUE_MS};
    enum dk_err err = DK_OK;

    keys.link.shaper.move_ns = DK_NS_PER_S;
    keys.link.shaper.trace_scale_ppm = 1000000;
    for (const char *at = text; *at != '\0' && err == DK_OK;) {
        size_t len = strcspn(at, ",");

        err = set_key(at, len, &keys, seen, fault);
        at += len + (at[len] == ',');
    }
    if (err == DK_OK)
        err = check_keys(&keys, seen, fault);
    if (err == DK_OK && keys.trace[0] != '\0')
        err = dk_trace_read(keys.trace, trace, fault);
    if (err != DK_OK)
        return err;
    keys.link.shaper.trace = *trace;
    if (*trace == NULL && !given(seen, "overhead_bytes"))
        keys.link.overhead_bytes = DK_FRAME_ETHERNET_BYTES;
    err = set_queue(&keys, given(seen, "queue_bytes"), fault);
    if (err == DK_OK)
        *out = keys.link;
    return err;
}

struct option_row {
    const char *name; // without the dashes
    const char *value;
    size_t offset;
    int64_t min, max; // max 0: a text
    const char *help;
};

#define OPTION(name, value, field, min, max, help)                                                           \
    {                                                                                                        \
        name, value, offsetof(struct command_line, field), min, max, help                                    \
    }

struct command_line {
    const char *agent, *server, *csv, *directions[DK_DIRECTIONS];
    int64_t seed, grain_us;
};

static const struct option_row rows[] = {
    OPTION("agent", "INTERFACE", agent, 0, 0, "the interface towards the agent"),
    OPTION("server", "INTERFACE", server, 0, 0, "the interface towards the server"),
    OPTION("down", "KEY=VALUE,…", directions[DK_DOWN], 0, 0, "the link from the server to the agent"),
    OPTION("up", "KEY=VALUE,…", directions[DK_UP], 0, 0, "the link from the agent to the server"),
    OPTION("csv", "PATH", csv, 0, 0, "write what was delivered in each 10 ms there"),
    OPTION("seed", "N", seed, 0, INT64_MAX, "of all that is random (0)"),
    OPTION("grain-us", "N", grain_us, 1, 10000, "with traffic, hand packets on at most this often (50)"),
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static enum dk_err set_option(const char *name, const char *value, struct command_line *line,
                              bool seen[static ROWS], struct dk_fault *fault)
{
    size_t row = 0;
    int64_t number = 0;

    while (row < ROWS && (strncmp(name, "--", 2) != 0 || strcmp(name + 2, rows[row].name) != 0))
        row++;
    if (row == ROWS)
        return dk_fail(fault, DK_ERR_USAGE, name, see_help, "there is no such option");
    if (seen[row])
        return dk_fail(fault, DK_ERR_USAGE, name, see_help, "the option is given twice");
    if (value == NULL)
        return dk_fail(fault, DK_ERR_USAGE, name, see_help, "a value must follow");
    seen[row] = true;
    if (rows[row].max == 0) {
        memcpy((char *)line + rows[row].offset, &value, sizeof value);
        return DK_OK;
    }
    if (!dk_parse_i64(value, rows[row].min, rows[row].max, &number))
        return dk_fail(fault, DK_ERR_USAGE, name, see_help,
                       "\"%s\" is not a whole number from %" PRId64 " to %" PRId64, value, rows[row].min,
                       rows[row].max);
    memcpy((char *)line + rows[row].offset, &number, sizeof number);
    return DK_OK;
}

enum dk_err dk_emulator_options_read(int argc, char **argv, struct dk_emulator_options *out,
                                     struct dk_fault *fault)
{
    struct command_line line = {.directions = {"", ""}, .grain_us = 50};
    bool seen[ROWS] = {false};
    enum dk_err err = DK_OK;

    *out = (struct dk_emulator_options){0};
    for (int i = 1; i < argc && err == DK_OK; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            out->help = true;
            return DK_OK;
        }
        err = set_option(argv[i], argv[i + 1], &line, seen, fault);
    }
    if (err == DK_OK && (line.agent == NULL || line.server == NULL))
        err = dk_fail(fault, DK_ERR_USAGE, "command line", see_help, "--agent and --server must be given");
    for (int i = 0; i < DK_DIRECTIONS && err == DK_OK; i++) {
        err = read_direction(line.directions[i], &out->links[i], &out->traces[i], fault);
        out->links[i].shaper.seed = (uint64_t)line.seed * DK_DIRECTIONS + (uint64_t)i;
    }
    out->agent = line.agent;
    out->server = line.server;
    out->csv = line.csv;
    out->seed = line.seed;
    out->grain_us = line.grain_us;
    return err;
}

void dk_emulator_options_free(struct dk_emulator_options *options)
{
    for (int i = 0; i < DK_DIRECTIONS; i++)
        dk_trace_free(options->traces[i]);
}

enum dk_err dk_emulator_options_help(struct dk_buf *out)
{
    enum dk_err err =
        dk_buf_printf(out, "usage: link_emulator --agent INTERFACE --server INTERFACE [options]\n\n"
                           "A link between two interfaces, until SIGTERM or SIGINT.\n\n");

    for (size_t i = 0; i < ROWS && err == DK_OK; i++)
        err = dk_buf_printf(out, "  --%s %s\n      %s\n", rows[i].name, rows[i].value, rows[i].help);
    if (err == DK_OK)
        err = dk_buf_printf(out, "\nkeys of --down and --up, all whole numbers but trace:\n\n");
    for (size_t i = 0; i < KEYS && err == DK_OK; i++)
        err = dk_buf_printf(out, "  %s\n      %s\n", key_rows[i].name, key_rows[i].help);
    return err;
}
