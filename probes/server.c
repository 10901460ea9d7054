// SPDX-License-Identifier: Apache-2.0
#include "probes/server.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    REQUEST_MIB = 1024,
    PHP_REQUEST_MIB = 100, // as LibreSpeed's own client: web servers keep answers of PHP on disk
};
static const int64_t mib_bytes = INT64_C(1) << 20;
// What LibreSpeed's own client sends at a time. Stock web servers and PHP refuse longer bodies.
static const int64_t short_upload_bytes = 20 * (INT64_C(1) << 20);

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

// The path of `url`, from its first slash; "" when it has none.
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");
    const char *slash = host != NULL ? strchr(host + 3, '/') : NULL;

    return slash != NULL ? slash : "";
}

static enum dk_server_kind kind_of(const char *url)
{
    const char *path = path_of(url), *last = strrchr(path, '/');

    if (ends_with(path, "/backend") || ends_with(path, ".php"))
        return DK_SERVER_KIND_LIBRESPEED;

    const char *dot = last != NULL ? strrchr(last, '.') : NULL;

    return dot != NULL && dot > last + 1 && dot[1] != '\0' ? DK_SERVER_KIND_HTTP : DK_SERVER_KIND_DOKIEM;
}

void dk_server_find(enum dk_server_kind kind, const char *url, const char *upload_url, struct dk_server_urls *out)
{
    const char *path = path_of(url);
    int base_len = (int)strlen(url);

    *out = (struct dk_server_urls){.kind = kind == DK_SERVER_KIND_AUTO ? kind_of(url) : kind};
    if (out->kind == DK_SERVER_KIND_HTTP) {
        snprintf(out->small, sizeof out->small, "%s", url);
        snprintf(out->download, sizeof out->download, "%s", url);
        out->small_is_head = true;
        out->download_max_bytes = INT64_MAX;
        out->upload_bytes = short_upload_bytes;
    } else {
        bool php = out->kind == DK_SERVER_KIND_LIBRESPEED;
        const char *extension = php ? ".php" : "";
        int mib = php ? PHP_REQUEST_MIB : REQUEST_MIB;

        if (php && ends_with(path, ".php"))
            base_len = (int)(strrchr(path, '/') - url);
        snprintf(out->small, sizeof out->small, "%.*s/empty%s", base_len, url, extension);
        snprintf(out->upload, sizeof out->upload, "%.*s/empty%s", base_len, url, extension);
        snprintf(out->download, sizeof out->download, "%.*s/garbage%s?ckSize=%d", base_len, url, extension, mib);
        if (!php && upload_url[0] == '\0')
            snprintf(out->word, sizeof out->word, "%.*s/word", base_len, url);
        out->download_max_bytes = mib * mib_bytes;
        out->upload_bytes = php ? short_upload_bytes : REQUEST_MIB * mib_bytes;
    }
    if (upload_url[0] != '\0')
        snprintf(out->upload, sizeof out->upload, "%s", upload_url);
}
