// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"
#include "agent/state.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/verbs.h"

struct status {
    char device_id[DK_SHA256_TEXT_SIZE]; // "" when there is no key yet
    int64_t head_seq;
    int64_t counts[3]; // by enum dk_delivery
    bool has_waiting, has_last;
    struct dk_summary oldest_waiting, last;
};

static enum dk_err count_entries(struct dk_journal *journal, struct status *out, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    int64_t oldest_waiting = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    for (size_t i = 0; err == DK_OK && i < count; i++) {
        out->counts[entries[i].delivery]++;
        if (entries[i].delivery == DK_DELIVERY_WAITING && oldest_waiting == 0)
            oldest_waiting = entries[i].seq;
        out->head_seq = entries[i].seq;
    }
    free(entries);
    if (err == DK_OK && oldest_waiting > 0) {
        out->has_waiting = true;
        err = dk_summary_read(journal, oldest_waiting, &out->oldest_waiting, fault);
    }
    if (err == DK_OK && out->head_seq > 0) {
        out->has_last = true;
        err = dk_summary_read(journal, out->head_seq, &out->last, fault);
    }
    return err;
}

static enum dk_err gather(const char *state_dir, struct status *out, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_fault own = {0};
    char path[PATH_MAX + sizeof DK_KEY_FILE + 1];
    enum dk_err err = dk_journal_open(state_dir, false, &journal, fault);

    if (err != DK_OK)
        return err;
    snprintf(path, sizeof path, "%s/%s", state_dir, DK_KEY_FILE);
    err = dk_key_read_private(path, &key, &own);
    if (err == DK_OK)
        snprintf(out->device_id, sizeof out->device_id, "%s", dk_key_id(key));
    else if (err != DK_ERR_NO_INPUT)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    return count_entries(journal, out, fault);
}

static int64_t waiting_age_ns(const struct status *status)
{
    int64_t age_ns = dk_wall_now().ns - status->oldest_waiting.head.start.ns;

    // A clock that was set back says nothing about the age.
    return age_ns > 0 ? age_ns : 0;
}

static void print_text(const struct status *status)
{
    int64_t total = status->counts[0] + status->counts[1] + status->counts[2];
    char start[DK_RFC3339_SIZE];

    printf("device     %s\n",
           status->device_id[0] != '\0' ? status->device_id : "none yet; dokiem keygen makes it");
    printf("records    %" PRId64, total);
    if (status->has_last)
        printf(", the last is %" PRId64, status->head_seq);
    printf("\nwaiting    %" PRId64, status->counts[DK_DELIVERY_WAITING]);
    if (status->has_waiting) {
        int64_t minutes = waiting_age_ns(status) / DK_NS_PER_S / 60;

        dk_wall_rfc3339(status->oldest_waiting.head.start, start);
        printf(", the oldest since %s (%" PRId64 " h %" PRId64 " min)", start, minutes / 60, minutes % 60);
    }
    printf("\ndelivered  %" PRId64 "\nrefused    %" PRId64 "\n", status->counts[DK_DELIVERY_DELIVERED],
           status->counts[DK_DELIVERY_REFUSED]);
    if (!status->has_last)
        return;
    dk_wall_rfc3339(status->last.head.start, start);
    printf("last run   %s %s", start, dk_kind_text(status->last.head.kind));
    if (status->last.outcome[0] != '\0')
        printf(", %s", status->last.outcome);
    if (status->last.reason[0] != '\0')
        printf(": %s", status->last.reason);
    printf("\n");
}

static enum dk_err print_json(const struct status *status, struct dk_fault *fault)
{
    json_t *last = status->has_last ? dk_summary_json(&status->last) : json_null();
    json_t *age = status->has_waiting ? json_integer(waiting_age_ns(status)) : json_null();

    return dk_json_print(json_pack("{s:s?, s:I, s:I, s:I, s:I, s:o, s:o}", "device",
                                   status->device_id[0] != '\0' ? status->device_id : NULL, "head_seq",
                                   (json_int_t)status->head_seq, "waiting",
                                   (json_int_t)status->counts[DK_DELIVERY_WAITING], "delivered",
                                   (json_int_t)status->counts[DK_DELIVERY_DELIVERED], "refused",
                                   (json_int_t)status->counts[DK_DELIVERY_REFUSED], "oldest_waiting_age_ns",
                                   age, "last", last),
                         fault);
}

int dk_verb_status(int argc, char **argv)
{
    const char *format = NULL;
    const struct dk_own_flag flags[] = {
        {"format", "text|json", "for people, or one JSON object", &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    struct status status = {0};
    bool json = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "status takes no operands");
    if (err == DK_OK)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        err = gather(arguments.settings.state_dir, &status, &fault);
    if (err == DK_OK && json)
        err = print_json(&status, &fault);
    else if (err == DK_OK)
        print_text(&status);
    return err == DK_OK ? 0 : dk_verb_fail("status", &fault);
}
