// SPDX-License-Identifier: Apache-2.0
//
// Which URLs of a reference server are asked for what, by its kind: pure.
#pragma once

#include "agent/base/terms.h"

#include <stdbool.h>
#include <stdint.h>

enum { DK_SERVER_URL_SIZE = 1200 };

struct dk_server_urls {
    enum dk_server_kind kind;          // what the server is taken for; never AUTO
    char small[DK_SERVER_URL_SIZE];    // to reach it, to warm connections up, and for round trips
    bool small_is_head;                // `small` is a large file: ask with HEAD
    char download[DK_SERVER_URL_SIZE];
    int64_t download_max_bytes;        // the longest answer to one request
    char upload[DK_SERVER_URL_SIZE];   // for POST; "" when the server takes no upload
    char word[DK_SERVER_URL_SIZE];     // for its word of a run; "" when it gives none
    int64_t upload_bytes;              // of one request
};

// The URLs of the server at `url`, as the settings keep it: at most 1,023 bytes, no trailing slash, no query.
//   dokiem      URL/garbage?ckSize=1024, URL/empty, URL/word
//   librespeed  the folder of the PHP files, or one of them: garbage.php?ckSize=100 and empty.php in that folder
//   http        a file: download is that file, there is no upload
//   auto        librespeed when the path ends in /backend or .php; http when its last part is otherwise a file name
//               with an extension; else dokiem
// `upload_url`, when it is not "", takes the place of the upload URL; no one server then sees all, and none is asked
// for its word.
void dk_server_find(enum dk_server_kind kind, const char *url, const char *upload_url, struct dk_server_urls *out);
