// SPDX-License-Identifier: Apache-2.0
//
// Equal things kept once, and numbered from 0. The hash has a random key, so that no input can be made slow on purpose.
#pragma once

#include "agent/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_INTERN_MAX = 1 << 24 };

struct dk_intern {
    size_t item_size;
    void *items; // owned, by number
    size_t count, capacity;
    uint32_t *slots; // owned; number + 1, 0 for an empty one
    size_t slot_count;
    uint64_t key[2];
};

// An empty one for items of `item_size` bytes, compared byte by byte: padding must be zero.
struct dk_intern dk_intern_make(size_t item_size);
void dk_intern_free(struct dk_intern *intern);

// The number of an item equal to `item`, which is copied when it is the first. *is_new says which. The items move.
// Errors: MEMORY; DATA (DK_INTERN_MAX of them).
enum dk_err dk_intern_add(struct dk_intern *intern, const void *item, uint32_t *number, bool *is_new);

// Texts kept once; they do not move.
struct dk_texts {
    char **items; // owned
    size_t count, capacity;
    uint32_t *slots; // owned
    size_t slot_count;
    uint64_t key[2];
};

// An empty one.
struct dk_texts dk_texts_make(void);
void dk_texts_free(struct dk_texts *texts);

// The one copy of a text of `len` bytes without NUL; borrowed until dk_texts_free. Errors: as dk_intern_add.
enum dk_err dk_texts_add(struct dk_texts *texts, const char *text, size_t len, const char **out);
