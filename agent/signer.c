// SPDX-License-Identifier: Apache-2.0
#include "agent/signer.h"

#include "agent/base/sandbox.h"
#include "agent/record/seal.h"
#include "agent/record/signer.h"

#include <linux/capability.h>
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

// What a token's module touches is its own affair: files that it reads, writes and locks, a device, a local socket, a
// server. So those are left to it, and to root the files of others; programs, processes and the kernel are not.
static const struct dk_sandbox token_walls = {
    .any_file = true,
    .network = DK_SANDBOX_ANY_NETWORK,
    .keep = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH,
};

static const struct dk_sandbox *walls_of(const char *key_name)
{
    return key_name[0] != '\0' ? &token_walls : NULL;
}

static enum dk_err get_key(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault)
{
    const struct place *place = argument;

    (void)told;
    return dk_device_key(place->state_dir, place->key_name, out, fault);
}

static enum dk_err get_settled(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault)
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
        .get = get_settled,
        .argument = &place,
        .typ = DK_TYP_RECORD,
        .max = SEALS_MAX,
        .walls = walls_of(key_name),
        .told = &told,
        .told_size = sizeof told,
    };
    struct dk_key *key = NULL;
    enum dk_err err = dk_signer_start(&plan, &key, fault);

    if (err == DK_OK)
        *out = (struct dk_device_signer){key, told.device, told.seq};
    return err;
}

enum dk_err dk_device_signer_start_enrolling(const char *state_dir, const char *key_name, struct dk_key **out,
                                             struct dk_fault *fault)
{
    const struct place place = {state_dir, key_name};
    const struct dk_signer_plan plan = {
        .get = get_key,
        .argument = &place,
        .typ = DK_TYP_ENROL,
        .max = 1,
        .walls = walls_of(key_name),
    };

    return dk_signer_start(&plan, out, fault);
}

void dk_device_signer_end(struct dk_device_signer *signer)
{
    dk_key_free(signer->key);
    signer->key = NULL;
}

enum dk_err dk_device_signer_check(const struct dk_device_signer *signer, const char *state_dir,
                                   struct dk_journal *journal, struct dk_fault *fault)
{
    return dk_device_unchanged(state_dir, journal, dk_key_id(signer->key), signer->seq, fault);
}
