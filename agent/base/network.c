// SPDX-License-Identifier: Apache-2.0
#include "agent/base/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool dk_network_of(const char *address, char out[static DK_NETWORK_SIZE])
{
    unsigned char bytes[16] = {0};
    char network[INET6_ADDRSTRLEN] = "";
    size_t span = strcspn(address, "%");
    int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    size_t keep = family == AF_INET6 ? 6 : 3;

    if (span >= sizeof network)
        return false;
    memcpy(network, address, span);
    network[span] = '\0';
    if (inet_pton(family, network, bytes) != 1)
        return false;
    memset(bytes + keep, 0, sizeof bytes - keep);
    if (inet_ntop(family, bytes, network, sizeof network) == NULL)
        return false;
    snprintf(out, DK_NETWORK_SIZE, "%s/%d", network, family == AF_INET6 ? 48 : 24);
    return true;
}
