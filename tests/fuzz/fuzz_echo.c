// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "probes/ping/echo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What a socket gives as an answer, on both versions of IP, with and without the header in front: what is taken is,
// but for type and checksum, the request that it answers.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[DK_ECHO_SIZE];
    struct dk_echo echo;

    for (int way = 0; way < 3; way++) {
        bool ipv6 = way == 0, header = way == 1;

        if (!dk_echo_get_answer(data, size, ipv6, header, &echo))
            continue;
        dk_echo_put_request(&echo, ipv6, again);
        if (memcmp(again + 4, data + size - DK_ECHO_SIZE + 4, DK_ECHO_SIZE - 4) != 0)
            abort();
    }
    return 0;
}
