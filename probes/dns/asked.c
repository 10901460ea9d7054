// SPDX-License-Identifier: Apache-2.0
#include "probes/dns/asked.h"

#include "agent/base/network.h"
#include "probes/dns/message.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PORT = 53 };

bool dk_dns_host(const char *url, char out[static DK_DNS_TEXT_SIZE])
{
    const char *host = strstr(url, "://");
    struct dk_dns_question question;
    unsigned char address[4];
    char name[DK_DNS_TEXT_SIZE];

    if (host == NULL)
        return false;
    host += 3;

    size_t len = strcspn(host, ":/?#");

    if (len == 0 || len >= sizeof name || host[0] == '[')
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    // No resolver is asked for the device's own name (RFC 6761 section 6.3).
    if (strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, address) == 1 ||
        !dk_dns_question_make(name, 1, 0, &question))
        return false;
    memcpy(out, name, len + 1);
    return true;
}

static void add_server(struct dk_dns_asked *asked, const char *address, int64_t port, bool configured)
{
    for (size_t i = 0; i < asked->server_count; i++)
        if (strcmp(asked->servers[i].address, address) == 0 && asked->servers[i].port == port)
            return;
    if (asked->server_count == DK_DNS_SERVERS_MAX)
        return;

    struct dk_dns_server *server = &asked->servers[asked->server_count++];

    snprintf(server->address, sizeof server->address, "%s", address);
    server->port = port;
    server->configured = configured;
}

// The system's resolvers, as c-ares finds them.
static void add_system_servers(struct dk_dns_asked *asked)
{
    ares_channel channel = NULL;
    struct ares_addr_port_node *list = NULL;
    char address[DK_ADDRESS_SIZE];
    int count = 0;

    if (ares_init(&channel) != ARES_SUCCESS)
        return;
    if (ares_get_servers_ports(channel, &list) == ARES_SUCCESS)
        for (struct ares_addr_port_node *node = list; node != NULL && count < DK_DNS_LISTED_MAX; node = node->next)
            if (inet_ntop(node->family, &node->addr, address, sizeof address) != NULL) {
                add_server(asked, address, node->udp_port > 0 ? node->udp_port : PORT, false);
                count++;
            }
    ares_free_data(list);
    ares_destroy(channel);
}

// Calls back for each entry of "a, b".
static void each_entry(const char *list, struct dk_dns_asked *asked,
                       void (*entry)(struct dk_dns_asked *asked, const char *text, size_t len))
{
    while (*list != '\0') {
        list += strspn(list, " ,");

        size_t span = strcspn(list, ","), len = span;

        while (len > 0 && list[len - 1] == ' ')
            len--;
        if (len > 0)
            entry(asked, list, len);
        list += span;
    }
}

static void add_listed_server(struct dk_dns_asked *asked, const char *text, size_t len)
{
    char address[DK_ADDRESS_SIZE];
    int64_t port = 0;

    if (dk_address_port(text, len, PORT, address, &port))
        add_server(asked, address, port, true);
}

static void add_name(struct dk_dns_asked *asked, const char *text, size_t len)
{
    if (len >= DK_DNS_TEXT_SIZE || asked->name_count == DK_DNS_NAMES_MAX)
        return;
    memcpy(asked->names[asked->name_count], text, len);
    asked->names[asked->name_count][len] = '\0';
    for (size_t i = 0; i < asked->name_count; i++)
        if (strcmp(asked->names[i], asked->names[asked->name_count]) == 0)
            return;
    asked->name_count++;
}

void dk_dns_asked_gather(const struct dk_plan *plan, bool system, struct dk_dns_asked *out)
{
    char host[DK_DNS_TEXT_SIZE];

    *out = (struct dk_dns_asked){0};
    if (dk_dns_host(plan->url, host))
        add_name(out, host, strlen(host));
    each_entry(plan->dns_names, out, add_name);
    if (out->name_count == 0)
        return;
    // First, so that one that the system has as well counts as configured.
    each_entry(plan->dns_servers, out, add_listed_server);
    if (system)
        add_system_servers(out);
}
