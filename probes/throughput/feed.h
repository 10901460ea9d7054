// SPDX-License-Identifier: Apache-2.0
//
// Fills a TCP connection with payload without copying it: sendfile(2) from a file in memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum dk_feed_state {
    DK_FEED_WAITING, // the connection takes no more for now
    DK_FEED_WHOLE,   // all was handed over
    DK_FEED_FAILED,  // the connection broke; errno says how
};

struct dk_feed {
    int fd;             // borrowed, not blocking
    int file;           // borrowed: the payload, sent again and again
    size_t file_bytes;  // its size
    size_t at;          // where in it the next bytes come from
    int64_t left_bytes; // still to be handed over
};

// Hands over what the connection takes now.
enum dk_feed_state dk_feed_write(struct dk_feed *feed);
