// SPDX-License-Identifier: Apache-2.0
#include "agent/run.h"

#include "agent/report/progress.h"
#include "agent/report/terminal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/delivery.h"
#include "agent/verbs/interrupt.h"
#include "agent/verbs/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct choices {
    bool json, check;
    enum dk_progress_mode progress;
};

// With --check the verdict is the exit status.
static int check_status(enum dk_outcome outcome)
{
    if (outcome == DK_OUTCOME_PASS)
        return 0;
    return outcome == DK_OUTCOME_FAIL ? 1 : 2;
}

static enum dk_err read_arguments(int argc, char **argv, struct dk_arguments *arguments, struct choices *choices,
                                  struct dk_fault *fault)
{
    const char *format = NULL, *progress = "auto";
    const struct dk_own_flag own[] = {
        {"format", "text|json", "the result as text, or exactly the record's payload", &format, NULL},
        {"progress", "auto|bar|json|none", "how to show that it goes on, on stderr", &progress, NULL},
        {"check", NULL, "exit status 1 = fail, 2 = inconclusive", NULL, &choices->check},
        {0},
    };
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_MEASURING, own, arguments, fault);

    if (err != DK_OK || arguments->help_shown)
        return err;
    if (arguments->operand_count > 0)
        return dk_fail(fault, DK_ERR_USAGE, arguments->operands[0], "see 'dokiem run --help'", "is one word too many");
    if (!dk_progress_mode_parse(progress, &choices->progress))
        return dk_fail(fault, DK_ERR_USAGE, "--progress", "use auto, bar, json or none", "'%s' is no way to show it",
                       progress);
    return dk_format_is_json(format, &choices->json, fault);
}

static void print_result(const struct dk_run_result *result, const struct dk_settings *settings, bool json)
{
    if (json) {
        fwrite(result->payload.data, 1, result->payload.len, stdout);
        // Exactly the payload for a program; a person's prompt begins on a line of its own.
        if (dk_terminal_of(stdout).is_terminal)
            putchar('\n');
        return;
    }

    struct dk_terminal terminal = dk_terminal_of(stdout);
    char kept[PATH_MAX + 16];
    const struct dk_report_input input = {
        .kind = result->kind,
        .reason = result->reason,
        .server_name = settings->servers[0].name,
        .server_url = settings->servers[0].url,
        .site_operator = settings->site_operator,
        .context = &result->context,
        .measurement = &result->measurement,
        .validity = &result->validity,
        .verdict = &result->verdict,
        .id = result->id,
        .seq = result->seq,
        .kept = kept,
    };

    snprintf(kept, sizeof kept, "%s/journal", settings->state_dir);
    dk_report_result(stdout, &terminal, &input);
}

// A run stands by itself: what cannot be delivered now stays in the journal, and only a state that waiting does not
// mend (not enrolled, revoked, forked) is an exit status.
static int deliver(const struct dk_settings *settings, int interrupt_fd)
{
    struct dk_deliver_result delivered;
    struct dk_fault fault = {0};
    enum dk_err err = dk_delivery(settings, interrupt_fd, &delivered, &fault);

    if (err == DK_OK) {
        fprintf(stderr, "dokiem run: %" PRId64 " delivered to %s\n", delivered.delivered, settings->collector_url);
        return 0;
    }

    int status = dk_verb_fail("run", &fault);

    return err == DK_ERR_NOT_NOW ? 0 : status;
}

static int run(const struct dk_settings *settings, const struct choices *choices, struct dk_run_result *result,
               struct dk_fault *fault)
{
    struct dk_rules rules;
    struct dk_terminal terminal = dk_terminal_of(stderr);
    struct dk_progress_view view = dk_progress_view_make(stderr, &terminal, choices->progress);
    dk_auto_buf struct dk_buf profile = dk_buf_make(DK_PROFILE_MAX_BYTES);
    enum dk_err err = dk_rules_load_text(&rules, settings->profile, &profile, fault);

    if (err != DK_OK)
        return dk_verb_fail("run", fault);

    const struct dk_run_hooks hooks = {dk_progress_show, &view, dk_interrupt_fd()};

    err = dk_run(settings, &rules, &profile, &hooks, result, fault);
    dk_progress_end(&view);
    if (result->seq > 0)
        print_result(result, settings, choices->json);

    int status = err != DK_OK ? dk_verb_fail("run", fault) : 0;

    if (result->seq > 0 && settings->collector_url[0] != '\0' && err != DK_ERR_INTERRUPTED) {
        int delivery = deliver(settings, hooks.interrupt_fd);

        if (status == 0)
            status = delivery;
    }
    if (status == 0 && choices->check)
        status = check_status(result->verdict.outcome);
    return status;
}

int dk_verb_run(int argc, char **argv)
{
    struct dk_arguments arguments;
    struct choices choices = {0};
    struct dk_fault fault = {0};
    struct dk_run_result result = {0};

    if (read_arguments(argc, argv, &arguments, &choices, &fault) != DK_OK)
        return dk_verb_fail("run", &fault);
    if (arguments.help_shown)
        return 0;

    int status = run(&arguments.settings, &choices, &result, &fault);

    dk_run_result_free(&result);
    return status;
}
