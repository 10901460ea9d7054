// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/message.h"
#include "agent/base/clock.h"
#include "agent/journal/journal.h"
#include "agent/report/words.h"
#include "agent/state.h"
#include "agent/journal/usage.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/keys.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"

struct status {
    char device_id[DK_SHA256_TEXT_SIZE]; // "" when there is neither a record nor a key yet
    struct dk_journal_counts counts;
    bool has_waiting, has_last;
    bool unsealed; // a record waits for the token to be sealed
    struct dk_summary oldest_waiting, last;
    char refusal[DK_REFUSAL_TEXT_SIZE]; // of the last record set aside
    int64_t day, month;
    struct dk_usage usage;
};

static enum dk_err read_records(struct dk_journal *journal, struct status *out, struct dk_fault *fault)
{
    enum dk_err err = dk_journal_count(journal, &out->counts, fault);

    if (err == DK_OK && out->counts.oldest_waiting_seq > 0) {
        out->has_waiting = true;
        err = dk_summary_read(journal, out->counts.oldest_waiting_seq, &out->oldest_waiting, fault);
    }
    if (err == DK_OK && out->counts.last_seq > 0) {
        out->has_last = true;
        err = dk_summary_read(journal, out->counts.last_seq, &out->last, fault);
    }
    if (err == DK_OK && out->counts.last_refused_seq > 0)
        dk_refusal_read(journal, out->counts.last_refused_seq, out->refusal);
    return err;
}

// The last record names the device; without one a key does, for which the cryptographic library has to start.
static enum dk_err read_device(const char *state_dir, struct status *out, struct dk_fault *fault)
{
    dk_auto_keys struct dk_keys keys = {0};
    struct dk_fault own = {0};

    if (out->has_last) {
        memcpy(out->device_id, out->last.head.device_id, sizeof out->device_id);
        return DK_OK;
    }

    enum dk_err err = dk_ring_read_state(state_dir, &keys, &own);

    // All keys that the device ever had sign one chain.
    for (size_t i = 0; i < keys.count; i++)
        if (keys.keys[i].role != DK_ROLE_COLLECTOR)
            memcpy(out->device_id, keys.keys[i].device, sizeof out->device_id);
    return err == DK_OK || err == DK_ERR_NO_INPUT ? DK_OK : dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

static bool is_unsealed(const char *state_dir)
{
    char path[PATH_MAX + sizeof DK_UNSEALED_FOLDER + sizeof DK_UNSEALED_FILE];

    snprintf(path, sizeof path, "%s/%s/%s", state_dir, DK_UNSEALED_FOLDER, DK_UNSEALED_FILE);
    return access(path, F_OK) == 0;
}

static enum dk_err gather(const char *state_dir, struct status *out, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_journal_open(state_dir, false, &journal, fault);

    out->day = dk_usage_day(dk_wall_now());
    out->month = dk_usage_month(dk_wall_now());
    if (err == DK_OK)
        err = dk_usage_read(state_dir, &out->usage, fault);
    out->unsealed = is_unsealed(state_dir);
    if (err == DK_OK)
        err = read_records(journal, out, fault);
    return err == DK_OK ? read_device(state_dir, out, fault) : err;
}

static int64_t waiting_age_ns(const struct status *status)
{
    int64_t age_ns = dk_wall_now().ns - status->oldest_waiting.head.start.ns;

    // A clock that was set back says nothing about the age.
    return age_ns > 0 ? age_ns : 0;
}

static int64_t count_of(const struct status *status, enum dk_delivery delivery)
{
    return status->counts.by[delivery];
}

static void label(const char *text)
{
    dk_text_print_padded(text, 11);
}

// What runs used this month, for each link; counted only while [budget] has a limit.
static void print_use(const struct status *status, const struct dk_settings *settings)
{
    for (size_t i = 0; i < status->usage.count; i++) {
        const struct dk_usage_row *row = &status->usage.rows[i];

        if (row->period != status->month)
            continue;
        label(_("budget"));
        printf(_("%s: %" PRId64 " kB today"), row->link,
               dk_usage_of(&status->usage, status->day, row->link) / 1000);
        if (settings->budget_daily_bytes > 0)
            printf(_(" of %" PRId64), settings->budget_daily_bytes / 1000);
        printf(_(", %" PRId64 " kB this month"), row->bytes / 1000);
        if (settings->budget_monthly_bytes > 0)
            printf(_(" of %" PRId64), settings->budget_monthly_bytes / 1000);
        printf("\n");
    }
}

static json_t *use_json(const struct status *status)
{
    json_t *array = json_array();

    for (size_t i = 0; i < status->usage.count; i++) {
        const struct dk_usage_row *row = &status->usage.rows[i];

        if (row->period == status->month &&
            json_array_append_new(
                array, json_pack("{s:s, s:I, s:I}", "link", row->link, "day_bytes",
                                 (json_int_t)dk_usage_of(&status->usage, status->day, row->link), "month_bytes",
                                 (json_int_t)row->bytes)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

// Nothing where neither an authority is set nor a stamp is there.
static void print_time_stamps(const struct status *status, const struct dk_settings *settings)
{
    const struct dk_journal_counts *counts = &status->counts;

    if (settings->time_stamp_url[0] == '\0' && counts->time_stamped == 0)
        return;
    label(_("stamped"));
    printf("%" PRId64, counts->time_stamped);
    if (counts->time_stamped > 0)
        printf(_(", the last is %" PRId64), counts->last_time_stamped_seq);
    printf(_(", records that wait for a time stamp: %" PRId64 "\n"),
           dk_journal_time_stamps_waiting(counts, settings->time_stamp_each));
}

static void print_text(const struct status *status, const struct dk_settings *settings)
{
    char when[DK_DATE_SIZE];

    label(_("device"));
    printf("%s\n", status->device_id[0] != '\0' ? status->device_id : _("none yet; dokiem keygen makes it"));
    label(_("records"));
    printf("%" PRId64, count_of(status, DK_DELIVERY_WAITING) + count_of(status, DK_DELIVERY_DELIVERED) +
                           count_of(status, DK_DELIVERY_REFUSED));
    if (status->has_last)
        printf(_(", the last is %" PRId64), status->counts.last_seq);
    printf("\n");
    label(_("waiting"));
    printf("%" PRId64, count_of(status, DK_DELIVERY_WAITING));
    if (status->has_waiting) {
        int64_t minutes = waiting_age_ns(status) / DK_NS_PER_S / 60;

        dk_when_text(status->oldest_waiting.head.start, when);
        printf(_(", the oldest since %s (%" PRId64 " h %" PRId64 " min)"), when, minutes / 60, minutes % 60);
    }
    printf("\n");
    label(_("delivered"));
    printf("%" PRId64 "\n", count_of(status, DK_DELIVERY_DELIVERED));
    label(_("refused"));
    printf("%" PRId64, count_of(status, DK_DELIVERY_REFUSED));
    if (status->counts.last_refused_seq > 0) {
        printf(_(", the last is %" PRId64), status->counts.last_refused_seq);
        printf(": %s", status->refusal);
    }
    printf("\n");
    print_time_stamps(status, settings);
    if (status->unsealed) {
        label(_("unsealed"));
        printf(_("1; the next run seals it, once the key is there again"));
        printf("\n");
    }
    if (!status->has_last)
        return;
    dk_when_text(status->last.head.start, when);
    label(_("last run"));
    printf("%s %s", when, dk_code_said(dk_kind_text(status->last.head.kind)));
    if (status->last.outcome[0] != '\0')
        printf(", %s", dk_code_said(status->last.outcome));
    if (status->last.reason[0] != '\0')
        printf(": %s", status->last.reason);
    printf("\n");
}

static enum dk_err print_json(const struct status *status, const struct dk_settings *settings, struct dk_fault *fault)
{
    json_t *time_stamps =
        json_pack("{s:I, s:I, s:I}", "kept", (json_int_t)status->counts.time_stamped, "last_seq",
                  (json_int_t)status->counts.last_time_stamped_seq, "waiting",
                  (json_int_t)dk_journal_time_stamps_waiting(&status->counts, settings->time_stamp_each));
    json_t *last = status->has_last ? dk_summary_json(&status->last) : json_null();
    json_t *age = status->has_waiting ? json_integer(waiting_age_ns(status)) : json_null();
    const char *device = status->device_id[0] != '\0' ? status->device_id : NULL;
    const char *refusal = status->counts.last_refused_seq > 0 ? status->refusal : NULL;

    return dk_json_print(
        json_pack("{s:s?, s:I, s:I, s:I, s:I, s:b, s:s*, s:o, s:o, s:o, s:o}", "device", device, "head_seq",
                  (json_int_t)status->counts.last_seq, "waiting", (json_int_t)count_of(status, DK_DELIVERY_WAITING),
                  "delivered", (json_int_t)count_of(status, DK_DELIVERY_DELIVERED), "refused",
                  (json_int_t)count_of(status, DK_DELIVERY_REFUSED), "unsealed", status->unsealed, "refusal", refusal,
                  "oldest_waiting_age_ns", age, "last", last, "used", use_json(status), "time_stamps", time_stamps),
        fault);
}

// For a file that node_exporter's textfile collector reads.
static void print_prometheus(const struct status *status, const struct dk_settings *settings)
{
    static const char *const names[] = {"waiting", "delivered", "refused"};

    printf("# TYPE dokiem_records gauge\n");
    for (int i = DK_DELIVERY_WAITING; i <= DK_DELIVERY_REFUSED; i++)
        printf("dokiem_records{delivery=\"%s\"} %" PRId64 "\n", names[i], status->counts.by[i]);
    printf("# TYPE dokiem_last_seq gauge\ndokiem_last_seq %" PRId64 "\n", status->counts.last_seq);
    printf("# TYPE dokiem_oldest_waiting_age_seconds gauge\ndokiem_oldest_waiting_age_seconds %" PRId64 "\n",
           status->has_waiting ? waiting_age_ns(status) / DK_NS_PER_S : 0);
    printf("# TYPE dokiem_time_stamps_waiting gauge\ndokiem_time_stamps_waiting %" PRId64 "\n",
           settings->time_stamp_url[0] != '\0'
               ? dk_journal_time_stamps_waiting(&status->counts, settings->time_stamp_each)
               : 0);
    if (status->has_last)
        printf("# TYPE dokiem_last_run_timestamp_seconds gauge\ndokiem_last_run_timestamp_seconds %" PRId64 "\n",
               status->last.head.start.ns / DK_NS_PER_S);
}

// For monitoring. Returns the exit status.
static int check(const struct status *status, const struct dk_settings *settings)
{
    int64_t hours = status->has_waiting ? waiting_age_ns(status) / DK_NS_PER_S / 3600 : 0;

    if (!status->has_waiting || waiting_age_ns(status) <= settings->collector_max_undelivered_age_ns)
        return 0;
    fprintf(stderr,
            "dokiem status: the oldest record that waits for delivery is %" PRId64
            " h old, more than [collector] max_undelivered_age; see: dokiem deliver\n",
            hours);
    return 1;
}

int dk_verb_status(int argc, char **argv)
{
    const char *format = "text";
    bool checked = false;
    const struct dk_own_flag flags[] = {
        {"format", "text|json|prometheus", N_("for people, one JSON object, or metrics"), &format, NULL},
        {"check", NULL, N_("exit status 1 = a record waits longer than [collector] max_undelivered_age"),
         NULL, &checked},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    struct status status = {0};
    bool json = false, prometheus = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "status takes no operands");
    prometheus = strcmp(format, "prometheus") == 0;
    if (err == DK_OK && !prometheus)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        err = gather(arguments.settings.state_dir, &status, &fault);
    if (err == DK_OK && json) {
        err = print_json(&status, &arguments.settings, &fault);
    } else if (err == DK_OK && prometheus) {
        print_prometheus(&status, &arguments.settings);
    } else if (err == DK_OK) {
        print_text(&status, &arguments.settings);
        print_use(&status, &arguments.settings);
    }
    if (err != DK_OK)
        return dk_verb_fail("status", &fault);
    return checked ? check(&status, &arguments.settings) : 0;
}
