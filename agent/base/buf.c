// SPDX-License-Identifier: Apache-2.0
#include "agent/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dk_buf dk_buf_make(size_t max)
{
    return (struct dk_buf){.max = max};
}

static enum dk_err reserve(struct dk_buf *buf, size_t more)
{
    if (more > buf->max || buf->len > buf->max - more)
        return DK_ERR_DATA;

    size_t need = buf->len + more + 1;

    if (need <= buf->capacity)
        return DK_OK;

    size_t capacity = buf->capacity < 256 ? 256 : buf->capacity;

    while (capacity < need)
        capacity *= 2;

    char *data = realloc(buf->data, capacity);

    if (data == NULL)
        return DK_ERR_MEMORY;
    buf->data = data;
    buf->capacity = capacity;
    return DK_OK;
}

enum dk_err dk_buf_append(struct dk_buf *buf, const void *data, size_t len)
{
    enum dk_err err = reserve(buf, len);

    if (err != DK_OK)
        return err;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return DK_OK;
}

enum dk_err dk_buf_printf(struct dk_buf *buf, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);

    int len = vsnprintf(NULL, 0, format, arguments);
    enum dk_err err = len < 0 ? DK_ERR_INTERNAL : reserve(buf, (size_t)len);

    if (err == DK_OK) {
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    va_end(arguments);
    return err;
}

const char *dk_buf_text(const struct dk_buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

void dk_buf_free(struct dk_buf *buf)
{
    free(buf->data);
    *buf = (struct dk_buf){.max = buf->max};
}
