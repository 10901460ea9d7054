// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/base/message.h"
#include "agent/base/file.h"
#include "agent/deliver/deliver.h"
#include "agent/device.h"
#include "agent/signer.h"
#include "agent/state.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/verbs.h"

enum { TOKEN_SIZE = 256 };

struct enrolment {
    const struct dk_settings *settings;
    const char *token;
    bool force;
    bool approved;
};

static enum dk_err read_token(const char *given, char out[static TOKEN_SIZE], struct dk_fault *fault)
{
    if (given == NULL)
        return dk_fail(fault, DK_ERR_USAGE, "--token",
                       "ask the collector's operator for one (dokiem-collector token)", "is missing");
    if (strcmp(given, "-") != 0)
        snprintf(out, TOKEN_SIZE, "%s", given);
    else if (fgets(out, TOKEN_SIZE, stdin) == NULL)
        return dk_fail(fault, DK_ERR_NO_INPUT, "stdin", NULL, "holds no token");
    out[strcspn(out, "\r\n")] = '\0';
    if (out[0] == '\0')
        return dk_fail(fault, DK_ERR_USAGE, "--token", NULL, "is empty");
    return DK_OK;
}

static enum dk_err keep_old_collector(const char *state_dir, const struct dk_key *old, struct dk_buf *text,
                                      struct dk_fault *fault)
{
    char folder[PATH_MAX + sizeof DK_KEYS_FOLDER], name[DK_SHA256_TEXT_SIZE + 8];

    snprintf(folder, sizeof folder, "%s/%s", state_dir, DK_KEYS_FOLDER);
    snprintf(name, sizeof name, "c%s.jwk", dk_key_id(old));
    dk_buf_free(text);

    enum dk_err err = dk_directory_make(folder, fault);

    if (err == DK_OK)
        err = dk_key_public_jwk(old, text);
    if (err == DK_OK) {
        text->len--; // the closing brace
        err = dk_buf_printf(text, ",\"dokiem_role\":\"collector\"}\n");
    }
    if (err == DK_OK)
        err = dk_file_write(folder, name, text->data, text->len, DK_WRITE_REPLACE, fault);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, folder, NULL, "%s", dk_err_text(err));
}

// Another collector's key is not written over unless --force says so: receipts kept so far were signed by it.
static enum dk_err keep_collector_key(const struct enrolment *enrolment, const struct dk_buf *jwk,
                                      struct dk_fault *fault)
{
    const char *state_dir = enrolment->settings->state_dir;
    char path[PATH_MAX + sizeof DK_COLLECTOR_KEY_FILE];
    dk_auto_buf struct dk_buf text = dk_buf_make(4096);
    dk_auto(key) struct dk_key *old = NULL, *new = NULL;
    struct dk_fault reading = {0};

    snprintf(path, sizeof path, "%s/%s", state_dir, DK_COLLECTOR_KEY_FILE);

    enum dk_err err = dk_key_read_public("collector", jwk->data, jwk->len, &new, fault);

    if (err != DK_OK)
        return err;
    err = dk_file_read(path, &text, &reading);
    if (err == DK_OK)
        err = dk_key_read_public(path, dk_buf_text(&text), text.len, &old, &reading);
    if (err == DK_OK && strcmp(dk_key_id(old), dk_key_id(new)) == 0)
        return DK_OK;
    if (err != DK_ERR_NO_INPUT && !enrolment->force)
        return dk_fail(
            fault, DK_ERR_CONFIG, path,
            "if this device shall move to the new collector, repeat with --force and the same token", "%s",
            err == DK_OK ? "holds the key of another collector" : reading.what);
    if (old != NULL) // it signed the receipts kept so far
        err = keep_old_collector(state_dir, old, &text, fault);
    else
        err = DK_OK;
    if (err != DK_OK)
        return err;
    return dk_file_write(state_dir, DK_COLLECTOR_KEY_FILE, jwk->data, jwk->len, DK_WRITE_REPLACE, fault);
}

static enum dk_err enrol(struct enrolment *enrolment, struct dk_fault *fault)
{
    const struct dk_settings *settings = enrolment->settings;
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf jwk = dk_buf_make(4096);
    struct dk_device_id device;
    struct dk_fault reading = {0};

    if (settings->collector_url[0] == '\0')
        return dk_fail(fault, DK_ERR_USAGE, "--collector", "give it, or set [collector] url", "is missing");

    // The collector's answer is read where the private key is not.
    enum dk_err err =
        dk_device_signer_start_enrolling(settings->state_dir, settings->device_key, &key, &reading);
    bool make = err == DK_ERR_NO_INPUT && settings->device_key[0] == '\0';

    if (err != DK_OK)
        return dk_fail(fault, err, reading.where, make ? "make it: dokiem keygen" : reading.todo, "%s", reading.what);

    const struct dk_deliver_options options = {
        .url = settings->collector_url,
        .ca_file = settings->collector_ca_file,
        .user_agent = "dokiem/" DK_VERSION,
        .timeout_ns = settings->collector_timeout_ns,
        .interrupt_fd = -1,
    };

    err = dk_device_chain(settings->state_dir, key, &device, fault);
    if (err != DK_OK)
        return err;
    dk_confine_enrolling(settings);
    err = dk_enrol(&options, key, device.id, enrolment->token, settings->site_code, settings->site_name, &jwk,
                   &enrolment->approved, fault);
    if (err == DK_OK)
        err = keep_collector_key(enrolment, &jwk, fault);
    if (err == DK_OK)
        printf("%s %s\n", device.id, enrolment->approved ? _("approved") : _("pending"));
    return err;
}

int dk_verb_enrol(int argc, char **argv)
{
    const char *url = NULL, *given = NULL;
    bool force = false;
    const struct dk_own_flag own[] = {
        {"collector", "URL", N_("the collector; else [collector] url"), &url, NULL},
        {"token", "TOKEN", N_("the one-time token from the collector's operator; - reads it from stdin"), &given,
         NULL},
        {"force", NULL, N_("take this collector's key in place of another one's"), NULL, &force},
        {0},
    };
    struct dk_arguments arguments;
    char token[TOKEN_SIZE];
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, own, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "is one word too many");
    if (err == DK_OK && url != NULL)
        err = dk_settings_set_argument(&arguments.settings, "collector", url, &fault);
    if (err == DK_OK)
        err = read_token(given, token, &fault);

    struct enrolment enrolment = {.settings = &arguments.settings, .token = token, .force = force};

    if (err == DK_OK)
        err = enrol(&enrolment, &fault);
    if (err != DK_OK)
        return dk_verb_fail("enrol", &fault);
    if (!enrolment.approved)
        fprintf(stderr,
                "dokiem enrol: the collector's operator has to approve this device before it can deliver\n");
    return 0;
}
