// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/far_end.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/harness.h"

static char key[PATH_MAX], store[PATH_MAX + 16];
static pid_t server;

// Runs the program; its first line is put into `line`.
static pid_t start(char *const arguments[], char *line, size_t size)
{
    const char *program = getenv("DK_COLLECTOR");
    int ends[2];
    size_t len = 0;

    CU_ASSERT_FATAL(program != NULL && pipe2(ends, O_CLOEXEC) == 0);
    (void)fflush(stdout);

    pid_t child = fork();

    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execv(program, arguments);
        _exit(127);
    }
    CU_ASSERT_FATAL(child > 0);
    close(ends[1]);
    while (len < size - 1 && read(ends[0], line + len, 1) == 1 && line[len] != '\n')
        len++;
    line[len] = '\0';
    close(ends[0]);
    return child;
}

static void command(char *verb, char *option, char *line, size_t size)
{
    char *const arguments[] = {(char[]){"dokiem-collector"}, (char[]){"--store"}, store, (char[]){"--key"}, key,
                               verb, option, NULL};
    int status = 1;
    pid_t child = start(arguments, line, size);

    CU_ASSERT_FATAL(waitpid(child, &status, 0) == child && status == 0);
}

void far_end_start(const char *folder, char url[static FAR_END_URL_SIZE])
{
    char line[FAR_END_URL_SIZE];
    char *const arguments[] = {(char[]){"dokiem-collector"}, (char[]){"--store"}, store, (char[]){"--key"}, key,
                               (char[]){"--listen"}, (char[]){"127.0.0.1:0"}, (char[]){"--rate"}, (char[]){"0"}, NULL};

    snprintf(key, sizeof key, "%s/collector.pem", folder);
    snprintf(store, sizeof store, "sqlite:%s/records.sqlite", folder);
    command((char[]){"keygen"}, NULL, line, sizeof line);
    server = start(arguments, line, sizeof line);
    CU_ASSERT_FATAL(strncmp(line, "listening ", 10) == 0);
    snprintf(url, FAR_END_URL_SIZE, "http://%s", line + 10);
}

void far_end_stop(void)
{
    int status = 0;

    CU_ASSERT(kill(server, SIGTERM) == 0 && waitpid(server, &status, 0) == server);
}

void far_end_token(char out[static FAR_END_TOKEN_SIZE])
{
    command((char[]){"token"}, (char[]){"--approve"}, out, FAR_END_TOKEN_SIZE);
}
