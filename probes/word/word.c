// SPDX-License-Identifier: Apache-2.0
#include "probes/word/word.h"

#include "agent/base/buf.h"
#include "probes/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXCHANGE_BYTES = 16384 }; // of a connection, a request and a word on the wire

static const int64_t patience_ns = 3 * DK_NS_PER_S;

struct dk_probe_run {
    struct dk_loop *loop;
    struct dk_transfer transfer;
    struct dk_buf answer;
    bool done, good;
};

static void stop(struct dk_probe_run *run, bool good)
{
    if (run->done)
        return;
    run->done = true;
    run->good = good;
    dk_loop_clear_timer(run->loop, run);
    dk_loop_remove_transfer(run->loop, run->transfer.easy);
}

static void on_answer(void *argument, CURL *easy, CURLcode result)
{
    struct dk_probe_run *run = argument;

    (void)easy;
    stop(run, dk_transfer_succeeded(&run->transfer, result));
}

static void on_timeout(void *argument, struct dk_mono now)
{
    (void)now;
    stop(argument, false);
}

static void probe_free(struct dk_probe_run *run)
{
    if (run == NULL)
        return;
    stop(run, false);
    dk_transfer_free(&run->transfer);
    dk_buf_free(&run->answer);
    free(run);
}

static enum dk_err start(struct dk_loop *loop, const struct dk_plan *plan, const struct dk_measurement *measured,
                         struct dk_probe_run **out, struct dk_fault *fault)
{
    struct dk_probe_run *run = calloc(1, sizeof *run);
    char url[DK_SERVER_URL_SIZE + DK_RUN_ID_SIZE + 8];

    (void)measured;
    snprintf(url, sizeof url, "%s?run=%s", plan->urls->word, plan->run);
    if (run == NULL || dk_transfer_init(&run->transfer, loop, plan) != DK_OK) {
        free(run);
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    }
    run->loop = loop;
    run->answer = dk_buf_make(DK_WORD_SIZE - 1);
    if (dk_transfer_text(&run->transfer, url, &run->answer) != DK_OK ||
        dk_transfer_start(&run->transfer, on_answer, run) != DK_OK ||
        dk_loop_set_timer(loop, dk_mono_add_ns(dk_mono_now(), patience_ns), on_timeout, run) != DK_OK) {
        probe_free(run);
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    }
    *out = run;
    return DK_OK;
}

static bool probe_done(const struct dk_probe_run *run)
{
    return run->done;
}

static void probe_cancel(struct dk_probe_run *run, const char *reason)
{
    (void)reason;
    stop(run, false);
}

static void probe_progress(const struct dk_probe_run *run, struct dk_progress *out)
{
    (void)run;
    *out = (struct dk_progress){.probe = "word"};
}

static void probe_fill(struct dk_probe_run *run, struct dk_measurement *out)
{
    out->data_used_bytes += EXCHANGE_BYTES;
    if (run->good)
        snprintf(out->word, sizeof out->word, "%s", dk_buf_text(&run->answer));
}

static int64_t probe_max_bytes(const struct dk_plan *plan)
{
    (void)plan;
    return EXCHANGE_BYTES;
}

static int64_t probe_max_duration_ns(const struct dk_plan *plan)
{
    (void)plan;
    return patience_ns + DK_NS_PER_S;
}

const struct dk_probe dk_probe_word = {
    .name = "word",
    .help = "what the reference server saw of the run, signed by it",
    .privilege = DK_PRIVILEGE_NONE,
    .max_bytes = probe_max_bytes,
    .max_duration_ns = probe_max_duration_ns,
    .start = start,
    .done = probe_done,
    .cancel = probe_cancel,
    .progress = probe_progress,
    .fill = probe_fill,
    .free = probe_free,
};
