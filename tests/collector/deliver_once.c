// SPDX-License-Identifier: Apache-2.0
//
// The delivery stage alone, for the tests against collectors that misbehave:
//   deliver_once deliver URL STATE BATCH TIMEOUT_MS [CA_FILE]
//   deliver_once enrol URL STATE TOKEN
// Prints what came of it; the exit status is that of the error. SIGTERM interrupts.
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "agent/base/file.h"
#include "agent/deliver/deliver.h"
#include "agent/state.h"

static enum dk_err deliver(struct dk_deliver_options *options, const char *state, struct dk_fault *fault)
{
    char path[PATH_MAX];
    dk_auto_buf struct dk_buf text = dk_buf_make(4096);
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_deliver_result result = {0};

    snprintf(path, sizeof path, "%s/" DK_COLLECTOR_KEY_FILE, state);

    enum dk_err err = dk_file_read(path, &text, fault);

    if (err == DK_OK)
        err = dk_key_read_public(path, dk_buf_text(&text), text.len, &key, fault);
    if (err == DK_OK)
        err = dk_journal_open(state, false, &journal, fault);
    if (err != DK_OK)
        return err;
    options->collector_key = key;
    err = dk_deliver(journal, options, &result, fault);
    printf("{\"delivered\": %" PRId64 ", \"refused\": %" PRId64 ", \"waiting\": %" PRId64
           ", \"retry_after_ns\": %" PRId64 "}\n",
           result.delivered, result.refused, result.waiting, result.retry_after_ns);
    return err;
}

static enum dk_err enrol(const struct dk_deliver_options *options, const char *state, const char *token,
                         struct dk_fault *fault)
{
    char path[PATH_MAX];
    bool approved = false;
    dk_auto_buf struct dk_buf jwk = dk_buf_make(4096);
    dk_auto(key) struct dk_key *key = NULL;

    snprintf(path, sizeof path, "%s/" DK_KEY_FILE, state);

    enum dk_err err = dk_key_read_private(path, &key, fault);

    if (err == DK_OK)
        err = dk_enrol(options, key, dk_key_id(key), token, "XA-001", "Nhà văn hoá thôn 3", &jwk, &approved, fault);
    if (err == DK_OK)
        err = dk_file_write(state, DK_COLLECTOR_KEY_FILE, jwk.data, jwk.len, DK_WRITE_REPLACE, fault);
    if (err == DK_OK)
        printf("{\"id\": \"%s\", \"approved\": %s}\n", dk_key_id(key), approved ? "true" : "false");
    return err;
}

int main(int argc, char **argv)
{
    struct dk_fault fault = {0};
    sigset_t signals;

    if (argc < 5)
        return 64;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    struct dk_deliver_options options = {
        .url = argv[2],
        .ca_file = argc > 6 ? argv[6] : "",
        .user_agent = "dokiem/test",
        .timeout_ns = argc > 5 ? strtoll(argv[5], NULL, 10) * 1000000 : INT64_C(5000000000),
        .batch = strtoll(argv[4], NULL, 10),
        .interrupt_fd = signalfd(-1, &signals, SFD_CLOEXEC),
    };
    enum dk_err err = strcmp(argv[1], "enrol") == 0 ? enrol(&options, argv[3], argv[4], &fault)
                                                    : deliver(&options, argv[3], &fault);

    fprintf(stderr, "%s: %s; %s\n", fault.where, fault.what, fault.todo);
    return dk_err_exit_status(err);
}
