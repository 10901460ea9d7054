// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/message.h"
#include "agent/base/file.h"
#include "agent/bounds.h"
#include "agent/context/context.h"
#include "agent/device.h"
#include "agent/journal/journal.h"
#include "agent/record/key.h"
#include "agent/state.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"

static enum dk_err print_public(const char *path, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1024);
    enum dk_err err = dk_key_read_private(path, &key, fault);

    if (err == DK_OK)
        err = dk_key_public_jwk(key, &jwk);
    if (err != DK_OK)
        return dk_fail(fault, err, path, NULL, "%s", dk_err_text(err));
    puts(dk_buf_text(&jwk));
    return DK_OK;
}

static enum dk_err make_key(const char *state_dir, const char *path, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_fault own = {0};
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
    printf(_("device  %s\nkey     "), dk_key_id(key));
    dk_text_print(path);
    printf("\n");
    return DK_OK;
}

// Changes the key: the old one signs the new one, and the chain goes on.
static enum dk_err change_key(const char *state_dir, struct dk_fault *fault)
{
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_context context;
    struct dk_device_id device;
    char new_id[DK_SHA256_TEXT_SIZE], head_sha256[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = dk_device_key(state_dir, "", &key, fault);

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
    err = dk_device_rotate(state_dir, "", journal, key, &device, &context, new_id, &seq, fault);
    if (err == DK_OK)
        printf("device  %s\nnew key %s, from record %" PRId64 " on\n", device.id, new_id, seq + 1);
    return err;
}

int dk_verb_keygen(int argc, char **argv)
{
    bool public_only = false, rotate = false;
    const struct dk_own_flag flags[] = {
        {"public", NULL, N_("print the public key of the device as a JWK"), NULL, &public_only},
        {"rotate", NULL, N_("change the key; the old one signs the new one, and the chain goes on"), NULL, &rotate},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    char path[PATH_MAX + sizeof DK_KEY_FILE + 1];
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "keygen takes no operands");
    if (err == DK_OK) {
        snprintf(path, sizeof path, "%s/%s", arguments.settings.state_dir, DK_KEY_FILE);
        err = public_only ? print_public(path, &fault)
              : rotate    ? change_key(arguments.settings.state_dir, &fault)
                          : make_key(arguments.settings.state_dir, path, &fault);
    }
    return err == DK_OK ? 0 : dk_verb_fail("keygen", &fault);
}
