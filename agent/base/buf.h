// SPDX-License-Identifier: Apache-2.0
//
// A growing byte buffer that always has a stated maximum: no unbounded buffer exists in dokiem.
#pragma once

#include "agent/base/error.h"

#include <stddef.h>

struct dk_buf {
    char *data; // owned; NUL-terminated whenever it is not NULL; use dk_buf_text() to read it as text
    size_t len; // bytes used, without the final NUL
    size_t capacity;
    size_t max; // upper bound of len; appending beyond it is DK_ERR_DATA
};

// An empty buffer that may hold at most `max` bytes. Nothing is allocated yet.
struct dk_buf dk_buf_make(size_t max);

// Appends `len` bytes. DK_ERR_DATA when the maximum would be passed, DK_ERR_MEMORY; the content is then unchanged.
enum dk_err dk_buf_append(struct dk_buf *buf, const void *data, size_t len);

// Appends formatted text. Errors as dk_buf_append.
enum dk_err dk_buf_printf(struct dk_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The content as text; "" when empty. Borrowed until the next change.
const char *dk_buf_text(const struct dk_buf *buf);

// Frees the content and empties the buffer; the maximum stays.
void dk_buf_free(struct dk_buf *buf);

// A local that frees itself: `dk_auto_buf struct dk_buf b = dk_buf_make(n);`
#define dk_auto_buf __attribute__((cleanup(dk_buf_free)))

// Declares dk_NAME_freep(), the cleanup of a local `T *`, from the destructor `free_function(T *)`, which accepts
// NULL. Use: `dk_auto(name) T *x = NULL;`
#define DK_DEFINE_FREE(name, type, free_function)                                                            \
    static inline void dk_##name##_freep(type **p)                                                           \
    {                                                                                                        \
        free_function(*p);                                                                                   \
    }
#define dk_auto(name) __attribute__((cleanup(dk_##name##_freep)))
