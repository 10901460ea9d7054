// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/peer.h"

#include <netinet/in.h>
#include <string.h>

bool dk_peer_read(const struct sockaddr *address, socklen_t len, struct dk_peer *out)
{
    // No global IPv6 unicast prefix begins like this.
    uint8_t prefix[8] = {0, 0, 0xff, 0xff};

    if (len >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, address, sizeof v4);
        memcpy(prefix + 4, &v4.sin_addr, 4);
        out->port = ntohs(v4.sin_port);
    } else if (len >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, address, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            memcpy(prefix + 4, &v6.sin6_addr.s6_addr[12], 4);
        else
            memcpy(prefix, &v6.sin6_addr, sizeof prefix);
        out->port = ntohs(v6.sin6_port);
    } else {
        return false;
    }
    memcpy(&out->prefix, prefix, sizeof prefix);
    return true;
}

uint64_t dk_peer_hash(const struct dk_peer *peer, uint64_t key)
{
    uint64_t hash = peer->prefix ^ key;

    for (int round = 0; round < 3; round++)
        hash = (hash ^ hash >> 29) * (key << 1 | 1) + (key >> 7);
    return hash ^ hash >> 32;
}
