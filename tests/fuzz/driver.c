// SPDX-License-Identifier: Apache-2.0
//
// A plain main for a fuzz target: runs it once over every file given, and over every file of each directory given, in
// the order of their names. The same targets are linked with libFuzzer instead by -Dfuzzer=enabled.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4 << 20 };

// The input is copied into a block of exactly its size, so that a read past its end is seen by ASan and valgrind.
static int run_file(const char *path)
{
    static uint8_t buffer[INPUT_MAX];
    FILE *file = fopen(path, "rbe");

    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }

    size_t size = fread(buffer, 1, sizeof buffer, file);
    int failed = ferror(file);
    uint8_t *input = malloc(size == 0 ? 1 : size);

    fclose(file);
    if (failed != 0 || input == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(input);
        return -1;
    }
    if (size != 0)
        memcpy(input, buffer, size);
    (void)LLVMFuzzerTestOneInput(input, size);
    free(input);
    return 1;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

// Number of files run, or -1.
static int run_path(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, visible, alphasort);
    int ran = 0;

    if (count < 0)
        return errno == ENOTDIR ? run_file(path) : (perror(path), -1);
    for (int i = 0; i < count; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);

        if (ran >= 0)
            ran = length >= (int)sizeof name || run_file(name) < 0 ? -1 : ran + 1;
        free(entries[i]);
    }
    free(entries);
    return ran;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int ran = run_path(argv[i]);

        if (ran < 0)
            return 1;
        if (ran == 0) {
            fprintf(stderr, "%s: no input in it\n", argv[i]);
            return 1;
        }
        total += ran;
    }
    printf("%d inputs ran\n", total);
    if (total == 0)
        fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", argv[0]);
    return total == 0 ? 1 : 0;
}
