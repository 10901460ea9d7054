// SPDX-License-Identifier: Apache-2.0
//
// Asks a STAMP reflector as fast as it answers: reflect ADDRESS PORT SECONDS [follow]. Prints what was sent and what
// came back, packets and bytes. With `follow` each packet asks for follow-up telemetry.
#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "probes/stamp/packet.h"
#include "probes/stamp/tlv.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 32, UNDER_WAY = 256 };

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int64_t port = 0, seconds = 0, sent = 0, back = 0, sent_bytes = 0, back_bytes = 0;
    uint8_t packet[DK_STAMP_SIZE + DK_STAMP_QUESTION_SIZE] = {0}, answers[BATCH][256];

    if (argc < 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || !dk_parse_i64(argv[2], 1, 65535, &port) ||
        !dk_parse_i64(argv[3], 1, 60, &seconds)) {
        fputs("usage: reflect ADDRESS PORT SECONDS [follow]\n", stderr);
        return 64;
    }
    to.sin_port = htons((uint16_t)port);

    size_t len = argc > 4 ? sizeof packet : DK_STAMP_SIZE;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct iovec out = {packet, len}, in[BATCH];
    struct mmsghdr sending[BATCH] = {0}, receiving[BATCH] = {0};
    struct dk_mono end = dk_mono_add_ns(dk_mono_now(), seconds * DK_NS_PER_S), heard = dk_mono_now();

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        !dk_stamp_ask(0, NULL, packet + DK_STAMP_SIZE))
        return 1;
    for (int i = 0; i < BATCH; i++) {
        sending[i].msg_hdr = (struct msghdr){.msg_iov = &out, .msg_iovlen = 1};
        in[i] = (struct iovec){answers[i], sizeof answers[i]};
        receiving[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
    }
    while (dk_mono_now().ns < end.ns) {
        if (sent - back < UNDER_WAY) {
            int taken = sendmmsg(fd, sending, BATCH, 0);

            sent += taken > 0 ? taken : 0;
            sent_bytes += taken > 0 ? taken * (int64_t)len : 0;
        }

        int came = recvmmsg(fd, receiving, BATCH, 0, NULL);

        for (int i = 0; i < came; i++)
            back_bytes += receiving[i].msg_len;
        if (came > 0) {
            back += came;
            heard = dk_mono_now();
        } else if (sent - back >= UNDER_WAY) {
            struct pollfd waiting = {.fd = fd, .events = POLLIN};

            // What was dropped at a full buffer never comes.
            if (poll(&waiting, 1, 10) == 0 && dk_mono_diff_ns(dk_mono_now(), heard) > 20 * DK_NS_PER_MS)
                sent = back;
        }
    }
    printf("sent=%" PRId64 " sent_bytes=%" PRId64 " back=%" PRId64 " back_bytes=%" PRId64 "\n", sent, sent_bytes, back,
           back_bytes);
    close(fd);
    return 0;
}
