// SPDX-License-Identifier: Apache-2.0
#include "agent/deliver/deliver.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/state.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/verbs.h"

// The collector's key, learnt at enrolment. Errors: PERMISSION (not enrolled), as dk_file_read, DATA.
static enum dk_err read_collector_key(const char *state_dir, struct dk_key **out, struct dk_fault *fault)
{
    static const char todo[] = "enrol this device: dokiem enrol --collector URL --token TOKEN";
    char path[PATH_MAX + sizeof DK_COLLECTOR_KEY_FILE];
    dk_auto_buf struct dk_buf text = dk_buf_make(4096);
    struct dk_fault reading = {0};

    snprintf(path, sizeof path, "%s/%s", state_dir, DK_COLLECTOR_KEY_FILE);

    enum dk_err err = dk_file_read(path, &text, &reading);

    if (err == DK_ERR_NO_INPUT)
        return dk_fail(fault, DK_ERR_PERMISSION, path, todo, "is missing: this device is not enrolled");
    if (err != DK_OK)
        return dk_fail(fault, err, reading.where, reading.todo, "%s", reading.what);
    return dk_key_read_public(path, dk_buf_text(&text), text.len, out, fault);
}

static enum dk_err deliver(const struct dk_settings *settings, struct dk_deliver_result *result,
                           struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    sigset_t signals;

    if (settings->collector_url[0] == '\0')
        return dk_fail(fault, DK_ERR_CONFIG, "[collector] url", "set it, or give --collector URL",
                       "is not set");

    enum dk_err err = read_collector_key(settings->state_dir, &key, fault);

    if (err == DK_OK)
        err = dk_journal_open(settings->state_dir, false, &journal, fault);
    if (err == DK_OK)
        err = dk_journal_lock_delivery(journal, fault);
    if (err != DK_OK)
        return err;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);

    int interrupt_fd = sigprocmask(SIG_BLOCK, &signals, NULL) == 0 ? signalfd(-1, &signals, SFD_CLOEXEC) : -1;
    const struct dk_deliver_options options = {
        .url = settings->collector_url,
        .ca_file = settings->collector_ca_file,
        .user_agent = "dokiem/" DK_VERSION,
        .collector_key = key,
        .timeout_ns = settings->collector_timeout_ns,
        .batch = settings->collector_batch,
        .interrupt_fd = interrupt_fd,
    };

    err = dk_deliver(journal, &options, result, fault);
    if (interrupt_fd >= 0)
        close(interrupt_fd);
    return err;
}

int dk_verb_deliver(int argc, char **argv)
{
    const char *url = NULL;
    const struct dk_own_flag own[] = {
        {"collector", "URL", "deliver there instead of [collector] url", &url, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_deliver_result result = {0};
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, own, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "is one word too many");
    if (err == DK_OK && url != NULL)
        err = dk_settings_set_argument(&arguments.settings, "collector", url, &fault);
    if (err != DK_OK)
        return dk_verb_fail("deliver", &fault);
    err = deliver(&arguments.settings, &result, &fault);
    if (err == DK_OK || result.delivered + result.refused + result.waiting > 0)
        printf("delivered %" PRId64 ", refused %" PRId64 ", waiting %" PRId64 "\n", result.delivered,
               result.refused, result.waiting);
    if (result.refused > 0)
        fprintf(stderr,
                "dokiem deliver: the collector called %" PRId64
                " record%s malformed; set aside, see: dokiem list\n",
                result.refused, result.refused == 1 ? "" : "s");
    if (err != DK_OK && result.retry_after_ns > 0)
        fprintf(stderr, "dokiem deliver: the collector asks to wait %" PRId64 " s\n",
                result.retry_after_ns / DK_NS_PER_S);
    return err == DK_OK ? 0 : dk_verb_fail("deliver", &fault);
}
