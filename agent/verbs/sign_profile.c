// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/device.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/verbs.h"
#include "config/rules.h"

// What is no profile is not signed.
static enum dk_err sign(const char *file, const struct dk_settings *settings, struct dk_fault *fault)
{
    char path[PATH_MAX];
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_PROFILE_MAX_BYTES), jws = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_rules rules;

    if (snprintf(path, sizeof path, "%s%s", strchr(file, '/') == NULL ? "./" : "", file) >= (int)sizeof path)
        return dk_fail(fault, DK_ERR_USAGE, "FILE", NULL, "is too long a path");

    enum dk_err err = dk_rules_load_text(&rules, path, &text, NULL, fault);

    if (err == DK_OK)
        err = dk_device_key(settings->state_dir, settings->device_key, &key, fault);
    if (err == DK_OK)
        err = dk_seal(key, DK_TYP_PROFILE, text.data, text.len, &jws, fault);
    if (err == DK_OK)
        puts(dk_buf_text(&jws));
    return err;
}

int dk_verb_sign_profile(int argc, char **argv)
{
    static const struct dk_own_flag none[] = {{0}};
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, none, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count != 1)
        err = dk_fail(&fault, DK_ERR_USAGE, NULL, "as in dokiem sign-profile FILE.ini > FILE.ini.jws",
                      "one profile is signed at a time");
    if (err == DK_OK)
        err = sign(arguments.operands[0], &arguments.settings, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("sign-profile", &fault);
}
