// SPDX-License-Identifier: Apache-2.0
//
// What the kernel writes about processors, TCP and interfaces, from any bytes.
#include "probes/conditions.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct dk_cpu_ticks cpus[DK_CPUS_MAX];

    if (dk_cpu_ticks_parse(text, size, cpus))
        for (size_t i = 0; i < DK_CPUS_MAX; i++)
            if (cpus[i].idle < 0 || cpus[i].interrupts < 0 || cpus[i].total < cpus[i].idle)
                abort();
    if (dk_netstat_parse(text, size, "TcpExt:", "TCPToZeroWindowAdv") < -1 ||
        dk_schedstat_wait_parse(text, size) < -1 || dk_counter_parse(text, size) < -1)
        abort();
    return 0;
}
