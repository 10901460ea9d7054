// SPDX-License-Identifier: Apache-2.0
#include "probes/server.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

#define MIB (INT64_C(1) << 20)

static void urls_by_kind(void)
{
    static const struct {
        enum dk_server_kind asked;
        const char *url, *upload_url;
        enum dk_server_kind kind;
        const char *small, *download, *upload;
    } cases[] = {
#define DOKIEM_AT(base) DK_SERVER_KIND_DOKIEM, base "/empty", base "/garbage?ckSize=1024", base "/empty"
#define PHP_AT(base)    DK_SERVER_KIND_LIBRESPEED, base "/empty.php", base "/garbage.php?ckSize=100", base "/empty.php"
#define FILE_AT(url)    DK_SERVER_KIND_HTTP, url, url, ""
        {DK_SERVER_KIND_AUTO, "http://a.vn", "", DOKIEM_AT("http://a.vn")},
        {DK_SERVER_KIND_AUTO, "https://[2001:db8::1]:8443", "", DOKIEM_AT("https://[2001:db8::1]:8443")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/speed", "", DOKIEM_AT("https://a.vn/speed")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/v1.2/speed", "", DOKIEM_AT("https://a.vn/v1.2/speed")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/.hidden", "", DOKIEM_AT("https://a.vn/.hidden")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/dot.", "", DOKIEM_AT("https://a.vn/dot.")},
        // A host is no file, whatever it ends in.
        {DK_SERVER_KIND_AUTO, "http://speed.php", "", DOKIEM_AT("http://speed.php")},
        {DK_SERVER_KIND_AUTO, "http://backend", "", DOKIEM_AT("http://backend")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/backend", "", PHP_AT("https://a.vn/backend")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/x/backend", "", PHP_AT("https://a.vn/x/backend")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/notbackend", "", DOKIEM_AT("https://a.vn/notbackend")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/backend/garbage.php", "", PHP_AT("https://a.vn/backend")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/empty.php", "", PHP_AT("https://a.vn")},
        {DK_SERVER_KIND_AUTO, "https://a.vn/files/1GB.bin", "", FILE_AT("https://a.vn/files/1GB.bin")},
        {DK_SERVER_KIND_AUTO, "http://10.0.0.1:8080/debian-12.iso", "", FILE_AT("http://10.0.0.1:8080/debian-12.iso")},
        // What is asked for goes before the shape.
        {DK_SERVER_KIND_DOKIEM, "https://a.vn/backend", "", DOKIEM_AT("https://a.vn/backend")},
        {DK_SERVER_KIND_LIBRESPEED, "https://a.vn", "", PHP_AT("https://a.vn")},
        {DK_SERVER_KIND_LIBRESPEED, "https://a.vn/1GB.bin", "", PHP_AT("https://a.vn/1GB.bin")},
        {DK_SERVER_KIND_HTTP, "https://a.vn/large", "", FILE_AT("https://a.vn/large")},
        {DK_SERVER_KIND_HTTP, "https://a.vn/large.php", "", FILE_AT("https://a.vn/large.php")},
        {DK_SERVER_KIND_HTTP, "https://a.vn", "", FILE_AT("https://a.vn")},
        {DK_SERVER_KIND_HTTP, "https://a.vn/x.bin", "https://b.vn/take", DK_SERVER_KIND_HTTP, "https://a.vn/x.bin",
         "https://a.vn/x.bin", "https://b.vn/take"},
        {DK_SERVER_KIND_AUTO, "https://a.vn", "http://b.vn/u", DK_SERVER_KIND_DOKIEM, "https://a.vn/empty",
         "https://a.vn/garbage?ckSize=1024", "http://b.vn/u"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dk_server_urls urls;

        dk_server_find(cases[i].asked, cases[i].url, cases[i].upload_url, &urls);
        CU_ASSERT_EQUAL(urls.kind, cases[i].kind);
        CU_ASSERT_STRING_EQUAL(urls.small, cases[i].small);
        CU_ASSERT_STRING_EQUAL(urls.download, cases[i].download);
        CU_ASSERT_STRING_EQUAL(urls.upload, cases[i].upload);
        CU_ASSERT_EQUAL(urls.small_is_head, cases[i].kind == DK_SERVER_KIND_HTTP);
        CU_ASSERT_EQUAL(urls.upload_bytes, (cases[i].kind == DK_SERVER_KIND_DOKIEM ? 1024 : 20) * MIB);
        CU_ASSERT_EQUAL(urls.download_max_bytes, cases[i].kind == DK_SERVER_KIND_DOKIEM       ? 1024 * MIB
                                                 : cases[i].kind == DK_SERVER_KIND_LIBRESPEED ? 100 * MIB
                                                                                              : INT64_MAX);
        if (strcmp(urls.small, cases[i].small) != 0 || strcmp(urls.download, cases[i].download) != 0)
            printf("    %s: %s %s\n", cases[i].url, urls.small, urls.download);
    }
}

// The longest URL that settings can hold loses nothing.
static void longest_url(void)
{
    char url[1024];
    struct dk_server_urls urls;
    size_t len = sizeof url - 1;

    memset(url, 'a', len);
    memcpy(url, "http://a.vn/", 12);
    url[len] = '\0';
    dk_server_find(DK_SERVER_KIND_LIBRESPEED, url, "", &urls);
    CU_ASSERT_EQUAL(strlen(urls.download), len + strlen("/garbage.php?ckSize=100"));
    dk_server_find(DK_SERVER_KIND_HTTP, url, url, &urls);
    CU_ASSERT_STRING_EQUAL(urls.upload, url);
    CU_ASSERT_STRING_EQUAL(urls.small, url);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(urls_by_kind),
        DK_CASE(longest_url),
        {0},
    };

    return dk_harness_main(argc, argv, "server", cases);
}
