// SPDX-License-Identifier: Apache-2.0
//
// The plainest libcurl client there is: gets URL for SECONDS, discards it in a callback, prints the bytes.
// discard URL SECONDS [CA_FILE]
#include "agent/base/clock.h"
#include "agent/base/parse.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

struct count {
    struct dk_mono end;
    int64_t bytes;
};

static size_t on_body(char *data, size_t size, size_t count, void *argument)
{
    struct count *counted = argument;

    (void)data;
    counted->bytes += (int64_t)(size * count);
    return dk_mono_now().ns < counted->end.ns ? size * count : 0;
}

int main(int argc, char **argv)
{
    int64_t seconds = 0;
    CURL *easy = curl_easy_init();

    if (argc < 3 || !dk_parse_i64(argv[2], 1, 3600, &seconds) || easy == NULL)
        return 64;

    struct count counted = {dk_mono_add_ns(dk_mono_now(), seconds * DK_NS_PER_S), 0};
    CURLcode result = CURLE_OK;

    curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512 * 1024L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &counted);
    if (argc > 3)
        curl_easy_setopt(easy, CURLOPT_CAINFO, argv[3]);
    while (result == CURLE_OK && dk_mono_now().ns < counted.end.ns)
        result = curl_easy_perform(easy);
    printf("%" PRId64 "\n", counted.bytes);
    curl_easy_cleanup(easy);
    // The callback ends the last transfer by refusing bytes.
    return result == CURLE_OK || result == CURLE_WRITE_ERROR ? 0 : 69;
}
