// SPDX-License-Identifier: Apache-2.0
//
// Big-endian (network order) fields through a cursor that knows its bounds. Past the end, a read gives 0, a write
// does nothing, and `failed` stays set: check it once, at the end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dk_reader {
    const uint8_t *at;
    size_t left; // bytes
    bool failed;
};

struct dk_writer {
    uint8_t *at;
    size_t left; // bytes
    bool failed;
};

// The next 1, 2, 4 or 8 bytes as a number; 0 past the end. dk_get_skip passes over `count` bytes.
uint8_t dk_get_u8(struct dk_reader *r);
uint16_t dk_get_u16(struct dk_reader *r);
uint32_t dk_get_u32(struct dk_reader *r);
uint64_t dk_get_u64(struct dk_reader *r);
void dk_get_skip(struct dk_reader *r, size_t count);

// Writes a number as 1, 2, 4 or 8 bytes; dk_put_zero writes `count` zero bytes.
void dk_put_u8(struct dk_writer *w, uint8_t value);
void dk_put_u16(struct dk_writer *w, uint16_t value);
void dk_put_u32(struct dk_writer *w, uint32_t value);
void dk_put_u64(struct dk_writer *w, uint64_t value);
void dk_put_zero(struct dk_writer *w, size_t count);
