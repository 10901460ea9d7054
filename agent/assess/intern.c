// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/intern.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SLOTS_FIRST = 64 };

// Without randomness this early in a boot the key is a constant: slower at worst, never wrong.
static void make_key(uint64_t key[static 2])
{
    key[0] = UINT64_C(0x243f6a8885a308d3);
    key[1] = UINT64_C(0x13198a2e03707345);
    (void)!getrandom(key, 2 * sizeof key[0], GRND_NONBLOCK);
    key[1] |= 1;
}

static uint64_t hash_of(const uint64_t key[static 2], const void *data, size_t len)
{
    const unsigned char *at = data;
    uint64_t hash = key[0] ^ len;

    for (size_t left = len; left > 0;) {
        uint64_t word = 0;
        size_t size = left < sizeof word ? left : sizeof word;

        memcpy(&word, at, size);
        hash = (hash ^ word) * key[1];
        hash ^= hash >> 32;
        at += size;
        left -= size;
    }
    hash *= key[1];
    return hash ^ hash >> 29;
}

// Makes room for one more: at most three quarters of the slots are used.
static enum dk_err grow_slots(uint32_t **slots, size_t *slot_count, size_t count,
                              uint64_t (*hash)(const void *owner, size_t number), const void *owner)
{
    if (count < *slot_count / 4 * 3)
        return DK_OK;
    if (count >= DK_INTERN_MAX)
        return DK_ERR_DATA;

    size_t grown = *slot_count == 0 ? SLOTS_FIRST : *slot_count * 2;
    uint32_t *fresh = calloc(grown, sizeof *fresh);

    if (fresh == NULL)
        return DK_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        size_t slot = hash(owner, i) & (grown - 1);

        while (fresh[slot] != 0)
            slot = (slot + 1) & (grown - 1);
        fresh[slot] = (uint32_t)i + 1;
    }
    free(*slots);
    *slots = fresh;
    *slot_count = grown;
    return DK_OK;
}

// Half as much again: of what is not yet written to, the system gives no memory.
static enum dk_err grow_items(void **items, size_t *capacity, size_t count, size_t item_size)
{
    if (count < *capacity)
        return DK_OK;

    size_t grown = *capacity == 0 ? SLOTS_FIRST : *capacity + *capacity / 2;
    void *fresh = reallocarray(*items, grown, item_size);

    if (fresh == NULL)
        return DK_ERR_MEMORY;
    *items = fresh;
    *capacity = grown;
    return DK_OK;
}

static uint64_t item_hash(const void *owner, size_t number)
{
    const struct dk_intern *intern = owner;

    return hash_of(intern->key, (const char *)intern->items + number * intern->item_size, intern->item_size);
}

struct dk_intern dk_intern_make(size_t item_size)
{
    struct dk_intern out = {.item_size = item_size};

    make_key(out.key);
    return out;
}

void dk_intern_free(struct dk_intern *intern)
{
    free(intern->items);
    free(intern->slots);
    *intern = (struct dk_intern){0};
}

enum dk_err dk_intern_add(struct dk_intern *intern, const void *item, uint32_t *number, bool *is_new)
{
    enum dk_err err = grow_slots(&intern->slots, &intern->slot_count, intern->count, item_hash, intern);

    if (err != DK_OK)
        return err;

    size_t slot = hash_of(intern->key, item, intern->item_size) & (intern->slot_count - 1);

    for (; intern->slots[slot] != 0; slot = (slot + 1) & (intern->slot_count - 1)) {
        size_t at = intern->slots[slot] - 1;

        if (memcmp((const char *)intern->items + at * intern->item_size, item, intern->item_size) == 0) {
            *number = (uint32_t)at;
            *is_new = false;
            return DK_OK;
        }
    }
    err = grow_items(&intern->items, &intern->capacity, intern->count, intern->item_size);
    if (err != DK_OK)
        return err;
    memcpy((char *)intern->items + intern->count * intern->item_size, item, intern->item_size);
    *number = (uint32_t)intern->count;
    *is_new = true;
    intern->slots[slot] = (uint32_t)++intern->count;
    return DK_OK;
}

static uint64_t text_hash(const void *owner, size_t number)
{
    const struct dk_texts *texts = owner;

    return hash_of(texts->key, texts->items[number], strlen(texts->items[number]));
}

struct dk_texts dk_texts_make(void)
{
    struct dk_texts out = {0};

    make_key(out.key);
    return out;
}

void dk_texts_free(struct dk_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
    free(texts->slots);
    *texts = (struct dk_texts){0};
}

enum dk_err dk_texts_add(struct dk_texts *texts, const char *text, size_t len, const char **out)
{
    void *items = texts->items;
    enum dk_err err = grow_slots(&texts->slots, &texts->slot_count, texts->count, text_hash, texts);

    if (err == DK_OK)
        err = grow_items(&items, &texts->capacity, texts->count, sizeof *texts->items);
    texts->items = items;
    if (err != DK_OK)
        return err;

    size_t slot = hash_of(texts->key, text, len) & (texts->slot_count - 1);

    for (; texts->slots[slot] != 0; slot = (slot + 1) & (texts->slot_count - 1)) {
        const char *at = texts->items[texts->slots[slot] - 1];

        if (strncmp(at, text, len) == 0 && at[len] == '\0') {
            *out = at;
            return DK_OK;
        }
    }

    char *copy = malloc(len + 1);

    if (copy == NULL)
        return DK_ERR_MEMORY;
    memcpy(copy, text, len);
    copy[len] = '\0';
    texts->items[texts->count] = copy;
    texts->slots[slot] = (uint32_t)++texts->count;
    *out = copy;
    return DK_OK;
}
