// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/message.h"
#include "agent/journal/journal.h"
#include "agent/record/seal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"

static enum dk_err print_cleaned(const char *text, size_t len, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf clean = dk_buf_make(len);
    enum dk_err err = dk_text_clean(text, len, true, &clean);

    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
    puts(dk_buf_text(&clean));
    return DK_OK;
}

static enum dk_err print_pretty(const struct dk_buf *payload, struct dk_fault *fault)
{
    dk_auto(json) json_t *json = json_loadb(dk_buf_text(payload), payload->len, JSON_REJECT_DUPLICATES, NULL);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;

    if (text == NULL)
        return dk_fail(fault, DK_ERR_DATA, NULL, "see its bytes with --format json",
                       "the record is not JSON");

    enum dk_err err = print_cleaned(text, strlen(text), fault);

    free(text);
    return err;
}

static enum dk_err show(struct dk_journal *journal, const char *which, const char *format,
                        struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    char refusal[DK_REFUSAL_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = dk_summary_find(journal, which, &seq, fault);

    if (err == DK_OK)
        err = dk_journal_read(journal, seq, &jws, fault);
    if (err == DK_OK)
        err = dk_jws_payload(dk_buf_text(&jws), jws.len, &payload, fault);
    if (err != DK_OK)
        return err;
    dk_refusal_read(journal, seq, refusal);
    if (refusal[0] != '\0')
        fprintf(stderr, "dokiem show: record %" PRId64 " is set aside, not delivered: %s\n", seq, refusal);
    if (strcmp(format, "jws") == 0) {
        puts(dk_buf_text(&jws));
        return DK_OK;
    }
    if (strcmp(format, "text") == 0)
        return print_pretty(&payload, fault);
    if (isatty(STDOUT_FILENO) == 1)
        return print_cleaned(dk_buf_text(&payload), payload.len, fault);
    // Into a file or a pipe: the bytes that were signed, and nothing else.
    fwrite(dk_buf_text(&payload), 1, payload.len, stdout);
    return DK_OK;
}

int dk_verb_show(int argc, char **argv)
{
    const char *format = "text";
    const struct dk_own_flag flags[] = {
        {"format", "text|json|jws", N_("indented, the exact payload, or the signed line"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count != 1)
        err = dk_fail(&fault, DK_ERR_USAGE, NULL,
                      "dokiem show ID, where ID is an id, a seq number, or 'last'", "show takes one record");
    if (err == DK_OK && strcmp(format, "text") != 0 && strcmp(format, "json") != 0 &&
        strcmp(format, "jws") != 0)
        err = dk_fail(&fault, DK_ERR_USAGE, "--format", "use text, json or jws", "'%s' is no format", format);
    if (err == DK_OK)
        err = dk_journal_open(arguments.settings.state_dir, false, &journal, &fault);
    if (err == DK_OK)
        err = show(journal, arguments.operands[0], format, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("show", &fault);
}
