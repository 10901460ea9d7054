// SPDX-License-Identifier: Apache-2.0
#include "agent/base/parse.h"
#include "agent/context/parts.h"
#include "tests/harness/harness.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void signs_tell_the_medium(void)
{
    static const struct {
        struct dk_medium_signs signs;
        enum dk_medium medium;
    } rows[] = {
        {{ARPHRD_LOOPBACK, "", false, false}, DK_MEDIUM_LOOPBACK},
        {{ARPHRD_ETHER, "", false, false}, DK_MEDIUM_ETHERNET},
        {{ARPHRD_ETHER, "bridge", false, false}, DK_MEDIUM_ETHERNET},
        {{ARPHRD_ETHER, "wlan", false, false}, DK_MEDIUM_WIFI},
        {{ARPHRD_ETHER, "", true, false}, DK_MEDIUM_WIFI},
        {{ARPHRD_ETHER, "wwan", false, false}, DK_MEDIUM_CELLULAR},
        {{ARPHRD_NONE, "wwan", false, false}, DK_MEDIUM_CELLULAR},
        {{519, "", false, false}, DK_MEDIUM_CELLULAR},
        {{ARPHRD_PPP, "ppp", false, false}, DK_MEDIUM_PPP},
        {{ARPHRD_NONE, "", false, true}, DK_MEDIUM_TUNNEL},
        {{ARPHRD_ETHER, "", false, true}, DK_MEDIUM_TUNNEL},
        {{ARPHRD_NONE, "wireguard", false, false}, DK_MEDIUM_TUNNEL},
        {{ARPHRD_ETHER, "vxlan", false, false}, DK_MEDIUM_TUNNEL},
        {{ARPHRD_SIT, "", false, false}, DK_MEDIUM_TUNNEL},
        {{ARPHRD_IPGRE, "", false, false}, DK_MEDIUM_TUNNEL},
        {{-1, "", false, false}, DK_MEDIUM_UNKNOWN},
        {{ARPHRD_INFINIBAND, "", false, false}, DK_MEDIUM_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(dk_medium_of(&rows[i].signs), rows[i].medium);
}

static void uevent_values_are_words_or_nothing(void)
{
    static const struct {
        const char *text, *value; // NULL: refused
    } rows[] = {
        {"INTERFACE=wlan0\nIFINDEX=3\nDEVTYPE=wlan\n", "wlan"},
        {"DEVTYPE=wwan", "wwan"},
        {"", NULL},
        {"\n\n", NULL},
        {"XDEVTYPE=wlan\n", NULL},
        {"DEVTYPEX=wlan\n", NULL},
        {"DEVTYPE\n", NULL},
        {"DEVTYPE=\n", NULL},
        {"DEVTYPE=a b\n", NULL},
        {"DEVTYPE=\x1b[2J\n", NULL},
        {"DEVTYPE=0123456789012345678901234567890\n", "0123456789012345678901234567890"},
        {"DEVTYPE=01234567890123456789012345678901\n", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[DK_DEVTYPE_SIZE] = "before";
        bool found = dk_uevent_get(rows[i].text, strlen(rows[i].text), "DEVTYPE", out, sizeof out);

        CU_ASSERT_EQUAL(found, rows[i].value != NULL);
        CU_ASSERT_STRING_EQUAL(out, rows[i].value != NULL ? rows[i].value : "before");
    }
}

static void os_release_is_read_as_the_shell_would(void)
{
    static const struct {
        const char *text, *value; // NULL: refused
    } rows[] = {
        {"NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", "Debian GNU/Linux 12 (bookworm)"},
        {"PRETTY_NAME='OpenWrt 23.05.2'\n", "OpenWrt 23.05.2"},
        {"PRETTY_NAME=Alpine-3.19\n", "Alpine-3.19"},
        {"PRETTY_NAME=\"a \\\"b\\\" \\$c\"", "a \"b\" $c"},
        {"PRETTY_NAME='a\\b'", "a\\b"},
        {"PRETTY_NAME=one\nPRETTY_NAME=two\n", "two"},
        {"PRETTY_NAME=\"Hệ điều hành\"\n", "Hệ điều hành"},
        {"#PRETTY_NAME=x\n", NULL},
        {"PRETTY_NAME=\n", NULL},
        {"PRETTY_NAME=\"\"\n", NULL},
        {"PRETTY_NAME=\"open\n", NULL},
        {"PRETTY_NAME=\"a\"b\n", NULL},
        {"PRETTY_NAME=\"a\\", NULL},
        {"PRETTY_NAME=a b\n", NULL},
        {"PRETTY_NAME=\"$(reboot)\"\n", NULL},
        {"PRETTY_NAME=\"`reboot`\"\n", NULL},
        {"PRETTY_NAME=\"\x1b[31m\"\n", NULL},
        {"PRETTY_NAME=\"\xff\"\n", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[DK_CONTEXT_TEXT_SIZE] = "before";
        bool found = dk_os_release_get(rows[i].text, strlen(rows[i].text), "PRETTY_NAME", out, sizeof out);

        CU_ASSERT_EQUAL(found, rows[i].value != NULL);
        CU_ASSERT_STRING_EQUAL(out, rows[i].value != NULL ? rows[i].value : "before");
    }
}

static void whatever_the_files_hold_the_result_is_clean(void)
{
    static const char alphabet[] = "PRETTY_NAME=\"'\\$` \n\x1b\xe1\xba\xadx";

    for (int round = 0; round < 20000; round++) {
        char text[64] = "PRETTY_NAME=", out[8] = "";
        size_t len = (size_t)dk_random_between(12, sizeof text);

        for (size_t i = 12; i < len; i++)
            text[i] = alphabet[dk_random_between(0, sizeof alphabet - 1)];

        bool found = dk_os_release_get(text, len, "PRETTY_NAME", out, sizeof out);

        CU_ASSERT_EQUAL(found, out[0] != '\0');
        CU_ASSERT_TRUE(strlen(out) < sizeof out && dk_text_is_clean(out, strlen(out)));
    }
}

static void this_machine_can_be_described(void)
{
    struct dk_context context;

    dk_context_gather("127.0.0.1", "", DK_TECHNOLOGY_4G, &context);
    CU_ASSERT_STRING_EQUAL(context.link.interface, "lo");
    CU_ASSERT_STRING_EQUAL(context.link.local_address, "127.0.0.1");
    CU_ASSERT_EQUAL(context.link.medium, DK_MEDIUM_LOOPBACK);
    CU_ASSERT_TRUE(context.link.mtu_bytes >= 1500);
    CU_ASSERT_EQUAL(context.link.technology, DK_TECHNOLOGY_4G);
    CU_ASSERT_EQUAL(context.link.technology_declared, DK_TECHNOLOGY_4G);
    CU_ASSERT_NOT_EQUAL(context.host.kernel[0], '\0');
    CU_ASSERT_NOT_EQUAL(context.host.arch[0], '\0');
    CU_ASSERT_TRUE(context.host.cpus >= 1);
    CU_ASSERT_TRUE(context.clock.state == DK_CLOCK_UNKNOWN || context.clock.maximum_error_ns >= 0);

    dk_context_gather("127.0.0.1", "lo", DK_TECHNOLOGY_AUTO, &context);
    CU_ASSERT_STRING_EQUAL(context.link.interface, "lo");
    CU_ASSERT_EQUAL(context.link.technology, DK_TECHNOLOGY_UNKNOWN);
    CU_ASSERT_EQUAL(context.link.technology_declared, DK_TECHNOLOGY_UNKNOWN);
}

// An answer to RTM_GETROUTE: a route of `family`, with attributes of `len` bytes.
static size_t route_answer(int family, const void *attributes, size_t len, uint8_t out[static 256])
{
    struct rtmsg route = {.rtm_family = (unsigned char)family};
    struct nlmsghdr head = {.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof route) + len), .nlmsg_type = RTM_NEWROUTE};

    memset(out, 0, 256);
    memcpy(out, &head, sizeof head);
    memcpy(out + NLMSG_HDRLEN, &route, sizeof route);
    memcpy(out + NLMSG_LENGTH(sizeof route), attributes, len);
    return head.nlmsg_len;
}

static void the_gateway_is_in_the_kernels_answer(void)
{
    // struct rtattr: length and type in the order of the machine, then the value.
    static const struct {
        int family;
        uint16_t attributes[16];
        size_t len;
        const char *gateway;
    } cases[] = {
        {AF_INET, {8, RTA_OIF, 1, 0, 8, RTA_GATEWAY, 0x4d0a, 0xfe01}, 16, "10.77.1.254"},
        {AF_INET, {8, RTA_OIF, 1, 0}, 8, ""},
        {AF_INET, {0}, 0, ""},
        {AF_INET, {8, RTA_GATEWAY, 0x4d0a}, 6, ""},          // cut
        {AF_INET, {3, RTA_GATEWAY, 0x4d0a, 0xfe01}, 8, ""},  // shorter than its own head
        {AF_INET, {60, RTA_GATEWAY, 0x4d0a, 0xfe01}, 8, ""}, // longer than the answer
        {AF_INET, {6, RTA_GATEWAY, 0x4d0a}, 8, ""},
        {AF_INET, {8, RTA_VIA, 0x4d0a, 0xfe01}, 8, ""},
        {AF_INET, {22, RTA_VIA, AF_INET6, 0x0120, 0xb80d, 0, 0, 0, 0, 0, 0x0100, 0}, 24, "2001:db8::1"},
        {AF_INET6, {20, RTA_GATEWAY, 0x0120, 0xb80d, 0, 0, 0, 0, 0, 0x0200}, 20, "2001:db8::2"},
        {AF_INET6, {20, RTA_GATEWAY, 0x80fe, 0, 0, 0, 0, 0, 0, 0x0100, 8, RTA_OIF, 1, 0}, 28, "fe80::1%lo"},
        {AF_INET6, {20, RTA_GATEWAY, 0x80fe, 0, 0, 0, 0, 0, 0, 0x0100}, 20, ""}, // on no link
    };
    uint8_t answer[256];
    char gateway[DK_GATEWAY_SIZE];

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = route_answer(cases[i].family, cases[i].attributes, cases[i].len, answer);

        dk_route_gateway_get(answer, len, gateway);
        CU_ASSERT_STRING_EQUAL(gateway, cases[i].gateway);
        for (size_t cut = 0; cut < len; cut++) {
            dk_route_gateway_get(answer, cut, gateway);
            CU_ASSERT_STRING_EQUAL(gateway, "");
        }
    }
    for (int round = 0; round < 2000; round++) {
        uint16_t attributes[60];

        for (size_t i = 0; i < COUNT(attributes); i++)
            attributes[i] = (uint16_t)dk_random_between(0, 20);
        dk_route_gateway_get(answer, route_answer(AF_INET, attributes, sizeof attributes, answer), gateway);
        CU_ASSERT_TRUE(strlen(gateway) < sizeof gateway);
    }
    // A way over loopback has none, and a name is no address.
    dk_route_gateway("127.0.0.1", "", gateway);
    CU_ASSERT_STRING_EQUAL(gateway, "");
    dk_route_gateway("localhost", "", gateway);
    CU_ASSERT_STRING_EQUAL(gateway, "");
}

static void what_cannot_be_found_is_marked_so(void)
{
    static const char *const interfaces[] = {"nosuchif0",        "../lo", ".", "..", "lo/..", "a\x1b[1m",
                                             "0123456789abcdefg"};
    struct dk_context context;

    for (size_t i = 0; i < sizeof interfaces / sizeof interfaces[0]; i++) {
        dk_context_gather("127.0.0.1", interfaces[i], DK_TECHNOLOGY_UNKNOWN, &context);
        CU_ASSERT_STRING_EQUAL(context.link.interface, "");
        CU_ASSERT_STRING_EQUAL(context.link.local_address, "");
        CU_ASSERT_EQUAL(context.link.medium, DK_MEDIUM_UNKNOWN);
        CU_ASSERT_EQUAL(context.link.mtu_bytes, -1);
        CU_ASSERT_EQUAL(context.link.speed_bps, -1);
    }
    dk_context_gather("no-address", "", DK_TECHNOLOGY_UNKNOWN, &context);
    CU_ASSERT_STRING_EQUAL(context.link.interface, "");
    CU_ASSERT_STRING_EQUAL(dk_medium_text(context.link.medium), "unknown");
    CU_ASSERT_STRING_EQUAL(dk_clock_state_text(DK_CLOCK_UNSYNCHRONISED), "unsynchronised");
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(signs_tell_the_medium),
        DK_CASE(uevent_values_are_words_or_nothing),
        DK_CASE(os_release_is_read_as_the_shell_would),
        DK_CASE(whatever_the_files_hold_the_result_is_clean),
        DK_CASE(this_machine_can_be_described),
        DK_CASE(the_gateway_is_in_the_kernels_answer),
        DK_CASE(what_cannot_be_found_is_marked_so),
        {0},
    };

    return dk_harness_main(argc, argv, "context", cases);
}
