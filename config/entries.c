// SPDX-License-Identifier: Apache-2.0
#include "config/entries.h"

#include "agent/base/message.h"
#include "agent/base/network.h"
#include "config/settings.h"

#include <stdbool.h>
#include <string.h>

enum { LABEL_MAX = 63, HOST_MAX = 253, DNS_PORT = 53 }; // RFC 1035 section 2.3.4

static const char *wrong_entries(const char *text, const char *(*check)(const char *text, size_t len))
{
    size_t count = 0;
    const char *wrong = NULL;

    for (const char *at = text; *text != '\0' && wrong == NULL; at++) {
        at += strspn(at, " ");

        size_t span = strcspn(at, ","), len = span;

        while (len > 0 && at[len - 1] == ' ')
            len--;
        wrong = ++count > DK_DNS_LIST_MAX ? N_("has more than 3 entries") : check(at, len);
        at += span;
        if (*at == '\0')
            break;
    }
    return wrong;
}

static const char *check_resolver(const char *text, size_t len)
{
    char address[INET6_ADDRSTRLEN];
    int64_t port = 0;

    return dk_address_port(text, len, DNS_PORT, address, &port) ? NULL
                                                                : N_("holds something other than ADDRESS[:PORT]");
}

static const char *check_name(const char *text, size_t len)
{
    bool good = len > 0 && len <= HOST_MAX && text[0] != '-';
    size_t label = 0;

    for (size_t i = 0; i < len && good; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        good = c == '.' ? label > 0 : (letter || c == '-' || c == '_') && label < LABEL_MAX;
        label = c == '.' ? 0 : label + 1;
    }
    return good ? NULL : N_("has a host name that is not one");
}

const char *dk_entries_wrong_resolvers(const char *text)
{
    return wrong_entries(text, check_resolver);
}

const char *dk_entries_wrong_names(const char *text)
{
    return wrong_entries(text, check_name);
}
