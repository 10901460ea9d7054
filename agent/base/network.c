// SPDX-License-Identifier: Apache-2.0
#include "agent/base/network.h"

#include "agent/base/parse.h"

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

bool dk_address_port(const char *text, size_t len, int64_t default_port, char address[static INET6_ADDRSTRLEN],
                     int64_t *port)
{
    char copy[INET6_ADDRSTRLEN + sizeof "[]:65535"], *host = copy, *number = NULL;
    unsigned char bytes[16];
    int64_t value = default_port;

    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';

    char *colon = strchr(copy, ':');
    bool bracketed = copy[0] == '[', several = colon != NULL && strchr(colon + 1, ':') != NULL;

    if (bracketed) {
        char *end = strchr(copy, ']');

        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return false;
        number = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        host = copy + 1;
    } else if (colon != NULL && !several) {
        *colon = '\0';
        number = colon + 1;
    }
    if (strlen(host) >= INET6_ADDRSTRLEN || inet_pton(bracketed || several ? AF_INET6 : AF_INET, host, bytes) != 1 ||
        (number != NULL && !dk_parse_i64(number, 1, 65535, &value)))
        return false;
    memcpy(address, host, strlen(host) + 1);
    *port = value;
    return true;
}

static bool is_private(const char *address)
{
    static const struct {
        int family;
        unsigned char prefix[2], mask[2];
    } networks[] = {
        {AF_INET, {10, 0}, {255, 0}},       {AF_INET, {172, 16}, {255, 240}}, {AF_INET, {192, 168}, {255, 255}},
        {AF_INET, {100, 64}, {255, 192}},   {AF_INET, {169, 254}, {255, 255}}, {AF_INET6, {0xfc, 0}, {0xfe, 0}},
        {AF_INET6, {0xfe, 0x80}, {0xff, 0xc0}},
    };
    unsigned char bytes[16] = {0};
    int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;

    if (inet_pton(family, address, bytes) != 1)
        return false;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (networks[i].family == family && (bytes[0] & networks[i].mask[0]) == networks[i].prefix[0] &&
            (bytes[1] & networks[i].mask[1]) == networks[i].prefix[1])
            return true;
    return false;
}

bool dk_address_shown(const char *address, const char *local_address, char out[static DK_NETWORK_SIZE])
{
    char network[DK_NETWORK_SIZE], own[DK_NETWORK_SIZE], plain[INET6_ADDRSTRLEN];
    size_t span = strcspn(address, "%");

    if (!dk_network_of(address, network))
        return false;
    memcpy(plain, address, span);
    plain[span] = '\0';
    if (is_private(plain) || (dk_network_of(local_address, own) && strcmp(own, network) == 0 &&
                              strcmp(plain, "::1") != 0 && strncmp(plain, "127.", 4) != 0))
        snprintf(out, DK_NETWORK_SIZE, "%s", network);
    else
        snprintf(out, DK_NETWORK_SIZE, "%s", plain);
    return true;
}
