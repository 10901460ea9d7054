// SPDX-License-Identifier: Apache-2.0
//
// Checks records offline: each signature over its exact bytes, the form, the key and its validity, the receipts, then
// the chain of all that were given.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/message.h"
#include "agent/record/seal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/keys.h"
#include "agent/verbs/lines.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"
#include "agent/verbs/verify.h"

struct reading {
    struct dk_verifier verifier;
    struct dk_time_stamps time_stamps;
    char **names; // of the files, clean; owned
    size_t name_count, name_capacity;
    struct dk_fault *fault;
};

// The name of a file, clean, kept as long as its lines.
static const char *keep_name(struct reading *r, const char *file)
{
    dk_auto_buf struct dk_buf clean = dk_buf_make(strlen(file));

    if (dk_text_clean(file, strlen(file), false, &clean) != DK_OK)
        return NULL;
    if (r->name_count > 0 && strcmp(r->names[r->name_count - 1], dk_buf_text(&clean)) == 0)
        return r->names[r->name_count - 1];
    if (r->name_count == r->name_capacity) {
        size_t capacity = r->name_capacity == 0 ? 64 : r->name_capacity * 2;
        char **names = reallocarray(r->names, capacity, sizeof *names);

        if (names == NULL)
            return NULL;
        r->names = names;
        r->name_capacity = capacity;
    }
    r->names[r->name_count] = strdup(dk_buf_text(&clean));
    return r->names[r->name_count] != NULL ? r->names[r->name_count++] : NULL;
}

static enum dk_err take_line(void *argument, const char *file, int64_t line, const char *text, size_t len)
{
    static const char end[] = ".receipt.jws";
    struct reading *r = argument;
    const char *name = keep_name(r, file);
    size_t name_len = strlen(file);
    bool is_receipt = name_len >= sizeof end - 1 && strcmp(file + name_len - (sizeof end - 1), end) == 0;

    if (name == NULL)
        return DK_ERR_MEMORY;
    return dk_verifier_take(&r->verifier, name, line, text, len, is_receipt, r->fault);
}

// Reads all operands. One that is missing does not hide what the others hold; the first such fault is kept in
// `missing`.
static enum dk_err read_all(struct reading *r, char **files, int count, struct dk_fault *missing,
                            struct dk_fault *fault)
{
    for (int i = 0; i < count; i++) {
        struct dk_fault own = {0};
        size_t stamps = 0;

        r->fault = &own;

        enum dk_err err = dk_time_stamps_take(&r->time_stamps, files[i], &stamps, &own);

        if (err == DK_OK && !dk_is_time_stamp(files[i]))
            err = dk_lines_read(files[i], DK_LINES_RECORDS_AND_RECEIPTS, DK_JWS_MAX_BYTES, take_line, r, &own);
        if (err == DK_ERR_NO_INPUT && stamps > 0) // a folder of stamps alone
            continue;
        if (err == DK_ERR_NO_INPUT)
            (void)!dk_fail(missing, err, own.where, own.todo, "%s", own.what);
        else if (err != DK_OK)
            return dk_fail(fault, err, own.where, own.todo, "%s",
                           own.what[0] != '\0' ? own.what : dk_err_text(err));
    }

    enum dk_err err = dk_verifier_finish(&r->verifier, fault);

    return err == DK_OK ? dk_time_stamps_join(&r->time_stamps, &r->verifier, fault) : err;
}

// What to check with.
struct means {
    struct dk_keys ring, servers;
    struct dk_tsa *tsa; // NULL: time stamps are not checked
};

static enum dk_err verify(struct means *means, char **files, int count, const char *evidence, bool json,
                          struct dk_fault *fault)
{
    dk_auto(form) struct dk_form *form = NULL;
    struct reading r = {.time_stamps = {.tsa = means->tsa}};
    struct dk_verify_result result = {.time_stamps = &r.time_stamps};
    struct dk_fault missing = {0};
    enum dk_err err = dk_form_open(&form, fault);

    r.verifier.ring = &means->ring;
    r.verifier.servers = &means->servers;
    r.verifier.form = form;
    if (err == DK_OK)
        err = read_all(&r, files, count, &missing, fault);
    if (err == DK_OK && evidence != NULL)
        err = dk_verify_evidence(&r.verifier, evidence, !json, &result, fault);
    if (err == DK_OK)
        err = json ? dk_verify_print_json(&r.verifier, &result, fault)
                   : dk_verify_print_text(&r.verifier, &result, fault);
    dk_verifier_free(&r.verifier);
    dk_time_stamps_free(&r.time_stamps);
    for (size_t i = 0; i < r.name_count; i++)
        free(r.names[i]);
    free(r.names);
    if (err == DK_OK && !result.good)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "not everything is as it was signed, or as the server saw it: see what is marked BAD");
    if (err == DK_OK && missing.err != DK_OK)
        return dk_fail(fault, missing.err, missing.where, missing.todo, "%s", missing.what);
    return err;
}

int dk_verb_verify(int argc, char **argv)
{
    const char *format = NULL, *key_file = NULL, *collector_file = NULL, *server_file = NULL, *evidence = NULL,
               *tsa_file = NULL;
    const struct dk_own_flag flags[] = {
        {"key", "FILE", N_("public keys: JWK, JWK set, PEM, or a folder of them; default: this device's own"),
         &key_file,
         NULL},
        {"collector-key", "FILE", N_("the key that receipts must be signed by, in the same forms"),
         &collector_file, NULL},
        {"server-key", "FILE",
         N_("keys of reference servers, in the same forms: their words must agree with the records"), &server_file,
         NULL},
        {"tsa-ca", "FILE",
         N_("PEM certificate of the time-stamping authority, or of the one above it, that time stamps (*.tsr) must be "
            "signed by"),
         &tsa_file, NULL},
        {"evidence", "DIR", N_("check the packet headers of runs, ID.pcap in this folder, too"), &evidence, NULL},
        {"format", "text|json", N_("a line for each record and a summary, or one JSON object"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    struct means means = {0};
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
        err = dk_verb_keys(key_file, arguments.settings.state_dir, &means.ring, &fault);
    if (err == DK_OK && collector_file != NULL)
        err = dk_ring_read_path(collector_file, DK_ROLE_COLLECTOR, &means.ring, &fault);
    if (err == DK_OK && server_file != NULL)
        err = dk_ring_read_path(server_file, DK_ROLE_ANY, &means.servers, &fault);
    if (err == DK_OK && tsa_file != NULL)
        err = dk_tsa_read(tsa_file, &means.tsa, &fault);
    if (err == DK_OK)
        dk_confine_reading(arguments.operands, (size_t)arguments.operand_count, (const char *const[]){evidence, NULL},
                           arguments.settings.state_dir, NULL);
    if (err == DK_OK)
        err = verify(&means, arguments.operands, arguments.operand_count, evidence, json, &fault);
    dk_keys_free(&means.ring);
    dk_keys_free(&means.servers);
    dk_tsa_free(means.tsa);
    return err == DK_OK ? 0 : dk_verb_fail("verify", &fault);
}
