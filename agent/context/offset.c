// SPDX-License-Identifier: Apache-2.0
#include "agent/context/offset.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FILE_MAX_BYTES = 512, BOOT_SIZE = 64, FIELDS = 6, FIELD_SIZE = 64 };

static const char folder_name[] = "collector", file_name[] = "offset", magic[] = "dokiem.offset/1";
// A century: no sum below leaves int64_t.
static const int64_t max_ns = INT64_C(100) * 366 * 86400 * DK_NS_PER_S;

static bool read_boot(char id[static BOOT_SIZE], int64_t *boot_ns)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool good = file != NULL && fgets(id, BOOT_SIZE, file) != NULL;
    struct timespec time;

    if (file != NULL)
        fclose(file);
    if (!good || clock_gettime(CLOCK_BOOTTIME, &time) != 0)
        return false;
    id[strcspn(id, " \n")] = '\0';
    *boot_ns = time.tv_sec * DK_NS_PER_S + time.tv_nsec;
    return true;
}

enum dk_err dk_offset_keep(const char *state_dir, int64_t offset_ns, int64_t error_ns, struct dk_fault *fault)
{
    char id[BOOT_SIZE], text[FILE_MAX_BYTES], folder[PATH_MAX];
    int64_t boot_ns = 0;

    if (!read_boot(id, &boot_ns)) // without it the offset could not be used later
        return DK_OK;

    int len = snprintf(text, sizeof text, "%s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s\n", magic, offset_ns,
                       error_ns, dk_wall_now().ns, boot_ns, id);

    if (snprintf(folder, sizeof folder, "%s/%s", state_dir, folder_name) >= (int)sizeof folder)
        return dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");

    enum dk_err err = dk_directory_make(folder, fault);

    return err == DK_OK ? dk_file_write(folder, file_name, text, (size_t)len, DK_WRITE_REPLACE, fault) : err;
}

// Six words with a space between. False when it is anything else.
static bool split(const char *text, char fields[static FIELDS][FIELD_SIZE])
{
    for (size_t i = 0; i < FIELDS; i++) {
        size_t len = strcspn(text, " \n");

        if (len == 0 || len >= FIELD_SIZE || text[len] != (i + 1 < FIELDS ? ' ' : '\n'))
            return false;
        memcpy(fields[i], text, len);
        fields[i][len] = '\0';
        text += len + 1;
    }
    return *text == '\0';
}

void dk_offset_read(const char *state_dir, struct dk_clock *out)
{
    char path[PATH_MAX], id[BOOT_SIZE], fields[FIELDS][FIELD_SIZE];
    dk_auto_buf struct dk_buf text = dk_buf_make(FILE_MAX_BYTES);
    int64_t offset_ns, error_ns, wall_ns, then_ns, now_ns = 0;

    if (snprintf(path, sizeof path, "%s/%s/%s", state_dir, folder_name, file_name) >= (int)sizeof path ||
        dk_file_read(path, &text, NULL) != DK_OK || !read_boot(id, &now_ns) || !split(dk_buf_text(&text), fields) ||
        strcmp(fields[0], magic) != 0 || !dk_parse_i64(fields[1], -max_ns, max_ns, &offset_ns) ||
        !dk_parse_i64(fields[2], 0, max_ns, &error_ns) || !dk_parse_i64(fields[3], 0, max_ns, &wall_ns) ||
        !dk_parse_i64(fields[4], 0, now_ns, &then_ns) || strcmp(fields[5], id) != 0)
        return;

    // What the clock went more than the time that passed, it was stepped.
    int64_t stepped_ns = (dk_wall_now().ns - wall_ns) - (now_ns - then_ns);

    out->has_collector_offset = true;
    out->collector_offset_ns = offset_ns - stepped_ns;
    out->collector_offset_error_ns = error_ns;
    out->collector_offset_age_ns = now_ns - then_ns;
}
