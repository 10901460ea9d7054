// SPDX-License-Identifier: Apache-2.0
//
// usage FILE PROGRAM...: runs it, and writes to FILE what it used: processor time in µs and the most memory it had in
// KiB, libraries included. A parent of its own size: getrusage() also counts what a process was forked from.
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    int status = 0;
    pid_t child;

    if (argc < 3)
        return 64;
    child = fork();
    if (child == 0) {
        execv(argv[2], argv + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child)
        return 71;

    FILE *out = fopen(argv[1], "w");

    if (out == NULL)
        return 74;
    fprintf(out, "%" PRId64 " %ld\n",
            (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
                used.ru_stime.tv_usec,
            used.ru_maxrss);
    return fclose(out) == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}
