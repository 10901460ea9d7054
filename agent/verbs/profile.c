// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/profile.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"

#define SIGNATURE_SUFFIX ".jws"

enum { KEY_FILE_MAX_BYTES = 1 << 16 };

static enum dk_err read_key(const char *path, struct dk_key **out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(KEY_FILE_MAX_BYTES);
    struct dk_fault own = {0};
    enum dk_err err = dk_file_read(path, &text, &own);

    if (err == DK_OK)
        err = dk_key_read_public(path, dk_buf_text(&text), text.len, out, &own);
    if (err == DK_OK || err == DK_ERR_MEMORY)
        return err == DK_OK ? err : dk_fail(fault, err, path, NULL, "out of memory");
    return dk_fail(fault, DK_ERR_CONFIG, "[judge] profile_key", "name the file of a public key, JWK or PEM",
                   "%s: %s", path, own.what);
}

static enum dk_err check_signature(const char *path, const char *text, size_t len, const char *key_path,
                                   struct dk_fault *fault)
{
    char jws_path[PATH_MAX + sizeof SIGNATURE_SUFFIX];
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), signed_text = dk_buf_make(DK_PROFILE_MAX_BYTES);
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_fault own = {0};
    enum dk_err err = read_key(key_path, &key, fault);

    if (err != DK_OK)
        return err;
    snprintf(jws_path, sizeof jws_path, "%s" SIGNATURE_SUFFIX, path);
    err = dk_file_read(jws_path, &jws, &own);
    if (err == DK_ERR_NO_INPUT)
        return dk_fail(fault, DK_ERR_CONFIG, path, "have it signed by the key of [judge] profile_key: "
                       "dokiem sign-profile", "is not signed: there is no %s", jws_path);
    if (err == DK_OK) {
        jws.len -= jws.len > 0 && jws.data[jws.len - 1] == '\n' ? 1 : 0;
        err = dk_open(key, DK_TYP_PROFILE, dk_buf_text(&jws), jws.len, &signed_text, &own);
    }
    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, path, NULL, "out of memory");
    if (err != DK_OK)
        return dk_fail(fault, DK_ERR_CONFIG, jws_path,
                       "have the profile signed by the key of [judge] profile_key: dokiem sign-profile",
                       "does not sign the profile: %s", own.what);
    if (signed_text.len != len || memcmp(dk_buf_text(&signed_text), text, len) != 0)
        return dk_fail(fault, DK_ERR_CONFIG, path, "bring back what was signed, or have it signed again",
                       "is not the text that %s signs", jws_path);
    return DK_OK;
}

enum dk_err dk_verb_profile(const struct dk_settings *settings, struct dk_rules *out, struct dk_buf *text,
                            struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf own_text = dk_buf_make(DK_PROFILE_MAX_BYTES);
    struct dk_rules rules;
    char path[PATH_MAX];
    enum dk_err err = dk_rules_load_text(&rules, settings->profile, &own_text, path, fault);

    if (err == DK_OK && settings->profile_key[0] != '\0' &&
        !dk_rules_are_built_in(dk_buf_text(&own_text), own_text.len))
        err = check_signature(path, dk_buf_text(&own_text), own_text.len, settings->profile_key, fault);
    if (err == DK_OK && text != NULL && dk_buf_append(text, own_text.data, own_text.len) != DK_OK)
        err = dk_fail(fault, DK_ERR_MEMORY, path, NULL, "out of memory");
    if (err == DK_OK)
        *out = rules;
    return err;
}
