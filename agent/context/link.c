// SPDX-License-Identifier: Apache-2.0
#include "agent/context/parts.h"

#include "agent/base/file.h"
#include "agent/base/parse.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SYSFS_MAX_BYTES = 4096 };

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define auto_fd __attribute__((cleanup(close_fd)))

static void free_ifaddrs(struct ifaddrs **list)
{
    if (*list != NULL)
        freeifaddrs(*list);
}

static bool is_address(const struct sockaddr *address)
{
    return address != NULL && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

static const void *address_bytes(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6
               ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
               : &((const struct sockaddr_in *)(const void *)address)->sin_addr;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    return is_address(a) && a->sa_family == b->sa_family &&
           memcmp(address_bytes(a), address_bytes(b), a->sa_family == AF_INET6 ? 16 : 4) == 0;
}

// The address that packets to `server` leave from. Connecting a UDP socket looks the route up and sends
// nothing.
static bool find_source(const char *server, struct sockaddr_storage *source)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *info = NULL;
    socklen_t len = sizeof *source;

    if (getaddrinfo(server, "9", &hints, &info) != 0)
        return false;

    auto_fd int fd = socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found = fd >= 0 && connect(fd, info->ai_addr, info->ai_addrlen) == 0 &&
                 getsockname(fd, (struct sockaddr *)source, &len) == 0;

    freeaddrinfo(info);
    return found;
}

// Addresses for documentation (RFC 5737, RFC 3849): a route to them is the default route.
static const char somewhere[] = "192.0.2.1", somewhere_v6[] = "2001:db8::1";

static bool find_default_source(struct sockaddr_storage *source)
{
    return find_source(somewhere, source) || find_source(somewhere_v6, source);
}

static bool is_global(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const unsigned char *bytes = address_bytes(address);

        return bytes[0] != 127 && !(bytes[0] == 169 && bytes[1] == 254);
    }

    const struct in6_addr *v6 = address_bytes(address);

    return !IN6_IS_ADDR_LOOPBACK(v6) && !IN6_IS_ADDR_LINKLOCAL(v6);
}

// The kernel gives no interface a name with '/', nor "." or "..": one that exists is safe in a path.
static bool is_usable_name(const char *name)
{
    return strlen(name) < IF_NAMESIZE && dk_text_is_clean(name, strlen(name)) && if_nametoindex(name) != 0;
}

// Reads /sys/class/net/IF/FILE, without the line end.
static bool read_sys(const char *interface, const char *file, struct dk_buf *out)
{
    char path[96];

    snprintf(path, sizeof path, "/sys/class/net/%s/%s", interface, file);
    if (dk_file_read(path, out, NULL) != DK_OK || out->len == 0)
        return false;
    if (out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
    return true;
}

static bool is_in_sys(const char *interface, const char *file)
{
    char path[96];

    snprintf(path, sizeof path, "/sys/class/net/%s/%s", interface, file);
    return access(path, F_OK) == 0;
}

static void describe_device(struct dk_link *link, int hardware_type)
{
    struct dk_medium_signs signs = {.hardware_type = hardware_type,
                                    .wireless = is_in_sys(link->interface, "wireless") ||
                                                is_in_sys(link->interface, "phy80211"),
                                    .tun = is_in_sys(link->interface, "tun_flags")};
    dk_auto_buf struct dk_buf uevent = dk_buf_make(SYSFS_MAX_BYTES), speed = dk_buf_make(SYSFS_MAX_BYTES);
    dk_auto_buf struct dk_buf state = dk_buf_make(SYSFS_MAX_BYTES), carrier = dk_buf_make(SYSFS_MAX_BYTES);
    int64_t mbps = 0;

    if (read_sys(link->interface, "uevent", &uevent))
        dk_uevent_get(dk_buf_text(&uevent), uevent.len, "DEVTYPE", signs.devtype, sizeof signs.devtype);
    link->medium = dk_medium_of(&signs);
    // The driver says Mb/s, and −1 or nothing when it does not know.
    if (read_sys(link->interface, "speed", &speed) && dk_parse_i64(dk_buf_text(&speed), 1, 10000000, &mbps))
        link->speed_bps = mbps * 1000000;
    link->index = if_nametoindex(link->interface);
    if (read_sys(link->interface, "operstate", &state) && state.len < sizeof link->state &&
        dk_text_is_clean(dk_buf_text(&state), state.len))
        snprintf(link->state, sizeof link->state, "%s", dk_buf_text(&state));
    if (!read_sys(link->interface, "carrier_changes", &carrier) ||
        !dk_parse_i64(dk_buf_text(&carrier), 0, INT64_MAX, &link->carrier_changes))
        link->carrier_changes = -1;

    auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", link->interface);
    if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0)
        link->mtu_bytes = request.ifr_mtu;
}

// Goes through the addresses of the interface: families, hardware type and, when it is not known yet, its own
// address.
static int read_addresses(struct dk_link *link, const struct ifaddrs *list, int family)
{
    int hardware_type = -1;

    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        const struct sockaddr *address = i->ifa_addr;

        if (address == NULL || strcmp(i->ifa_name, link->interface) != 0)
            continue;
        if (address->sa_family == AF_PACKET)
            hardware_type = ((const struct sockaddr_ll *)(const void *)address)->sll_hatype;
        if (!is_address(address) || !is_global(address))
            continue;
        if (address->sa_family == AF_INET6)
            link->ipv6 = true;
        else
            link->ipv4 = true;
        if (link->local_address[0] == '\0' && (family == AF_UNSPEC || family == address->sa_family))
            inet_ntop(address->sa_family, address_bytes(address), link->local_address,
                      sizeof link->local_address);
    }
    return hardware_type;
}

void dk_link_gather(const char *server_address, const char *interface, struct dk_link *out)
{
    __attribute__((cleanup(free_ifaddrs))) struct ifaddrs *list = NULL;
    struct sockaddr_storage storage = {0};
    const struct sockaddr *source = (const struct sockaddr *)&storage;
    bool routed =
        server_address[0] != '\0' ? find_source(server_address, &storage) : find_default_source(&storage);

    *out = (struct dk_link){.carrier_changes = -1, .mtu_bytes = -1, .speed_bps = -1};
    if (getifaddrs(&list) != 0)
        return;
    if (is_usable_name(interface)) {
        snprintf(out->interface, sizeof out->interface, "%s", interface);
    } else if (interface[0] == '\0' && routed) {
        for (const struct ifaddrs *i = list; i != NULL && out->interface[0] == '\0'; i = i->ifa_next)
            if (same_address(i->ifa_addr, source) && is_usable_name(i->ifa_name)) {
                snprintf(out->interface, sizeof out->interface, "%s", i->ifa_name);
                inet_ntop(source->sa_family, address_bytes(source), out->local_address,
                          sizeof out->local_address);
            }
    }
    if (out->interface[0] == '\0')
        return;
    dk_route_gateway(server_address[0] != '\0'               ? server_address
                     : routed && source->sa_family == AF_INET6 ? somewhere_v6
                                                               : somewhere,
                     interface, out->gateway);
    describe_device(out, read_addresses(out, list, routed ? source->sa_family : AF_UNSPEC));
}
