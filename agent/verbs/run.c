// SPDX-License-Identifier: Apache-2.0
#include "agent/run.h"
#include "agent/signer.h"

#include "agent/base/file.h"
#include "agent/base/language.h"
#include "agent/base/message.h"
#include "agent/report/markup.h"
#include "agent/report/progress.h"
#include "agent/report/terminal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/ask.h"
#include "agent/verbs/campaigns.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/delivery.h"
#include "agent/verbs/dry_run.h"
#include "agent/verbs/interrupt.h"
#include "agent/verbs/profile.h"
#include "agent/verbs/stamping.h"
#include "agent/verbs/verbs.h"
#include "probes/ping/ping.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PHOTO_MAX_BYTES = 64 << 20 };

struct choices {
    bool json, check, ignore_budget, confirm, ask, no_campaign, dry, evidence;
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
        {"format", "text|json", N_("the result as text, or exactly the record's payload"), &format, NULL},
        {"progress", "auto|bar|json|none", N_("how to show that it goes on, on stderr"), &progress, NULL},
        {"ignore-budget", NULL, N_("measure also when [budget] does not allow it"), NULL, &choices->ignore_budget},
        {"check", NULL, N_("exit status 1 = fail, 2 = inconclusive"), NULL, &choices->check},
        {"confirm", NULL, N_("repeat a run whose verdict is fail, against another server if there is one"), NULL,
         &choices->confirm},
        {"evidence", NULL, N_("capture the test's own packets and keep their headers as STATE/evidence/ID.pcap"), NULL,
         &choices->evidence},
        {"ask", NULL, N_("ask for case, place and line"), NULL, &choices->ask},
        {"dry-run", NULL, N_("say what would be done: server, seconds, bytes, checks; measure nothing"), NULL,
         &choices->dry},
        {"no-campaign", NULL, N_("a run that is no sample of the campaign that is going on"),
         NULL, &choices->no_campaign},
        {0},
    };
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_MEASURING, own, arguments, fault);

    if (err != DK_OK || arguments->help_shown)
        return err;
    if (arguments->operand_count > 0)
        return dk_fail(fault, DK_ERR_USAGE, arguments->operands[0], "see 'dokiem run --help'", "is one word too many");
    arguments->settings.evidence = choices->evidence;
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
        .server_name = result->server->name,
        .server_url = result->server->url,
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
static int deliver(const struct dk_settings *settings, const struct dk_key *key, int interrupt_fd)
{
    dk_auto_keys struct dk_keys keys = {0};
    struct dk_deliver_result delivered;
    struct dk_fault fault = {0};
    enum dk_err err = dk_delivery_keys(settings->state_dir, key, &keys, &fault);

    if (err == DK_OK)
        err = dk_delivery(settings, &keys, interrupt_fd, &delivered, &fault);

    if (err == DK_OK) {
        fprintf(stderr, "dokiem run: %" PRId64 " delivered to %s\n", delivered.delivered, settings->collector_url);
        return 0;
    }

    int status = dk_verb_fail("run", &fault);

    return err == DK_ERR_NOT_NOW ? 0 : status;
}

// The same for time stamps.
static int stamp(const struct dk_settings *settings, int interrupt_fd)
{
    int64_t kept = 0;
    struct dk_fault fault = {0};
    enum dk_err err = dk_stamping(settings, interrupt_fd, &kept, &fault);

    if (kept > 0)
        fprintf(stderr, "dokiem run: %" PRId64 " time-stamped by %s\n", kept, settings->time_stamp_url);
    if (err == DK_OK)
        return 0;

    int status = dk_verb_fail("run", &fault);

    return err == DK_ERR_NOT_NOW ? 0 : status;
}

// What all runs of one command share.
struct job {
    struct dk_settings *settings;
    const struct choices *choices;
    const struct dk_rules *rules;
    const struct dk_buf *profile;
    struct dk_run_hooks *hooks;
    struct dk_progress_view *view;
    bool both;   // one run over IPv4, and one over IPv6
    size_t kept; // records
    bool interrupted;
};

// One run and its record. *out is the caller's to free, whatever the status.
static int run_once(struct job *job, const struct dk_repeated *repeated, struct dk_run_result *out)
{
    struct dk_fault fault = {0};
    enum dk_err err = dk_run(job->settings, job->rules, job->profile, repeated, job->hooks, out, &fault);

    dk_progress_end(job->view);
    if (out->seq > 0) {
        // Of several payloads, each has a line.
        if (job->kept++ > 0 && (!job->choices->json || !dk_terminal_of(stdout).is_terminal))
            putchar('\n');
        print_result(out, job->settings, job->choices->json);
        fflush(stdout);
    }
    if (out->evidence_fault.err != DK_OK)
        (void)dk_verb_fail("run", &out->evidence_fault);
    job->interrupted = err == DK_ERR_INTERRUPTED;
    if (err != DK_OK)
        return dk_verb_fail("run", &fault);
    return job->choices->check ? check_status(out->verdict.outcome) : 0;
}

// Waits before the repeat; false when the user ends it.
static bool wait_gap(struct job *job)
{
    struct pollfd interrupt = {.fd = job->hooks->interrupt_fd, .events = POLLIN};
    int64_t gap_ns = job->settings->confirm_gap_ns;

    fprintf(stderr, "dokiem run: fail; it is repeated in %" PRId64 " s\n", gap_ns / DK_NS_PER_S);
    job->interrupted = poll(&interrupt, 1, (int)(gap_ns / DK_NS_PER_MS)) != 0;
    return !job->interrupted;
}

// Says when one of two servers, asked one after the other, gave much more than the other: beyond both intervals.
static void compare_servers(const char *direction, const struct dk_run_result *a, const struct dk_throughput *a_rate,
                            const struct dk_run_result *b, const struct dk_throughput *b_rate)
{
    enum { FASTER_PERCENT = 125 };
    bool a_is_faster = a_rate->rate_bps > b_rate->rate_bps;
    const struct dk_throughput *fast = a_is_faster ? a_rate : b_rate, *slow = a_is_faster ? b_rate : a_rate;
    const char *fast_name = (a_is_faster ? a : b)->server->name, *slow_name = (a_is_faster ? b : a)->server->name;
    char fast_text[DK_NUMBER_SIZE], slow_text[DK_NUMBER_SIZE];

    if (a->server == b->server || fast->status != DK_STATUS_OK || slow->status != DK_STATUS_OK || slow->rate_bps <= 0 ||
        fast->rate_bps / FASTER_PERCENT < slow->rate_bps / 100 || fast->rate_low_bps <= slow->rate_high_bps)
        return;
    dk_number_text(fast->rate_bps, 1000000, 2, false, fast_text);
    dk_number_text(slow->rate_bps, 1000000, 2, false, slow_text);
    fprintf(stderr,
            _("dokiem run: %s: %s Mb/s with %s, only %s Mb/s with %s: that server limited it, or the line changed\n"),
            direction, fast_text, fast_name, slow_text, slow_name);
}

// A run, and with --confirm, when it fails, its repeat. The exit status is that of a fail only when both failed.
static int run_and_confirm(struct job *job)
{
    struct dk_run_result first = {0}, second = {0};

    bool last = !job->both || job->settings->family == DK_FAMILY_IPV6;

    job->hooks->last = last && !job->choices->confirm;

    int status = run_once(job, NULL, &first);

    if (job->choices->confirm && first.kind == DK_KIND_MEASUREMENT && first.seq > 0 && !job->interrupted &&
        first.verdict.outcome == DK_OUTCOME_FAIL && wait_gap(job)) {
        const struct dk_repeated repeated = {first.id, first.server->url};

        job->hooks->last = last;
        status = run_once(job, &repeated, &second);
        if (status == 0 && job->choices->check)
            status = check_status(DK_OUTCOME_INCONCLUSIVE);
        if (second.seq > 0) {
            compare_servers("download", &first, &first.measurement.download, &second, &second.measurement.download);
            compare_servers("upload", &first, &first.measurement.upload, &second, &second.measurement.upload);
        }
    }
    dk_run_result_free(&first);
    dk_run_result_free(&second);
    return status;
}

// The worse of two exit statuses: an error, a fail, inconclusive, done.
static int worse(int a, int b)
{
    static const int ranks[] = {0, 2, 1};
    int rank_a = a < 3 ? ranks[a] : 3, rank_b = b < 3 ? ranks[b] : 3;

    return rank_b > rank_a ? b : a;
}

static int run(struct dk_settings *settings, const struct choices *choices, struct dk_fault *fault)
{
    struct dk_rules rules;
    struct dk_terminal terminal = dk_terminal_of(stderr);
    struct dk_progress_view view = dk_progress_view_make(stderr, &terminal, choices->progress);
    dk_auto_buf struct dk_buf profile = dk_buf_make(DK_PROFILE_MAX_BYTES);

    if (dk_verb_profile(settings, &rules, &profile, fault) != DK_OK)
        return dk_verb_fail("run", fault);

    if (choices->dry) {
        dk_dry_run_print(settings, &rules);
        return 0;
    }

    __attribute__((cleanup(dk_device_signer_end))) struct dk_device_signer signer = {0};

    if (dk_device_signer_start(settings->state_dir, settings->device_key, &signer, fault) != DK_OK) {
        if (fault->err == DK_ERR_NO_INPUT && settings->device_key[0] == '\0')
            snprintf(fault->todo, sizeof fault->todo, "make a key first: dokiem keygen --state %.300s",
                     settings->state_dir);
        return dk_verb_fail("run", fault);
    }

    __attribute__((cleanup(dk_icmp_close_raw))) struct dk_raw_sockets raw = dk_icmp_open_raw();

    // From here on there is no way back to the key, to other files or to other programs.
    dk_confine_measuring(settings);

    struct dk_run_hooks hooks = {dk_progress_show, &view, dk_interrupt_fd(), choices->ignore_budget, &signer, &raw,
                                 false};
    struct job job = {settings, choices, &rules, &profile, &hooks, &view, settings->family == DK_FAMILY_BOTH, 0, false};

    if (job.both)
        settings->family = DK_FAMILY_IPV4;

    int status = run_and_confirm(&job);

    // Without a record something is wrong that the other family does not mend.
    if (job.both && job.kept > 0 && !job.interrupted) {
        settings->family = DK_FAMILY_IPV6;
        status = worse(status, run_and_confirm(&job));
    }
    if (job.kept > 0 && settings->collector_url[0] != '\0' && !job.interrupted)
        status = worse(status, deliver(settings, signer.key, hooks.interrupt_fd));
    if (job.kept > 0 && settings->time_stamp_url[0] != '\0' && !job.interrupted)
        status = worse(status, stamp(settings, hooks.interrupt_fd));
    return status;
}

// What must be in order before anything is measured: the answers, the photo, the campaign.
static enum dk_err prepare(struct dk_settings *settings, const struct choices *choices, struct dk_fault *fault)
{
    struct dk_inspection *inspection = &settings->inspection;
    enum dk_err err = choices->ask ? dk_ask(settings, fault) : DK_OK;

    if (err == DK_OK && inspection->photo[0] != '\0') {
        dk_auto_buf struct dk_buf photo = dk_buf_make(PHOTO_MAX_BYTES);

        err = dk_file_read(inspection->photo, &photo, fault);
        if (err == DK_OK)
            err = dk_sha256_hex(photo.data, photo.len, inspection->photo_sha256);
    }
    if (err == DK_OK && !choices->no_campaign && !choices->dry)
        err = dk_campaign_admit(settings, fault);
    return err;
}

int dk_verb_run(int argc, char **argv)
{
    struct dk_arguments arguments;
    struct choices choices = {0};
    struct dk_fault fault = {0};

    dk_language_system_in_english(); // a record may quote it
    if (read_arguments(argc, argv, &arguments, &choices, &fault) != DK_OK)
        return dk_verb_fail("run", &fault);
    if (arguments.help_shown)
        return 0;
    if (prepare(&arguments.settings, &choices, &fault) != DK_OK)
        return dk_verb_fail("run", &fault);

    int status = run(&arguments.settings, &choices, &fault);

    dk_campaign_say_left(&arguments.settings);
    return status;
}
