// SPDX-License-Identifier: Apache-2.0
#include "agent/base/bytes.h"

#include <string.h>

static uint64_t get(struct dk_reader *r, size_t count)
{
    uint64_t value = 0;

    if (r->failed || r->left < count) {
        r->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        value = value << 8 | r->at[i];
    r->at += count;
    r->left -= count;
    return value;
}

uint8_t dk_get_u8(struct dk_reader *r)
{
    return (uint8_t)get(r, 1);
}

uint16_t dk_get_u16(struct dk_reader *r)
{
    return (uint16_t)get(r, 2);
}

uint32_t dk_get_u32(struct dk_reader *r)
{
    return (uint32_t)get(r, 4);
}

uint64_t dk_get_u64(struct dk_reader *r)
{
    return get(r, 8);
}

void dk_get_skip(struct dk_reader *r, size_t count)
{
    if (r->failed || r->left < count) {
        r->failed = true;
        return;
    }
    r->at += count;
    r->left -= count;
}

static void put(struct dk_writer *w, uint64_t value, size_t count)
{
    if (w->failed || w->left < count) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        w->at[i] = (uint8_t)(value >> (8 * (count - 1 - i)));
    w->at += count;
    w->left -= count;
}

void dk_put_u8(struct dk_writer *w, uint8_t value)
{
    put(w, value, 1);
}

void dk_put_u16(struct dk_writer *w, uint16_t value)
{
    put(w, value, 2);
}

void dk_put_u32(struct dk_writer *w, uint32_t value)
{
    put(w, value, 4);
}

void dk_put_u64(struct dk_writer *w, uint64_t value)
{
    put(w, value, 8);
}

void dk_put_zero(struct dk_writer *w, size_t count)
{
    if (w->failed || w->left < count) {
        w->failed = true;
        return;
    }
    memset(w->at, 0, count);
    w->at += count;
    w->left -= count;
}
