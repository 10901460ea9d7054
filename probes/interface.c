// SPDX-License-Identifier: Apache-2.0
#include "probes/interface.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool is_of_family(const struct sockaddr *address, enum dk_family family)
{
    if (address == NULL)
        return false;
    if (address->sa_family == AF_INET)
        return family != DK_FAMILY_IPV6;
    return address->sa_family == AF_INET6 && family != DK_FAMILY_IPV4 &&
           !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

bool dk_interface_trouble(const char *interface, enum dk_family family, char *reason, size_t size)
{
    struct ifaddrs *list = NULL;
    bool there = if_nametoindex(interface) != 0, up = false, has_address = false;

    if (there && getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        if (strcmp(i->ifa_name, interface) == 0) {
            up = up || (i->ifa_flags & IFF_UP) != 0;
            has_address = has_address || is_of_family(i->ifa_addr, family);
        }
    if (list != NULL)
        freeifaddrs(list);
    if (!there)
        snprintf(reason, size, "there is no interface '%s'", interface);
    else if (!up)
        snprintf(reason, size, "the interface %s is down", interface);
    else if (!has_address)
        snprintf(reason, size, "the interface %s has no %s address", interface,
                 family == DK_FAMILY_IPV4   ? "IPv4"
                 : family == DK_FAMILY_IPV6 ? "IPv6"
                                            : "IP");
    return !there || !up || !has_address;
}
