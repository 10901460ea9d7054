// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/message.h"
#include "agent/base/pkcs11_uri.h"
#include "agent/bounds.h"
#include "agent/context/context.h"
#include "agent/device.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"
#include "agent/state.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"

static enum dk_err print_public(const struct dk_settings *settings, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1024);
    enum dk_err err = dk_device_key(settings->state_dir, settings->device_key, &key, fault);

    if (err == DK_OK)
        err = dk_key_public_jwk(key, &jwk);
    if (err != DK_OK)
        return dk_fail(fault, err, settings->state_dir, NULL, "%s", dk_err_text(err));
    puts(dk_buf_text(&jwk));
    return DK_OK;
}

static void print_device(const char *id, const char *key)
{
    printf(_("device  %s\nkey     "), id);
    dk_text_print(key);
    printf("\n");
}

// The key was made in the token, by the token's own tools.
static enum dk_err adopt_key(const struct dk_settings *settings, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_device_id device;
    enum dk_err err = dk_device_key(settings->state_dir, settings->device_key, &key, fault);

    if (err == DK_OK)
        err = dk_journal_open(settings->state_dir, true, &journal, fault);
    if (err == DK_OK)
        err = dk_journal_lock(journal, fault);
    if (err == DK_OK)
        err = dk_device_adopt(settings->state_dir, journal, &key, &device, fault);
    if (err == DK_OK)
        print_device(device.id, settings->device_key);
    return err;
}

static enum dk_err make_key(const char *state_dir, struct dk_fault *fault)
{
    char path[PATH_MAX + sizeof DK_KEY_FILE + 1];
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_fault own = {0};

    snprintf(path, sizeof path, "%s/%s", state_dir, DK_KEY_FILE);

    enum dk_err err = dk_journal_open(state_dir, true, &journal, fault);

    if (err == DK_OK)
        err = dk_key_generate(&key, fault);
    if (err != DK_OK)
        return err;
    err = dk_key_write_private(key, state_dir, DK_KEY_FILE, &own);
    if (err == DK_ERR_NOT_NOW)
        return dk_fail(fault, DK_ERR_PERMISSION, path,
                       "keep it, or move the whole state folder away to begin as a new device",
                       "there is a key already; without it the chain of records cannot go on");
    if (err != DK_OK)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    print_device(dk_key_id(key), path);
    return DK_OK;
}

// The settings have to follow the key.
static void print_next_step(const struct dk_settings *settings, const char *new_key)
{
    if (new_key[0] != '\0') {
        printf(_("set now, in the configuration file: [device] key = "));
        printf("\"");
        dk_text_print(new_key);
        printf("\"\n");
    } else if (settings->device_key[0] != '\0') {
        puts(_("remove now, in the configuration file: [device] key"));
    }
}

// A token takes any PIN while the old key is logged in there: whether the new one works by itself is seen before.
static enum dk_err try_key(const char *state_dir, const char *new_key, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;

    return dk_device_key(state_dir, new_key, &key, fault);
}

// Changes the key: the old one signs the new one, and the chain goes on. `new_key` is "" for a new device.pem.
static enum dk_err change_key(const struct dk_settings *settings, const char *new_key, struct dk_fault *fault)
{
    const char *state_dir = settings->state_dir;
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_context context;
    struct dk_device_id device;
    char new_id[DK_SHA256_TEXT_SIZE], head_sha256[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = new_key[0] != '\0' ? try_key(state_dir, new_key, fault) : DK_OK;

    if (err == DK_OK)
        err = dk_device_key(state_dir, settings->device_key, &key, fault);
    if (err == DK_OK)
        err = dk_journal_open(state_dir, false, &journal, fault);
    if (err == DK_OK)
        err = dk_journal_lock(journal, fault);
    if (err == DK_OK)
        err = dk_device_settle(state_dir, journal, &key, &device, fault);
    if (err == DK_OK)
        err = dk_journal_head(journal, &seq, head_sha256, fault);
    if (err == DK_OK) // the last record will be another one
        err = dk_bounds_settle(journal, seq, fault);
    if (err != DK_OK)
        return err;
    dk_context_gather("", "", DK_TECHNOLOGY_UNKNOWN, &context);
    err = dk_device_rotate(state_dir, new_key, journal, key, &device, &context, new_id, &seq, fault);
    if (err != DK_OK)
        return err;
    printf("device  %s\nnew key %s, from record %" PRId64 " on\n", device.id, new_id, seq + 1);
    print_next_step(settings, new_key);
    return DK_OK;
}

static enum dk_err check_new_key(const char *new_key, bool rotate, struct dk_fault *fault)
{
    struct dk_pkcs11_uri uri;

    if (!rotate)
        return dk_fail(fault, DK_ERR_USAGE, "--new-key", "see 'dokiem keygen --help'", "goes with --rotate");

    const char *wrong = dk_pkcs11_uri_read(new_key, &uri);

    return wrong == NULL ? DK_OK : dk_fail(fault, DK_ERR_USAGE, "--new-key", NULL, "the URI %s", _(wrong));
}

int dk_verb_keygen(int argc, char **argv)
{
    bool public_only = false, rotate = false;
    const char *new_key = NULL;
    const struct dk_own_flag flags[] = {
        {"public", NULL, N_("print the public key of the device as a JWK"), NULL, &public_only},
        {"rotate", NULL, N_("change the key; the old one signs the new one, and the chain goes on"), NULL, &rotate},
        {"new-key", "URI", N_("with --rotate: the key in a token that takes over; without it device.pem is made anew"),
         &new_key, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "keygen takes no operands");
    if (err == DK_OK && new_key != NULL)
        err = check_new_key(new_key, rotate, &fault);

    const struct dk_settings *settings = &arguments.settings;

    if (err == DK_OK)
        err = public_only                          ? print_public(settings, &fault)
              : rotate                             ? change_key(settings, new_key != NULL ? new_key : "", &fault)
              : settings->device_key[0] != '\0' ? adopt_key(settings, &fault)
                                                   : make_key(settings->state_dir, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("keygen", &fault);
}
