// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/feed.h"

#include <errno.h>
#include <sys/sendfile.h>

enum dk_feed_state dk_feed_write(struct dk_feed *feed)
{
    while (feed->left_bytes > 0) {
        size_t part = feed->file_bytes - feed->at;
        off_t offset = (off_t)feed->at;

        if ((int64_t)part > feed->left_bytes)
            part = (size_t)feed->left_bytes;

        ssize_t sent = sendfile(feed->fd, feed->file, &offset, part);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? DK_FEED_WAITING : DK_FEED_FAILED;
        feed->at = (feed->at + (size_t)sent) % feed->file_bytes;
        feed->left_bytes -= sent;
    }
    return DK_FEED_WHOLE;
}
