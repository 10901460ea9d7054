// SPDX-License-Identifier: Apache-2.0
#include "agent/context/parts.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = 4096 };

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define auto_fd __attribute__((cleanup(close_fd)))

struct question {
    struct nlmsghdr head;
    struct rtmsg route;
    uint8_t attributes[64];
};

static void add_attribute(struct question *question, unsigned short type, const void *data, size_t len)
{
    struct rtattr attribute = {.rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = type};
    uint8_t *at = (uint8_t *)question + NLMSG_ALIGN(question->head.nlmsg_len);

    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), data, len);
    question->head.nlmsg_len = NLMSG_ALIGN(question->head.nlmsg_len) + (uint32_t)RTA_ALIGN(RTA_LENGTH(len));
}

// A gateway as the kernel has it: an address of `family`, of which `len` bytes are there.
static void describe(int family, const uint8_t *address, size_t len, unsigned index, char out[static DK_GATEWAY_SIZE])
{
    char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
    struct in6_addr v6;

    if (len < (family == AF_INET6 ? sizeof v6 : 4u) || inet_ntop(family, address, text, sizeof text) == NULL)
        return;
    if (family == AF_INET6)
        memcpy(&v6, address, sizeof v6);
    // A link-local address means nothing without its link.
    if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6)) {
        if (if_indextoname(index, name) != NULL)
            snprintf(out, DK_GATEWAY_SIZE, "%s%%%s", text, name);
    } else {
        snprintf(out, DK_GATEWAY_SIZE, "%s", text);
    }
}

void dk_route_gateway_get(const void *answer, size_t len, char out[static DK_GATEWAY_SIZE])
{
    const uint8_t *bytes = answer, *gateway = NULL;
    struct nlmsghdr head;
    struct rtmsg route;
    size_t at = NLMSG_LENGTH(sizeof route), gateway_len = 0;
    int family = AF_UNSPEC;
    unsigned index = 0;

    out[0] = '\0';
    if (len < at)
        return;
    memcpy(&head, bytes, sizeof head);
    memcpy(&route, bytes + NLMSG_HDRLEN, sizeof route);
    if (head.nlmsg_type != RTM_NEWROUTE || head.nlmsg_len > len)
        return;
    for (struct rtattr attribute; at + sizeof attribute <= head.nlmsg_len; at += RTA_ALIGN(attribute.rta_len)) {
        memcpy(&attribute, bytes + at, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > head.nlmsg_len - at)
            return;

        const uint8_t *data = bytes + at + RTA_LENGTH(0);
        size_t data_len = attribute.rta_len - RTA_LENGTH(0);

        if (attribute.rta_type == RTA_OIF && data_len == sizeof index) {
            memcpy(&index, data, sizeof index);
        } else if (attribute.rta_type == RTA_GATEWAY) {
            family = route.rtm_family;
            gateway = data;
            gateway_len = data_len;
        } else if (attribute.rta_type == RTA_VIA && data_len > sizeof(sa_family_t)) { // IPv4 by way of IPv6
            sa_family_t via = AF_UNSPEC;

            memcpy(&via, data, sizeof via);
            family = via;
            gateway = data + sizeof via;
            gateway_len = data_len - sizeof via;
        }
    }
    if (gateway != NULL && (family == AF_INET || family == AF_INET6))
        describe(family, gateway, gateway_len, index, out);
}

void dk_route_gateway(const char *address, const char *interface, char out[static DK_GATEWAY_SIZE])
{
    auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    size_t len = family == AF_INET6 ? 16 : 4;
    uint8_t destination[16], answer[ANSWER_MAX_BYTES];
    unsigned index = interface[0] != '\0' ? if_nametoindex(interface) : 0;
    struct question question = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof question.route), .nlmsg_type = RTM_GETROUTE,
                 .nlmsg_flags = NLM_F_REQUEST},
        .route = {.rtm_family = (unsigned char)family, .rtm_dst_len = (unsigned char)(len * 8)},
    };

    out[0] = '\0';
    if (fd < 0 || inet_pton(family, address, destination) != 1)
        return;
    add_attribute(&question, RTA_DST, destination, len);
    if (index != 0)
        add_attribute(&question, RTA_OIF, &index, sizeof index);
    if (send(fd, &question, question.head.nlmsg_len, 0) != (ssize_t)question.head.nlmsg_len)
        return;

    ssize_t got = recv(fd, answer, sizeof answer, 0);

    if (got > 0)
        dk_route_gateway_get(answer, (size_t)got, out);
}
