// SPDX-License-Identifier: Apache-2.0
#include "probes/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

bool dk_socket_bind_interface(int fd, const char *interface, int family)
{
    struct ifaddrs *all = NULL;
    bool bound = false;

    char already[IF_NAMESIZE] = "";
    socklen_t len = sizeof already;

    // A second time would need CAP_NET_RAW.
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, already, &len) == 0 && strcmp(already, interface) == 0)
        return true;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) == 0)
        return true;
    if (errno != EPERM || getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *a = all; a != NULL && !bound; a = a->ifa_next)
        if (a->ifa_addr != NULL && a->ifa_addr->sa_family == family && strcmp(a->ifa_name, interface) == 0)
            bound = bind(fd, a->ifa_addr,
                         family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) == 0;
    freeifaddrs(all);
    if (!bound)
        errno = EADDRNOTAVAIL;
    return bound;
}

void dk_socket_describe(const struct sockaddr *address, socklen_t len, char out[static DK_SOCKET_NAME_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in v4 = {0};
    struct sockaddr_in6 v6 = {0};

    out[0] = '\0';
    if (address->sa_family == AF_INET6 && len >= sizeof v6) {
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(out, DK_SOCKET_NAME_SIZE, v6.sin6_port != 0 ? "[%s]:%u" : "%s", host, (unsigned)ntohs(v6.sin6_port));
    } else if (len >= sizeof v4) {
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(out, DK_SOCKET_NAME_SIZE, v4.sin_port != 0 ? "%s:%u" : "%s", host, (unsigned)ntohs(v4.sin_port));
    }
}

bool dk_socket_address(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    char address[INET6_ADDRSTRLEN];
    size_t span = strcspn(text, "%");

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        *len = sizeof v4;
        return true;
    }
    if (span >= sizeof address)
        return false;
    memcpy(address, text, span);
    address[span] = '\0';
    if (text[span] == '%')
        v6.sin6_scope_id = if_nametoindex(text + span + 1);
    if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1 && (text[span] == '\0' || v6.sin6_scope_id != 0)) {
        memcpy(out, &v6, sizeof v6);
        *len = sizeof v6;
        return true;
    }
    return false;
}
