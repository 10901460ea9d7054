// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/output.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"

static enum dk_err write_file(const char *path, const struct dk_buf *page, struct dk_fault *fault)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX] = ".";
    mode_t mask = umask(0);

    umask(mask);
    if (slash != NULL && (size_t)(slash - path) + 2 > sizeof directory)
        return dk_fail(fault, DK_ERR_USAGE, path, NULL, "the path is too long");
    if (slash != NULL)
        snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);

    enum dk_err err = dk_file_write(directory, slash != NULL ? slash + 1 : path, page->data, page->len,
                                    DK_WRITE_REPLACE, fault);

    if (err == DK_OK && chmod(path, 0666 & ~mask) != 0)
        return dk_fail(fault, DK_ERR_IO, path, NULL, "its rights cannot be set");
    return err;
}

enum dk_err dk_output_page(struct dk_markup *page, const char *path, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;

    if (page->err != DK_OK)
        err = dk_fail(fault, page->err, NULL, NULL, "the page cannot be made: %s", _(dk_err_text(page->err)));
    else if (path != NULL)
        err = write_file(path, &page->out, fault);
    else
        fwrite(page->out.data, 1, page->out.len, stdout);
    dk_buf_free(&page->out);
    return err;
}
