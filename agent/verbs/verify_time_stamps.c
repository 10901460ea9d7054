// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/verify.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/verbs/text.h"

static const char suffix[] = ".tsr";
// Authorities often state whole seconds.
static const int64_t tolerance_ns = DK_NS_PER_S;

bool dk_is_time_stamp(const char *name)
{
    size_t len = strlen(name);

    return len >= sizeof suffix && strcmp(name + len - (sizeof suffix - 1), suffix) == 0;
}

static int is_time_stamp_entry(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && dk_is_time_stamp(entry->d_name);
}

static enum dk_err out_of_memory(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
}

// Room for one more in an array of `count` entries of `size` bytes, which doubles. NULL without memory.
static void *grow(void *array, size_t count, size_t size)
{
    return count == 0 || (count & (count - 1)) == 0 ? reallocarray(array, count == 0 ? 1 : count * 2, size) : array;
}

static enum dk_err take_bad(struct dk_time_stamps *t, const char *path, const char *reason, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf name = dk_buf_make(PATH_MAX);
    struct dk_bad_time_stamp *grown = grow(t->bad, t->bad_count, sizeof *grown);

    if (grown == NULL)
        return out_of_memory(fault);
    t->bad = grown;
    if (dk_text_clean(path, strlen(path), false, &name) != DK_OK)
        return out_of_memory(fault);

    struct dk_bad_time_stamp bad = {.file = strdup(dk_buf_text(&name)), .reason = strdup(reason)};

    t->bad[t->bad_count++] = bad;
    return bad.file != NULL && bad.reason != NULL ? DK_OK : out_of_memory(fault);
}

static enum dk_err take_file(struct dk_time_stamps *t, const char *path, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf der = dk_buf_make(DK_TIME_STAMP_MAX_BYTES);
    struct dk_fault why = {0};
    struct dk_time_stamp stamp;
    enum dk_err err = dk_file_read(path, &der, &why);

    if (err == DK_OK && t->tsa == NULL) {
        t->unchecked++;
        return DK_OK;
    }
    if (err == DK_OK)
        err = dk_time_stamp_check(t->tsa, NULL, der.data, der.len, &stamp, &why);
    // What an authority refused is no stamp either.
    if (err == DK_ERR_DATA || (err == DK_ERR_NOT_NOW && der.len > 0))
        return take_bad(t, path, why.what, fault);
    if (err != DK_OK)
        return dk_fail(fault, err, why.where, why.todo, "%s", why.what);

    struct dk_time_stamp *grown = grow(t->stamps, t->count, sizeof *grown);

    if (grown == NULL)
        return out_of_memory(fault);
    t->stamps = grown;
    t->stamps[t->count++] = stamp;
    return DK_OK;
}

enum dk_err dk_time_stamps_take(struct dk_time_stamps *t, const char *path, size_t *found, struct dk_fault *fault)
{
    struct dirent **entries = NULL;
    int count = 0;
    enum dk_err err = DK_OK;

    *found = 0;
    if (dk_is_time_stamp(path)) {
        err = take_file(t, path, fault);
        *found = err == DK_OK;
        return err;
    }
    // What is no folder is read as lines, and that says what is wrong with it.
    count = scandir(path, &entries, is_time_stamp_entry, alphasort);
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX];

        if (err == DK_OK && snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name) >= (int)sizeof name)
            err = dk_fail(fault, DK_ERR_IO, path, NULL, "the path is too long");
        if (err == DK_OK)
            err = take_file(t, name, fault);
        free(entries[i]);
    }
    free(entries);
    if (err == DK_OK && count > 0)
        *found = (size_t)count;
    return err;
}

// --- records --------------------------------------------------------------------------------------------------------

static int by_hash(const void *a, const void *b)
{
    const struct dk_item *const *x = a, *const *y = b;

    return strcmp((*x)->sha256, (*y)->sha256);
}

static int latest_first(const void *a, const void *b)
{
    const struct dk_item *const *x = a, *const *y = b;

    return ((*x)->head.seq < (*y)->head.seq) - ((*x)->head.seq > (*y)->head.seq);
}

struct joining {
    struct dk_time_stamps *t;
    const struct dk_verifier *verifier;
    const struct dk_item **hashed; // good records, by their hash; owned
    size_t count;
};

// The records with this hash were there at the time of `stamp`. False when there is none.
static bool cover(struct joining *j, const char *sha256, const struct dk_time_stamp *stamp, int64_t seq)
{
    size_t low = 0, high = j->count;
    bool any = false;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(j->hashed[middle]->sha256, sha256) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < j->count && strcmp(j->hashed[low]->sha256, sha256) == 0; low++) {
        const struct dk_item *item = j->hashed[low];
        struct dk_stamped *stamped = &j->t->stamped[item - j->verifier->items];
        const struct dk_ring_key *key = dk_ring_find(j->verifier->ring, item->key_id);

        any = true;
        if (stamped->by != NULL && stamped->by->time.ns <= stamp->time.ns)
            continue;
        stamped->by = stamp;
        stamped->seq = seq > 0 ? seq : item->head.seq;
        stamped->before_revocation = key != NULL && key->revoked && stamp->time.ns < key->revoked_since.ns;
        stamped->early = stamp->time.ns + stamp->accuracy_ns + tolerance_ns < item->head.end.ns;
    }
    return any;
}

enum dk_err dk_time_stamps_join(struct dk_time_stamps *t, const struct dk_verifier *verifier, struct dk_fault *fault)
{
    const struct dk_item **hashed = calloc(verifier->count + 1, sizeof *hashed);
    const struct dk_item **latest = calloc(verifier->count + 1, sizeof *latest);
    struct joining j = {.t = t, .verifier = verifier, .hashed = hashed};

    t->stamped = calloc(verifier->count + 1, sizeof *t->stamped);
    if (hashed != NULL && latest != NULL && t->stamped != NULL) {
        for (size_t i = 0; i < verifier->count; i++)
            if (!verifier->items[i].is_receipt && verifier->items[i].proof == DK_PROOF_GOOD)
                hashed[j.count++] = &verifier->items[i];
        memcpy(latest, hashed, j.count * sizeof *latest);
        qsort(hashed, j.count, sizeof *hashed, by_hash);
        qsort(latest, j.count, sizeof *latest, latest_first);
        for (size_t i = 0; i < t->count; i++)
            t->alone += !cover(&j, t->stamps[i].record_sha256, &t->stamps[i], 0);
        // A record holds the hash of the one before it, so that one was there too.
        for (size_t i = 0; i < j.count; i++) {
            const struct dk_stamped *stamped = &t->stamped[latest[i] - verifier->items];

            if (stamped->by != NULL && latest[i]->head.prev[0] != '\0')
                (void)cover(&j, latest[i]->head.prev, stamped->by, stamped->seq);
        }
    }

    bool enough = hashed != NULL && latest != NULL && t->stamped != NULL;

    free(hashed);
    free(latest);
    return enough ? DK_OK : out_of_memory(fault);
}

void dk_time_stamps_free(struct dk_time_stamps *t)
{
    for (size_t i = 0; i < t->bad_count; i++) {
        free(t->bad[i].file);
        free(t->bad[i].reason);
    }
    free(t->bad);
    free(t->stamps);
    free(t->stamped);
    *t = (struct dk_time_stamps){0};
}
