// SPDX-License-Identifier: Apache-2.0
#include "probes/path/way.h"

#include "agent/base/bytes.h"
#include "probes/datagram.h"
#include "probes/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    ECHO_REQUEST = 8,
    ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_TOO_BIG_CODE = 4,
    ICMP_TIME = 11,
    ICMP6_UNREACHABLE = 1,
    HEADER_BYTES = 8, // of ICMP and of UDP
    IPV4_BYTES = 20,
    IPV6_BYTES = 40,
    SEND_TRIES = 3,
};

static int open_socket(const struct dk_way *way, int family)
{
    int icmp = family == AF_INET6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP;

    return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, way->udp ? (int)IPPROTO_UDP : icmp);
}

// No fragments, whatever the kernel has heard of the way; and what ICMP says.
static bool prepare(const struct dk_way *way)
{
    int probe = IP_PMTUDISC_PROBE, on = 1;

    _Static_assert(IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE, "one value for both");

    if (way->ipv6)
        return setsockopt(way->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof probe) == 0 &&
               setsockopt(way->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on) == 0;
    return setsockopt(way->fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe) == 0 &&
           setsockopt(way->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0;
}

bool dk_way_open(struct dk_way *way, const char *server, bool udp, const char *interface, enum dk_status *status,
                 char reason[static DK_REASON_SIZE])
{
    const char *what = NULL;

    *way = (struct dk_way){.fd = -1, .udp = udp};
    *status = DK_STATUS_NOT_MEASURED;
    if (!dk_socket_address(server, 0, &way->server, &way->server_len)) {
        snprintf(reason, DK_REASON_SIZE, "the server was not reached and has no address");
        return false;
    }
    way->ipv6 = way->server.ss_family == AF_INET6;
    way->fd = open_socket(way, way->server.ss_family);
    if (way->fd < 0 && (errno == EPERM || errno == EACCES)) {
        snprintf(reason, DK_REASON_SIZE, "ICMP is not allowed: the sysctl net.ipv4.ping_group_range allows it; UDP "
                                         "needs no privilege");
        return false;
    }
    *status = DK_STATUS_FAILED;
    if (way->fd < 0 || getrandom(&way->token, sizeof way->token, 0) != (ssize_t)sizeof way->token)
        what = "socket";
    else if (interface[0] != '\0' && !dk_socket_bind_interface(way->fd, interface, way->server.ss_family))
        what = interface;
    else if (!prepare(way))
        what = "socket option";
    if (what != NULL) {
        snprintf(reason, DK_REASON_SIZE, "%s: %s", what, strerror(errno));
        return false;
    }
    return true;
}

void dk_way_close(struct dk_way *way)
{
    if (way->fd >= 0)
        close(way->fd);
    way->fd = -1;
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

static void set_hop_limit(struct dk_way *way, int hop_limit)
{
    int value = hop_limit > 0 ? hop_limit : -1;

    if (way->hop_limit == hop_limit)
        return;
    if (way->ipv6)
        (void)setsockopt(way->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, sizeof value);
    else
        (void)setsockopt(way->fd, IPPROTO_IP, IP_TTL, &value, sizeof value);
    way->hop_limit = hop_limit;
}

int dk_way_send(struct dk_way *way, unsigned number, size_t bytes, int hop_limit)
{
    uint8_t packet[DK_WAY_BYTES_MAX] = {0};
    size_t len = bytes - (way->ipv6 ? IPV6_BYTES : IPV4_BYTES) - (way->udp ? HEADER_BYTES : 0);
    struct dk_writer w = {packet, len, false};
    struct sockaddr_storage to = way->server;
    int error = 0;

    if (!way->udp) {
        dk_put_u8(&w, way->ipv6 ? ICMP6_ECHO_REQUEST : ECHO_REQUEST);
        dk_put_zero(&w, 5); // the checksum and the identifier are the kernel's
        dk_put_u16(&w, (uint16_t)number);
    }
    dk_put_u64(&w, way->token);
    if (way->udp)
        set_port(&to, (uint16_t)(DK_WAY_PORT + number));
    set_hop_limit(way, hop_limit);
    way->sent = number + 1 > way->sent ? number + 1 : way->sent;
    // What ICMP said of an earlier packet, EMSGSIZE too, is reported instead of sending: then the packet is sent anew.
    for (int i = 0; i < SEND_TRIES; i++) {
        if (sendto(way->fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, way->server_len) >= 0)
            return 0;
        error = errno;
    }
    return error;
}

int64_t dk_way_kernel_mtu(const struct dk_way *way)
{
    struct sockaddr_storage to = way->server;
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = -1;
    socklen_t len = sizeof mtu;

    set_port(&to, DK_WAY_PORT);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, way->server_len) != 0 ||
        getsockopt(fd, way->ipv6 ? (int)IPPROTO_IPV6 : (int)IPPROTO_IP, way->ipv6 ? IPV6_MTU : IP_MTU, &mtu, &len) != 0)
        mtu = -1;
    close(fd);
    return mtu;
}

static bool describe(const struct sockaddr *address, char out[static DK_ADDRESS_SIZE])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        return inet_ntop(AF_INET6, &v6.sin6_addr, out, DK_ADDRESS_SIZE) != NULL;
    }
    memcpy(&v4, address, sizeof v4);
    return address->sa_family == AF_INET && inet_ntop(AF_INET, &v4.sin_addr, out, DK_ADDRESS_SIZE) != NULL;
}

static bool is_server(const struct dk_way *way, const char *address)
{
    char server[DK_ADDRESS_SIZE] = "";

    return describe((const struct sockaddr *)&way->server, server) && strcmp(server, address) == 0;
}

static unsigned port_number(const struct sockaddr_storage *address)
{
    uint16_t port = ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                         : ((const struct sockaddr_in *)address)->sin_port);

    return (unsigned)(port - DK_WAY_PORT) & 0xffff;
}

// What an ICMP message means. The server itself is reached, whatever it says.
static bool kind_of(const struct sock_extended_err *error, bool from_server, enum dk_way_event_kind *out)
{
    bool v6 = error->ee_origin == SO_EE_ORIGIN_ICMP6;

    if (!v6 && error->ee_origin != SO_EE_ORIGIN_ICMP)
        return false;
    if (v6 ? error->ee_type == ICMP6_PACKET_TOO_BIG
           : error->ee_type == ICMP_UNREACHABLE && error->ee_code == ICMP_TOO_BIG_CODE)
        *out = DK_WAY_TOO_BIG;
    else if (error->ee_type == (v6 ? (int)ICMP6_TIME_EXCEEDED : (int)ICMP_TIME))
        *out = DK_WAY_TIME;
    else if (error->ee_type == (v6 ? (int)ICMP6_UNREACHABLE : (int)ICMP_UNREACHABLE))
        *out = from_server ? DK_WAY_ANSWER : DK_WAY_UNREACHABLE;
    else
        return false;
    return true;
}

// The number of the packet that an error is about: over UDP by its port, over ICMP by the head that is quoted.
static bool number_of(const struct dk_way *way, const struct sockaddr_storage *to, const uint8_t *quoted, size_t len,
                      unsigned *out)
{
    struct dk_reader r = {quoted, len, false};

    if (way->udp) {
        *out = port_number(to);
        return *out < way->sent;
    }

    uint8_t type = dk_get_u8(&r);

    dk_get_skip(&r, 5);
    *out = dk_get_u16(&r);
    return !r.failed && type == (way->ipv6 ? ICMP6_ECHO_REQUEST : ECHO_REQUEST) && *out < way->sent;
}

// 1: an event. 0: nothing waits. -1: something else was there.
static int read_error(struct dk_way *way, struct dk_way_event *out)
{
    _Alignas(struct cmsghdr) char control[512];
    uint8_t quoted[DK_WAY_BYTES_MAX];
    struct sockaddr_storage to = {0}, offender = {0};
    struct iovec part = {quoted, sizeof quoted};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};
    struct sock_extended_err error = {0};
    ssize_t got = recvmsg(way->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

    out->at = dk_mono_now();
    if (got < 0)
        return errno == EINTR ? -1 : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        if (c->cmsg_len < CMSG_LEN(sizeof error + sizeof(struct sockaddr_in)))
            continue;

        // Who says so stands behind it.
        size_t len = c->cmsg_len - CMSG_LEN(0) - sizeof error;

        memcpy(&error, CMSG_DATA(c), sizeof error);
        memcpy(&offender, CMSG_DATA(c) + sizeof error, len < sizeof offender ? len : sizeof offender);
    }
    out->mtu = error.ee_info;
    if (!describe((struct sockaddr *)&offender, out->address) ||
        !kind_of(&error, is_server(way, out->address), &out->kind) ||
        !number_of(way, &to, quoted, (size_t)got, &out->number))
        return -1;
    return 1;
}

static bool read_echo(const struct dk_way *way, const uint8_t *data, size_t len, unsigned *number)
{
    struct dk_reader r = {data, len, false};

    uint8_t type = dk_get_u8(&r);

    dk_get_skip(&r, 5);
    *number = dk_get_u16(&r);

    uint64_t token = dk_get_u64(&r);

    return !r.failed && type == (way->ipv6 ? ICMP6_ECHO_REPLY : ECHO_REPLY) && token == way->token &&
           *number < way->sent;
}

static int read_answer(struct dk_way *way, struct dk_way_event *out)
{
    uint8_t data[DK_WAY_BYTES_MAX + 60];
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof from;
    ssize_t got = recvfrom(way->fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

    out->at = dk_mono_now();
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    out->kind = DK_WAY_ANSWER;
    if (!describe((struct sockaddr *)&from, out->address) || !is_server(way, out->address))
        return -1;
    if (way->udp) { // somebody listens there after all
        out->number = port_number(&from);
        return out->number < way->sent ? 1 : -1;
    }
    return read_echo(way, data, (size_t)got, &out->number) ? 1 : -1;
}

bool dk_way_receive(struct dk_way *way, struct dk_way_event *out)
{
    enum { PASSED_OVER_MAX = 64 };

    for (int i = 0; i < PASSED_OVER_MAX; i++) {
        int got = read_error(way, out);

        if (got == 0)
            got = read_answer(way, out);
        if (got >= 0)
            return got > 0;
    }
    return false;
}
