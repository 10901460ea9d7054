// SPDX-License-Identifier: Apache-2.0
#include "agent/context/parts.h"

#include "agent/base/parse.h"

#include <net/if_arp.h>
#include <string.h>

// ARPHRD_RAWIP and ARPHRD_IP6GRE of linux/if_arp.h, which does not go together with net/if.h.
enum { RAWIP_TYPE = 519, IP6GRE_TYPE = 823 };

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

enum dk_medium dk_medium_of(const struct dk_medium_signs *signs)
{
    static const char *const tunnels[] = {"wireguard", "vxlan", "geneve", NULL};

    if (signs->hardware_type == ARPHRD_LOOPBACK)
        return DK_MEDIUM_LOOPBACK;
    // Before the hardware type: a modem can show as Ethernet, as raw IP, or as nothing (ARPHRD_NONE).
    if (strcmp(signs->devtype, "wwan") == 0)
        return DK_MEDIUM_CELLULAR;
    if (signs->wireless || strcmp(signs->devtype, "wlan") == 0)
        return DK_MEDIUM_WIFI;
    if (signs->tun || is_one_of(signs->devtype, tunnels))
        return DK_MEDIUM_TUNNEL;
    switch (signs->hardware_type) {
    case RAWIP_TYPE:
        return DK_MEDIUM_CELLULAR;
    case ARPHRD_PPP:
        return DK_MEDIUM_PPP;
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case IP6GRE_TYPE:
    case ARPHRD_NONE:
        return DK_MEDIUM_TUNNEL;
    case ARPHRD_ETHER:
        return DK_MEDIUM_ETHERNET;
    default:
        return DK_MEDIUM_UNKNOWN;
    }
}

// Steps through the lines of a text: the next one begins at *at and has *line_len bytes.
static bool next_line(const char *text, size_t len, size_t *at, const char **line, size_t *line_len)
{
    if (*at >= len)
        return false;

    const char *end = memchr(text + *at, '\n', len - *at);

    *line = text + *at;
    *line_len = end != NULL ? (size_t)(end - *line) : len - *at;
    *at += *line_len + 1;
    return true;
}

// The value of a line "KEY=value"; NULL when the line is not about `key`.
static const char *value_of(const char *line, size_t line_len, const char *key, size_t *value_len)
{
    size_t key_len = strlen(key);

    if (line_len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != '=')
        return NULL;
    *value_len = line_len - key_len - 1;
    return line + key_len + 1;
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool dk_uevent_get(const char *text, size_t len, const char *key, char *out, size_t size)
{
    const char *line = NULL;
    size_t at = 0, line_len = 0;

    while (next_line(text, len, &at, &line, &line_len)) {
        size_t value_len = 0;
        const char *value = value_of(line, line_len, key, &value_len);

        if (value == NULL)
            continue;
        if (value_len == 0 || value_len >= size)
            return false;
        for (size_t i = 0; i < value_len; i++)
            if (!is_word_char(value[i]))
                return false;
        memcpy(out, value, value_len);
        out[value_len] = '\0';
        return true;
    }
    return false;
}

// Takes the quotes off one value, as the shell would without expanding anything. `out` has `size` bytes.
static bool unquote(const char *value, size_t len, char *out, size_t size)
{
    char quote = len > 0 && (value[0] == '"' || value[0] == '\'') ? value[0] : '\0';
    size_t at = 0, i = quote != '\0' ? 1 : 0;

    for (; i < len && (quote == '\0' || value[i] != quote); i++) {
        char c = value[i];

        if (c == '\\' && quote != '\'') {
            if (++i == len)
                return false;
            c = value[i];
        } else if (quote != '\'' && (c == '$' || c == '`')) {
            return false;
        } else if (quote == '\0' && !is_word_char(c) && strchr(".+:/~@%,=", c) == NULL) {
            return false;
        }
        if (at + 1 >= size)
            return false;
        out[at++] = c;
    }
    // A quote must be closed, by the last character.
    if (quote != '\0' && i + 1 != len)
        return false;
    out[at] = '\0';
    return at > 0 && dk_text_is_clean(out, at);
}

bool dk_os_release_get(const char *text, size_t len, const char *key, char *out, size_t size)
{
    const char *line = NULL, *last = NULL;
    size_t at = 0, line_len = 0, last_len = 0;
    char value[DK_CONTEXT_TEXT_SIZE];

    while (next_line(text, len, &at, &line, &line_len)) {
        size_t value_len = 0;
        const char *found = value_of(line, line_len, key, &value_len);

        if (found != NULL) {
            last = found;
            last_len = value_len;
        }
    }
    if (last == NULL || !unquote(last, last_len, value, sizeof value) || strlen(value) >= size)
        return false;
    memcpy(out, value, strlen(value) + 1);
    return true;
}
