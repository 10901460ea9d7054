// SPDX-License-Identifier: Apache-2.0
#include "agent/signer.h"

#include "agent/record/seal.h"
#include "agent/record/signer.h"

#include <string.h>

// Two runs (IPv4 and IPv6), each with a repeat and what it dropped.
enum { SEALS_MAX = 8 };

struct place {
    const char *state_dir, *key_name;
};

struct told {
    struct dk_device_id device;
    int64_t seq;
};

static enum dk_err get_key(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault)
{
    const struct place *place = argument;
    struct told found = {0};
    char sha256[DK_SHA256_TEXT_SIZE];
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_device_key(place->state_dir, place->key_name, out, fault);

    if (err != DK_OK)
        return err;
    err = dk_journal_open(place->state_dir, false, &journal, fault);
    // Without a journal there will be no run, which says why.
    if (err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err == DK_OK)
        err = dk_journal_lock(journal, fault);
    if (err == DK_OK)
        err = dk_device_settle(place->state_dir, journal, out, &found.device, fault);
    if (err == DK_OK)
        err = dk_journal_head(journal, &found.seq, sha256, fault);
    memcpy(told, &found, sizeof found);
    return err;
}

enum dk_err dk_device_signer_start(const char *state_dir, const char *key_name, struct dk_device_signer *out,
                                   struct dk_fault *fault)
{
    const struct place place = {state_dir, key_name};
    struct told told = {0};
    const struct dk_signer_plan plan = {
        .get = get_key,
        .argument = &place,
        .typ = DK_TYP_RECORD,
        .max = SEALS_MAX,
        .told = &told,
        .told_size = sizeof told,
    };
    struct dk_key *key = NULL;
    enum dk_err err = dk_signer_start(&plan, &key, fault);

    if (err == DK_OK)
        *out = (struct dk_device_signer){key, told.device, told.seq};
    return err;
}

void dk_device_signer_end(struct dk_device_signer *signer)
{
    dk_key_free(signer->key);
    signer->key = NULL;
}

enum dk_err dk_device_signer_check(const struct dk_device_signer *signer, struct dk_journal *journal,
                                   struct dk_fault *fault)
{
    return dk_device_unchanged(journal, dk_key_id(signer->key), signer->seq, fault);
}
