// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/keys.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/record/seal.h"
#include "agent/state.h"

enum { KEY_FILE_MAX_BYTES = 1 << 20 };

static enum dk_err check_signature(const struct dk_keys *keys, const char *jws, size_t len, struct dk_buf *payload,
                                   struct dk_fault *fault)
{
    const struct dk_key *key = keys->keys[0];
    char id[DK_SHA256_TEXT_SIZE];

    if (keys->count > 1) {
        enum dk_err err = dk_jws_key_id(jws, len, DK_TYP_RECORD, id, fault);

        if (err != DK_OK)
            return err;
        key = dk_keys_find(keys, id);
        if (key == NULL)
            return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                           "signed by another key: kid \"%s\" is not in the set given", id);
    }
    return dk_open(key, DK_TYP_RECORD, jws, len, payload, fault);
}

enum dk_err dk_record_check(const struct dk_keys *keys, const char *jws, size_t len, struct dk_record_head *head,
                            struct dk_buf *payload, struct dk_fault *fault)
{
    char id[DK_SHA256_TEXT_SIZE];
    enum dk_err err = check_signature(keys, jws, len, payload, fault);

    if (err == DK_OK)
        err = dk_record_read_head(dk_buf_text(payload), payload->len, head, fault);
    if (err == DK_OK)
        err = dk_jws_key_id(jws, len, DK_TYP_RECORD, id, fault);
    if (err == DK_OK && strcmp(id, head->device_id) != 0)
        return dk_fail(fault, DK_ERR_DATA, "device.id", NULL, "names device %s, but the key of %s signed",
                       head->device_id, id);
    return err;
}

enum dk_err dk_verb_keys(const char *file, const char *state_dir, struct dk_keys *out, struct dk_fault *fault)
{
    char path[PATH_MAX + sizeof DK_KEY_FILE + 1];

    if (file != NULL) {
        dk_auto_buf struct dk_buf text = dk_buf_make(KEY_FILE_MAX_BYTES);
        enum dk_err err = dk_file_read(file, &text, fault);

        return err != DK_OK ? err : dk_keys_read_public(file, dk_buf_text(&text), text.len, out, fault);
    }

    dk_auto_keys struct dk_keys keys = {.keys = calloc(1, sizeof(struct dk_key *))};

    if (keys.keys == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    snprintf(path, sizeof path, "%s/%s", state_dir, DK_KEY_FILE);

    enum dk_err err = dk_key_read_private(path, &keys.keys[0], fault);

    if (err != DK_OK)
        return err;
    keys.count = 1;
    *out = keys;
    keys = (struct dk_keys){0};
    return DK_OK;
}
