// SPDX-License-Identifier: Apache-2.0
//
// Runs a command to its end and writes to FILE what it cost: CPU nanoseconds of user and kernel, and peak resident
// bytes. It is small and copies nothing of itself into the child, so that the figures are the command's own.
// spend FILE COMMAND…
#include "agent/base/clock.h"

#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    pid_t child;
    int status;

    if (argc < 3)
        return 64;
    if (posix_spawnp(&child, argv[2], NULL, NULL, argv + 2, environ) != 0 || wait4(child, &status, 0, &used) != child)
        return 71;

    FILE *out = fopen(argv[1], "w");
    int64_t cpu_ns = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * DK_NS_PER_S +
                     (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * DK_NS_PER_US;

    if (out == NULL || fprintf(out, "%" PRId64 " %" PRId64 "\n", cpu_ns, (int64_t)used.ru_maxrss * 1024) < 0 ||
        fclose(out) != 0)
        return 74;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}
