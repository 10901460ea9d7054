// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/datagram.h"

#include <errno.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "probes/stamp/packet.h"

void dk_datagram_prepare(int fd, int family)
{
    int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    } else {
        (void)setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    }
}

static bool is_control(const struct cmsghdr *c, int level, int type, size_t size)
{
    return c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size);
}

static void read_control(struct msghdr *message, struct dk_datagram *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        int hops = 0;

        if (is_control(c, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(struct timespec))) {
            struct timespec at;

            memcpy(&at, CMSG_DATA(c), sizeof at);
            struct dk_wall stamp = {(int64_t)at.tv_sec * DK_NS_PER_S + at.tv_nsec};
            int64_t waited_ns = out->received.ns - stamp.ns;

            // The clock may have been set in between: then the time of reading is the better one.
            if (waited_ns >= 0 && waited_ns < DK_NS_PER_S) {
                out->received = stamp;
                out->received_at = dk_mono_add_ns(out->received_at, -waited_ns);
            }
        } else if (is_control(c, IPPROTO_IP, IP_TTL, sizeof hops) ||
                   is_control(c, IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof hops)) {
            memcpy(&hops, CMSG_DATA(c), sizeof hops);
            out->ttl = (uint8_t)hops;
        } else if (is_control(c, IPPROTO_IP, IP_PKTINFO, sizeof out->local.v4)) {
            memcpy(&out->local.v4, CMSG_DATA(c), sizeof out->local.v4);
            out->local_family = AF_INET;
        } else if (is_control(c, IPPROTO_IPV6, IPV6_PKTINFO, sizeof out->local.v6)) {
            memcpy(&out->local.v6, CMSG_DATA(c), sizeof out->local.v6);
            out->local_family = AF_INET6;
        }
    }
}

int dk_datagram_receive(int fd, struct dk_datagram *out)
{
    _Alignas(struct cmsghdr) char control[256];
    struct iovec part = {out->data, sizeof out->data};
    struct msghdr message = {.msg_name = &out->peer,
                             .msg_namelen = sizeof out->peer,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got = 0;

    do
        got = recvmsg(fd, &message, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    out->received_at = dk_mono_now();
    out->received = dk_wall_now();
    out->len = (size_t)got;
    out->truncated = (message.msg_flags & MSG_TRUNC) != 0;
    out->peer_len = message.msg_namelen;
    out->local_family = AF_UNSPEC;
    out->ttl = 0;
    read_control(&message, out);
    return 1;
}

// Writes the control message that names our address as the source; 0 when it is not known.
static size_t source_control(const struct dk_datagram *request, struct cmsghdr *c)
{
    if (request->local_family == AF_INET) {
        // The interface is left to the routes; the address is what the peer expects the answer from.
        struct in_pktinfo source = {.ipi_spec_dst = request->local.v4.ipi_addr};

        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof source);
        memcpy(CMSG_DATA(c), &source, sizeof source);
        return CMSG_SPACE(sizeof source);
    }
    if (request->local_family == AF_INET6) {
        struct in6_pktinfo source = {.ipi6_addr = request->local.v6.ipi6_addr};

        if (IN6_IS_ADDR_LINKLOCAL(&source.ipi6_addr))
            source.ipi6_ifindex = request->local.v6.ipi6_ifindex;
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof source);
        memcpy(CMSG_DATA(c), &source, sizeof source);
        return CMSG_SPACE(sizeof source);
    }
    return 0;
}

bool dk_datagram_answer(int fd, struct dk_datagram *request, void *data, size_t len)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct iovec part = {data, len};
    size_t control_len = source_control(request, &control.header);
    struct msghdr message = {.msg_name = &request->peer,
                             .msg_namelen = request->peer_len,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control_len > 0 ? &control : NULL,
                             .msg_controllen = control_len};

    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

uint16_t dk_datagram_clock_error(void)
{
    struct timex clock = {0};
    int state = adjtimex(&clock);

    if (state < 0)
        return dk_stamp_error_estimate(false, -1);
    return dk_stamp_error_estimate(state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0,
                                   (int64_t)clock.maxerror * DK_NS_PER_US);
}
