// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"

enum { SOCKET_BYTES = 64 << 20 };

struct inbox_entry {
    uint8_t data[DK_PORT_FRAME_BYTES + 7];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
};

struct dk_inbox {
    struct inbox_entry entries[DK_PORT_BATCH];
};

enum dk_err dk_inbox_new(struct dk_inbox **out, struct dk_fault *fault)
{
    struct dk_inbox *inbox = calloc(1, sizeof *inbox);

    if (inbox == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "inbox", NULL, "no memory for frames");
    *out = inbox;
    return DK_OK;
}

void dk_inbox_free(struct dk_inbox *inbox)
{
    free(inbox);
}

static bool configure(int fd, unsigned index)
{
    static const int one = 1, bytes = SOCKET_BYTES;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};

    return setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) == 0 &&
           setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) == 0 &&
           setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0 &&
           bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

enum dk_err dk_port_open(const char *interface, int *fd, struct dk_fault *fault)
{
    unsigned index = if_nametoindex(interface);

    if (index == 0)
        return dk_fail(fault, DK_ERR_NO_INPUT, interface, NULL, "there is no such interface");

    int opened = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (opened >= 0 && configure(opened, index)) {
        *fd = opened;
        return DK_OK;
    }

    int error = errno;

    if (opened >= 0)
        close(opened);
    return dk_fail(fault, dk_err_from_errno(error), interface, "run it as root of the namespace",
                   "cannot open a packet socket: %s", strerror(error));
}

static int64_t came_ns(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec when;

            memcpy(&when, CMSG_DATA(c), sizeof when);
            return (int64_t)when.tv_sec * DK_NS_PER_S + when.tv_nsec;
        }
    }
    return 0;
}

int dk_port_receive(int fd, struct dk_inbox *inbox, int max, struct dk_port_frame out[])
{
    struct mmsghdr messages[DK_PORT_BATCH];
    struct iovec buffers[DK_PORT_BATCH];

    for (int i = 0; i < max; i++) {
        struct inbox_entry *entry = &inbox->entries[i];

        buffers[i] = (struct iovec){entry->data, DK_PORT_FRAME_BYTES};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &buffers[i],
                                                   .msg_iovlen = 1,
                                                   .msg_control = entry->control,
                                                   .msg_controllen = sizeof entry->control}};
    }

    int count = recvmmsg(fd, messages, (unsigned)max, MSG_DONTWAIT, NULL);

    for (int i = 0; i < count; i++)
        out[i] =
            (struct dk_port_frame){buffers[i].iov_base, messages[i].msg_len, came_ns(&messages[i].msg_hdr)};
    return count > 0 ? count : 0;
}

int dk_port_send(int fd, const struct iovec buffers[], int count)
{
    struct mmsghdr messages[DK_PORT_BATCH];
    struct iovec copies[DK_PORT_BATCH];

    for (int i = 0; i < count; i++) {
        copies[i] = buffers[i];
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &copies[i], .msg_iovlen = 1}};
    }

    int sent = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT);

    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? 0 : -1;
}

int64_t dk_port_dropped(int fd)
{
    struct tpacket_stats stats = {0};
    socklen_t len = sizeof stats;

    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 ? stats.tp_drops : 0;
}
