// SPDX-License-Identifier: Apache-2.0
//
// Checks records offline: each signature over its exact bytes, then the head, then the chain of all that were
// given.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/chain.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/keys.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"

struct verification {
    const struct dk_keys *keys;
    json_t *records, *chains;    // NULL when text is wanted; owned
    json_t *problems;            // of the device at hand; owned
    struct dk_chain_link *links; // of the good records; owned
    size_t good, bad, broken, capacity;
    size_t devices;
    int64_t first, last; // of the device told last
    enum dk_err err;     // MEMORY, once it happened
};

static enum dk_err add_link(struct verification *v, const char *jws, size_t len,
                            const struct dk_record_head *head)
{
    if (v->good == v->capacity) {
        size_t capacity = v->capacity == 0 ? 64 : v->capacity * 2;
        struct dk_chain_link *links = reallocarray(v->links, capacity, sizeof *links);

        if (links == NULL)
            return DK_ERR_MEMORY;
        v->links = links;
        v->capacity = capacity;
    }

    struct dk_chain_link *link = &v->links[v->good];

    *link = (struct dk_chain_link){.seq = head->seq, .position = v->good};
    memcpy(link->device_id, head->device_id, sizeof link->device_id);
    memcpy(link->prev, head->prev, sizeof link->prev);

    enum dk_err err = dk_sha256_text(jws, len, link->sha256);

    if (err == DK_OK)
        v->good++;
    return err;
}

static void tell_good(struct verification *v, const char *file, int64_t line,
                      const struct dk_record_head *head)
{
    char start[DK_RFC3339_SIZE];

    if (v->records != NULL) {
        if (json_array_append_new(v->records,
                                  json_pack("{s:s, s:I, s:I, s:s, s:s}", "file", file, "line",
                                            (json_int_t)(line > 0 ? line : 1), "seq", (json_int_t)head->seq,
                                            "id", head->id, "status", "ok")) != 0)
            v->err = DK_ERR_MEMORY;
        return;
    }
    dk_wall_rfc3339(head->start, start);
    printf("OK   %s", file);
    if (line > 0)
        printf(":%" PRId64, line);
    printf(" seq %" PRId64 " %s %s %s\n", head->seq, start, dk_kind_text(head->kind), head->id);
}

static void tell_bad(struct verification *v, const char *file, int64_t line, const struct dk_fault *why)
{
    char reason[DK_FAULT_WHERE_SIZE + DK_FAULT_WHAT_SIZE + 3];

    v->bad++;
    snprintf(reason, sizeof reason, "%s%s%s", why->where, why->where[0] != '\0' ? ": " : "", why->what);
    if (v->records != NULL) {
        if (json_array_append_new(v->records, json_pack("{s:s, s:I, s:s, s:s}", "file", file, "line",
                                                        (json_int_t)(line > 0 ? line : 1), "status", "bad",
                                                        "reason", reason)) != 0)
            v->err = DK_ERR_MEMORY;
        return;
    }
    printf("BAD  %s", file);
    if (line > 0)
        printf(":%" PRId64, line);
    printf(": %s\n", reason);
}

static enum dk_err check_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    struct verification *v = argument;
    struct dk_record_head head;
    struct dk_fault why = {0};
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto_buf struct dk_buf name = dk_buf_make(strlen(file));

    if (dk_text_clean(file, strlen(file), false, &name) != DK_OK)
        return DK_ERR_MEMORY;
    file = dk_buf_text(&name);

    enum dk_err err = dk_record_check(v->keys, text, len, &head, &payload, &why);

    if (err == DK_OK)
        err = add_link(v, text, len, &head);
    if (err == DK_OK)
        tell_good(v, file, line, &head);
    else if (err == DK_ERR_DATA)
        tell_bad(v, file, line, &why);
    else
        return err;
    return v->err;
}

static void tell_problem(void *argument, const char *device_id, const char *words)
{
    struct verification *v = argument;

    if (v->records == NULL)
        printf("BAD  chain of %s: %s\n", device_id, words);
    else if (json_array_append_new(v->problems, json_string(words)) != 0)
        v->err = DK_ERR_MEMORY;
}

static void tell_span(void *argument, const struct dk_chain_span *span)
{
    struct verification *v = argument;

    v->devices++;
    v->first = span->first;
    v->last = span->last;
    v->broken += span->problems > 0;
    if (v->records == NULL)
        return;
    if (json_array_append_new(
            v->chains, json_pack("{s:s, s:I, s:I, s:s, s:O}", "device", span->device_id, "first",
                                 (json_int_t)span->first, "last", (json_int_t)span->last, "state",
                                 span->problems > 0 ? "broken" : "whole", "problems", v->problems)) != 0)
        v->err = DK_ERR_MEMORY;
    json_decref(v->problems);
    v->problems = json_array();
}

static void print_summary(const struct verification *v)
{
    printf("%zu %s verified", v->good, v->good == 1 ? "record" : "records");
    if (v->bad > 0)
        printf(", %zu bad", v->bad);
    if (v->broken > 0)
        printf(", the chain is broken%s\n", v->devices > 1 ? " for some devices" : "");
    else if (v->devices > 1)
        printf(", the chains of %zu devices are whole\n", v->devices);
    else if (v->devices == 1)
        printf(", chain whole from %" PRId64 " to %" PRId64 "\n", v->first, v->last);
    else
        printf("\n");
}

static enum dk_err print_json(struct verification *v, struct dk_fault *fault)
{
    const char *status = v->bad > 0 || v->broken > 0 ? "bad" : "ok";

    return dk_json_print(
        json_pack("{s:O, s:O, s:s}", "records", v->records, "chain", v->chains, "status", status), fault);
}

// Reads all operands. One that is missing does not hide what the others hold; the first such fault is kept in
// `missing`.
static enum dk_err check_files(struct verification *v, char **files, int count, struct dk_fault *missing,
                               struct dk_fault *fault)
{
    for (int i = 0; i < count; i++) {
        struct dk_fault own = {0};
        enum dk_err err = dk_lines_read(files[i], DK_JWS_MAX_BYTES, check_line, v, &own);

        if (err == DK_ERR_NO_INPUT)
            (void)!dk_fail(missing, err, own.where, own.todo, "%s", own.what);
        else if (err != DK_OK)
            return dk_fail(fault, err, own.where, own.todo, "%s",
                           own.what[0] != '\0' ? own.what : dk_err_text(err));
    }
    return DK_OK;
}

static enum dk_err verify(const struct dk_keys *keys, char **files, int count, bool json,
                          struct dk_fault *fault)
{
    dk_auto(json) json_t *records = json ? json_array() : NULL;
    dk_auto(json) json_t *chains = json ? json_array() : NULL;
    struct verification v = {
        .keys = keys, .records = records, .chains = chains, .problems = json ? json_array() : NULL};
    struct dk_fault missing = {0};
    const struct dk_chain_listener listener = {tell_problem, tell_span, &v};
    enum dk_err err = check_files(&v, files, count, &missing, fault);

    if (err == DK_OK) {
        dk_chain_check(v.links, v.good, &listener);
        err = v.err != DK_OK ? dk_fail(fault, v.err, NULL, NULL, "out of memory") : DK_OK;
    }
    if (err == DK_OK && json)
        err = print_json(&v, fault);
    else if (err == DK_OK && v.good + v.bad > 0)
        print_summary(&v);
    free(v.links);
    json_decref(v.problems);
    if (err == DK_OK && v.bad + v.broken > 0)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "not everything is as it was signed: see the lines marked BAD");
    if (err == DK_OK && missing.err != DK_OK)
        return dk_fail(fault, missing.err, missing.where, missing.todo, "%s", missing.what);
    return err;
}

int dk_verb_verify(int argc, char **argv)
{
    const char *format = NULL, *key_file = NULL;
    const struct dk_own_flag flags[] = {
        {"key", "FILE", "public key or keys (JWK, JWK set or PEM); default: this device's own", &key_file,
         NULL},
        {"format", "text|json", "a line for each record, or one JSON object", &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    dk_auto_keys struct dk_keys keys = {0};
    bool json = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count == 0)
        err = dk_fail(&fault, DK_ERR_USAGE, NULL, "name .jws files, folders of them, or - for standard input",
                      "nothing to verify");
    if (err == DK_OK)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        err = dk_verb_keys(key_file, arguments.settings.state_dir, &keys, &fault);
    if (err == DK_OK)
        err = verify(&keys, arguments.operands, arguments.operand_count, json, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("verify", &fault);
}
