// SPDX-License-Identifier: Apache-2.0
#include "agent/context/parts.h"

#include "agent/base/file.h"
#include "agent/base/parse.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { OS_RELEASE_MAX_BYTES = 16384 };

static void copy_clean(const char *text, char out[static DK_CONTEXT_TEXT_SIZE])
{
    if (strlen(text) < DK_CONTEXT_TEXT_SIZE && dk_text_is_clean(text, strlen(text)))
        snprintf(out, DK_CONTEXT_TEXT_SIZE, "%s", text);
}

void dk_host_gather(struct dk_host *out)
{
    static const char *const files[] = {"/etc/os-release", "/usr/lib/os-release"};
    struct utsname name;
    bool found = false;

    *out = (struct dk_host){0};
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !found; i++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(OS_RELEASE_MAX_BYTES);

        found = dk_file_read(files[i], &text, NULL) == DK_OK &&
                dk_os_release_get(dk_buf_text(&text), text.len, "PRETTY_NAME", out->os, sizeof out->os);
    }
    if (uname(&name) == 0) {
        copy_clean(name.release, out->kernel);
        copy_clean(name.machine, out->arch);
    }
    out->cpus = sysconf(_SC_NPROCESSORS_ONLN);
}
