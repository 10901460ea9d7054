// SPDX-License-Identifier: Apache-2.0
#include "agent/record/record.h"

#include <openssl/rand.h>
#include <stdio.h>

enum dk_err dk_uuid7(struct dk_wall when, char out[static DK_UUID_SIZE])
{
    uint64_t ms = (uint64_t)(when.ns / DK_NS_PER_MS);
    uint8_t bytes[16];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return DK_ERR_INTERNAL;
    for (size_t i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    bytes[6] = (uint8_t)(0x70 | (bytes[6] & 0x0f)); // version 7
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f)); // variant 10

    size_t at = 0;

    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        snprintf(out + at, 3, "%02x", (unsigned)bytes[i]);
        at += 2;
    }
    return DK_OK;
}
