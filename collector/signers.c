// SPDX-License-Identifier: Apache-2.0
#include "collector/signers.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 512, WAYS = 4 };

struct slot {
    struct dk_key *key; // owned; NULL while the slot is free
    int64_t asked;      // the turn in which it was last asked for
};

struct dk_signers {
    int64_t turn;
    struct slot slots[SETS][WAYS];
};

enum dk_err dk_signers_new(struct dk_signers **out)
{
    struct dk_signers *signers = calloc(1, sizeof *signers);

    if (signers == NULL)
        return DK_ERR_MEMORY;
    *out = signers;
    return DK_OK;
}

void dk_signers_free(struct dk_signers *signers)
{
    if (signers == NULL)
        return;
    for (size_t i = 0; i < SETS; i++)
        for (size_t j = 0; j < WAYS; j++)
            dk_key_free(signers->slots[i][j].key);
    free(signers);
}

enum dk_err dk_signers_get(struct dk_signers *signers, const char *id, const char *jwk, const struct dk_key **out,
                           struct dk_fault *fault)
{
    uint32_t hash = 2166136261U; // FNV-1a

    for (const char *at = id; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619U;

    struct slot *set = signers->slots[hash % SETS], *oldest = &set[0];

    signers->turn++;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key != NULL && strcmp(dk_key_id(set[i].key), id) == 0) {
            set[i].asked = signers->turn;
            *out = set[i].key;
            return DK_OK;
        }
        if (set[i].asked < oldest->asked)
            oldest = &set[i];
    }

    dk_auto(key) struct dk_key *key = NULL;
    enum dk_err err = dk_key_read_public(id, jwk, strlen(jwk), &key, fault);

    if (err != DK_OK)
        return err;
    if (strcmp(dk_key_id(key), id) != 0)
        return dk_fail(fault, DK_ERR_DATA, id, NULL, "is not the key that is kept under this id");
    dk_key_free(oldest->key);
    *oldest = (struct slot){key, signers->turn};
    *out = key;
    key = NULL;
    return DK_OK;
}
