// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <string.h>

#include "probes/reference/clients.h"
#include "probes/reference/listen.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct dk_peer peer_of(const char *address)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(1234)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct dk_peer peer = {0};

    if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
        CU_ASSERT_TRUE(dk_peer_read((struct sockaddr *)&v6, sizeof v6, &peer));
    } else {
        CU_ASSERT_EQUAL(inet_pton(AF_INET, address, &v4.sin_addr), 1);
        CU_ASSERT_TRUE(dk_peer_read((struct sockaddr *)&v4, sizeof v4, &peer));
    }
    CU_ASSERT_EQUAL(peer.port, 1234);
    return peer;
}

static void one_client_is_an_ipv4_address_or_an_ipv6_64(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"203.0.113.7", "203.0.113.7", true},          {"203.0.113.7", "203.0.113.8", false},
        {"203.0.113.7", "::ffff:203.0.113.7", true},   {"2001:db8:1:2::1", "2001:db8:1:2:ffff::1", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false}, {"32.1.13.184", "2001:db8::1", false},
    };
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct dk_peer untouched = {7, 7};

    for (size_t i = 0; i < COUNT(cases); i++)
        CU_ASSERT_EQUAL(peer_of(cases[i].a).prefix == peer_of(cases[i].b).prefix, cases[i].same);
    CU_ASSERT_FALSE(dk_peer_read(&other, sizeof other, &untouched));
    other.sa_family = AF_INET6;
    CU_ASSERT_FALSE(dk_peer_read(&other, sizeof other, &untouched));
    CU_ASSERT_TRUE(untouched.prefix == 7 && untouched.port == 7);
}

static void the_table_of_clients_is_bounded_and_fair(void)
{
    struct dk_clients *clients = NULL;
    struct dk_mono now = {5 * DK_NS_PER_S};
    struct dk_peer peer = peer_of("203.0.113.7");

    CU_ASSERT_EQUAL_FATAL(dk_clients_new(&clients, NULL), DK_OK);

    struct dk_client *busy = dk_clients_find(clients, &peer, now);

    CU_ASSERT_PTR_NOT_NULL_FATAL(busy);
    busy->connections = 1;
    busy->bytes = 1000;

    struct dk_peer heavy_peer = peer_of("203.0.113.8");
    struct dk_client *heavy = dk_clients_find(clients, &heavy_peer, now);

    heavy->bytes = 1000000;

    // However many others come, who has a connection stays, and so does the use of who used much.
    size_t full = 0;

    for (int i = 0; i < 100000; i++) {
        struct dk_peer other = {.prefix = dk_random()};
        struct dk_client *entry = dk_clients_find(clients, &other, now);

        full += entry == NULL;
        if (entry != NULL) {
            CU_ASSERT_EQUAL(entry->bytes, 0);
            CU_ASSERT_EQUAL(entry->connections, 0);
            entry->bytes = 1;
        }
    }
    CU_ASSERT_EQUAL(full, 0);
    CU_ASSERT_PTR_EQUAL(dk_clients_find(clients, &peer, now), busy);
    CU_ASSERT_EQUAL(busy->bytes, 1000);
    CU_ASSERT_EQUAL(dk_clients_find(clients, &heavy_peer, now)->bytes, 1000000);

    // With every place taken by connections a new one is refused.
    for (int i = 0; i < 200000; i++) {
        struct dk_peer other = {.prefix = dk_random()};
        struct dk_client *entry = dk_clients_find(clients, &other, now);

        full += entry == NULL;
        if (entry != NULL)
            entry->connections++;
    }
    CU_ASSERT_EQUAL(full, 200000 - (1024 * 8 - 1));

    // A new hour.
    now.ns += 3600 * DK_NS_PER_S - 1;
    CU_ASSERT_EQUAL(dk_clients_find(clients, &peer, now)->bytes, 1000);
    now.ns += 1;
    CU_ASSERT_EQUAL(dk_clients_find(clients, &peer, now)->bytes, 0);
    CU_ASSERT_EQUAL(busy->connections, 1);
    dk_clients_free(clients);
}

static void addresses_are_numeric_and_whole(void)
{
    static const char *const good[] = {"127.0.0.1:0", "0.0.0.0:65535", "[::]:862", "[2001:db8::7]:8080"};
    static const char *const bad[] = {
        "",          ":",         ":80",          "127.0.0.1",    "127.0.0.1:",
        "1.2.3:80",  "::1:80",    "[::1]",        "[::1]:",       "[::1:80",
        "::1]:80",   "[]:80",     "[1.2.3.4]:80", "localhost:80", "127.0.0.1:65536",
        "1.2.3.4:a", "1.2.3.4:+1"};
    struct sockaddr_storage address = {0};
    socklen_t len = 77;

    for (size_t i = 0; i < COUNT(bad); i++)
        CU_ASSERT_FALSE(dk_listen_parse(bad[i], &address, &len));
    CU_ASSERT_TRUE(len == 77 && address.ss_family == 0);
    for (size_t i = 0; i < COUNT(good); i++) {
        CU_ASSERT_TRUE(dk_listen_parse(good[i], &address, &len));
        CU_ASSERT_EQUAL(address.ss_family, good[i][0] == '[' ? AF_INET6 : AF_INET);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(one_client_is_an_ipv4_address_or_an_ipv6_64),
                                           DK_CASE(the_table_of_clients_is_bounded_and_fair),
                                           DK_CASE(addresses_are_numeric_and_whole),
                                           {0}};

    return dk_harness_main(argc, argv, "reference", cases);
}
