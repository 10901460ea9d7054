// SPDX-License-Identifier: Apache-2.0
#include "probes/datagram.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "probes/socket.h"

static const int64_t tight_ns = 1 * DK_NS_PER_US;
static const int64_t step_ns = 20 * DK_NS_PER_US;

void dk_datagram_prepare(int fd, int family, enum dk_sendings_told told)
{
    int on = 1;
    int stamps = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE;

    // Before the interface's queue, not behind it: waiting there is part of what a packet goes through.
    if (told != DK_SENDINGS_NONE)
        stamps |= SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    if (told == DK_SENDINGS_ALL)
        stamps |= SOF_TIMESTAMPING_TX_SCHED;
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps);
    if (family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    } else {
        (void)setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    }
}

bool dk_datagram_open(int fd, const char *interface, const struct sockaddr *peer, socklen_t len, char *reason,
                      size_t size)
{
    char name[DK_SOCKET_NAME_SIZE];
    const char *what = NULL;

    dk_socket_describe(peer, len, name);
    if (fd < 0)
        what = "socket";
    else if (interface[0] != '\0' && !dk_socket_bind_interface(fd, interface, peer->sa_family))
        what = interface;
    else if (connect(fd, peer, len) != 0)
        what = name;
    if (what != NULL) {
        snprintf(reason, size, "%s: %s", what, strerror(errno));
        return false;
    }
    dk_datagram_prepare(fd, peer->sa_family, DK_SENDINGS_ALL);
    return true;
}

struct dk_instant dk_instant_now(void)
{
    struct dk_instant best = {0};
    int64_t best_ns = INT64_MAX;

    // The process may be interrupted between two readings; then they are read again.
    for (int i = 0; i < 5 && best_ns > tight_ns; i++) {
        struct dk_mono before = dk_mono_now();
        struct dk_wall wall = dk_wall_now();
        int64_t took_ns = dk_mono_diff_ns(dk_mono_now(), before);

        if (took_ns < best_ns) {
            best = (struct dk_instant){dk_mono_add_ns(before, took_ns / 2), wall};
            best_ns = took_ns;
        }
    }
    return best;
}

bool dk_instants_agree(struct dk_instant a, struct dk_instant b)
{
    int64_t moved_ns = (b.wall.ns - a.wall.ns) - dk_mono_diff_ns(b.mono, a.mono);

    return moved_ns >= -step_ns && moved_ns <= step_ns;
}

static bool is_control(const struct cmsghdr *c, int level, int type, size_t size)
{
    return c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size);
}

// The software timestamp in a control message; false when it holds none.
static bool read_stamp(const struct cmsghdr *c, struct dk_wall *out)
{
    struct scm_timestamping stamps;

    if (!is_control(c, SOL_SOCKET, SCM_TIMESTAMPING, sizeof stamps))
        return false;
    memcpy(&stamps, CMSG_DATA(c), sizeof stamps);
    out->ns = (int64_t)stamps.ts[0].tv_sec * DK_NS_PER_S + stamps.ts[0].tv_nsec;
    return out->ns > 0;
}

static void read_control(struct msghdr *message, struct dk_datagram *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        struct dk_wall stamp = {0};
        int hops = 0;

        if (read_stamp(c, &stamp)) {
            int64_t waited_ns = out->read.wall.ns - stamp.ns;

            // The clock may have been set in between: then the time of reading is the better one.
            if (waited_ns >= 0 && waited_ns < DK_NS_PER_S) {
                out->kernel = true;
                out->received = stamp;
                out->received_at = dk_mono_add_ns(out->read.mono, -waited_ns);
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
    out->read = dk_instant_now();
    out->received_at = out->read.mono;
    out->received = out->read.wall;
    out->kernel = false;
    out->len = (size_t)got;
    out->truncated = (message.msg_flags & MSG_TRUNC) != 0;
    out->peer_len = message.msg_namelen;
    out->local_family = AF_UNSPEC;
    out->ttl = 0;
    read_control(&message, out);
    return 1;
}

// What the error queue says of one datagram that was sent: its number and when. 0: nothing waits. -1: something else.
static int read_sending(int fd, uint32_t *id, struct dk_wall *stamp)
{
    _Alignas(struct cmsghdr) char control[512];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    bool stamped = false, numbered = false;
    ssize_t got = 0;

    do
        got = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        struct sock_extended_err error;

        if (read_stamp(c, stamp)) {
            stamped = true;
        } else if (is_control(c, IPPROTO_IP, IP_RECVERR, sizeof error) ||
                   is_control(c, IPPROTO_IPV6, IPV6_RECVERR, sizeof error)) {
            memcpy(&error, CMSG_DATA(c), sizeof error);
            numbered = error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING && error.ee_info == SCM_TSTAMP_SCHED;
            *id = error.ee_data;
        }
    }
    return stamped && numbered ? 1 : -1;
}

bool dk_datagram_sent(int fd, struct dk_sendings *sendings, struct dk_instant before, struct dk_mono *out)
{
    struct dk_instant after = dk_instant_now();
    struct dk_wall stamp = {0};
    uint32_t id = 0;
    bool found = false;
    int got = 0;

    while ((got = read_sending(fd, &id, &stamp)) != 0) {
        // One that had to wait for its neighbour's address comes with a later one; it is older, or outside the call.
        if (got < 0 || (int32_t)(id - sendings->next_id) < 0 || stamp.ns < before.wall.ns ||
            stamp.ns > after.wall.ns || !dk_instants_agree(before, after))
            continue;
        sendings->next_id = id + 1;
        *out = dk_mono_add_ns(after.mono, stamp.ns - after.wall.ns);
        found = true;
    }
    return found;
}

void dk_datagram_forget(int fd)
{
    struct dk_wall stamp = {0};
    uint32_t id = 0;

    while (read_sending(fd, &id, &stamp) != 0)
        ;
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

bool dk_datagram_answer(int fd, struct dk_datagram *request, void *data, size_t len, bool tell)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t))];
    } control = {0};
    struct iovec part = {data, len};
    size_t control_len = source_control(request, &control.header);

    if (tell) {
        uint32_t stamps = SOF_TIMESTAMPING_TX_SCHED;
        struct cmsghdr *c = (struct cmsghdr *)(void *)(control.space + control_len);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SO_TIMESTAMPING;
        c->cmsg_len = CMSG_LEN(sizeof stamps);
        memcpy(CMSG_DATA(c), &stamps, sizeof stamps);
        control_len += CMSG_SPACE(sizeof stamps);
    }

    struct msghdr message = {.msg_name = &request->peer,
                             .msg_namelen = request->peer_len,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control_len > 0 ? &control : NULL,
                             .msg_controllen = control_len};

    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}
