// SPDX-License-Identifier: Apache-2.0
#include "probes/loop.h"
#include "probes/resolve.h"
#include "tests/harness/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    struct dk_loop *loop;
    int fired, fd;
    short events;
    struct dk_mono at;
    char text[128];
};

static void on_timer(void *argument, struct dk_mono now)
{
    struct seen *seen = argument;

    seen->fired++;
    seen->at = now;
}

static void on_timer_again(void *argument, struct dk_mono now)
{
    struct seen *seen = argument;

    seen->fired++;
    CU_ASSERT_EQUAL(dk_loop_set_timer(seen->loop, now, on_timer_again, seen), DK_OK);
}

static void on_fd(void *argument, short events)
{
    struct seen *seen = argument;
    char byte;

    seen->fired++;
    seen->events = events;
    // Consumes the byte, or the pending error.
    if (recv(seen->fd, &byte, 1, MSG_DONTWAIT) < 0)
        dk_loop_unwatch(seen->loop, seen->fd);
}

static void on_resolved(void *argument, const struct sockaddr *address, socklen_t len, const char *reason)
{
    struct seen *seen = argument;

    seen->fired++;
    if (address != NULL && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        snprintf(seen->text, sizeof seen->text, "%s:%d", inet_ntoa(in.sin_addr), ntohs(in.sin_port));
    } else {
        snprintf(seen->text, sizeof seen->text, "%s", reason);
    }
}

static void timers_fire_once_in_order_and_not_early(void)
{
    struct dk_loop *loop = NULL;
    struct seen a = {0}, b = {0}, c = {0};

    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);

    struct dk_mono start = dk_mono_now();

    CU_ASSERT_EQUAL(dk_loop_set_timer(loop, dk_mono_add_ns(start, 20 * DK_NS_PER_MS), on_timer, &a), DK_OK);
    CU_ASSERT_EQUAL(dk_loop_set_timer(loop, dk_mono_add_ns(start, 5 * DK_NS_PER_MS), on_timer, &b), DK_OK);
    CU_ASSERT_EQUAL(dk_loop_set_timer(loop, dk_mono_add_ns(start, 10 * DK_NS_PER_MS), on_timer, &c), DK_OK);
    dk_loop_clear_timer(loop, &c);
    while (a.fired == 0)
        CU_ASSERT_EQUAL_FATAL(dk_loop_turn(loop, dk_mono_add_ns(dk_mono_now(), DK_NS_PER_S)), DK_OK);
    CU_ASSERT_EQUAL(a.fired, 1);
    CU_ASSERT_EQUAL(b.fired, 1);
    CU_ASSERT_EQUAL(c.fired, 0);
    CU_ASSERT_TRUE(dk_mono_diff_ns(a.at, start) >= 20 * DK_NS_PER_MS);
    CU_ASSERT_TRUE(dk_mono_diff_ns(a.at, b.at) >= 0);
    dk_loop_free(loop);
}

static void a_timer_that_is_always_due_fires_once_a_turn(void)
{
    struct dk_loop *loop = NULL;
    struct seen seen = {0};

    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);
    seen.loop = loop;
    CU_ASSERT_EQUAL(dk_loop_set_timer(loop, dk_mono_now(), on_timer_again, &seen), DK_OK);
    for (int turn = 0; turn < 3; turn++)
        CU_ASSERT_EQUAL(dk_loop_turn(loop, dk_mono_add_ns(dk_mono_now(), DK_NS_PER_S)), DK_OK);
    CU_ASSERT_EQUAL(seen.fired, 3);
    dk_loop_free(loop);
}

static void descriptors_and_their_errors_are_seen(void)
{
    struct dk_loop *loop = NULL;
    int pair[2];
    struct seen seen = {0};

    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    seen = (struct seen){.loop = loop, .fd = pair[0]};
    CU_ASSERT_EQUAL(dk_loop_watch(loop, pair[0], POLLIN, on_fd, &seen), DK_OK);
    CU_ASSERT_EQUAL(write(pair[1], "x", 1), 1);
    CU_ASSERT_EQUAL(dk_loop_turn(loop, dk_mono_add_ns(dk_mono_now(), DK_NS_PER_S)), DK_OK);
    CU_ASSERT_EQUAL(seen.fired, 1);
    CU_ASSERT_TRUE(seen.events & POLLIN);
    dk_loop_unwatch(loop, pair[0]);
    close(pair[0]);
    close(pair[1]);

    // A datagram to a closed port comes back as an error without data: it must reach the callback.
    struct sockaddr_in closed = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof closed;
    int reserve = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);

    CU_ASSERT_EQUAL(bind(reserve, (struct sockaddr *)&closed, sizeof closed), 0);
    CU_ASSERT_EQUAL(getsockname(reserve, (struct sockaddr *)&closed, &len), 0);
    close(reserve);
    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&closed, sizeof closed), 0);
    seen = (struct seen){.loop = loop, .fd = fd};
    CU_ASSERT_EQUAL(dk_loop_watch(loop, fd, POLLIN, on_fd, &seen), DK_OK);
    CU_ASSERT_EQUAL(send(fd, "x", 1, 0), 1);
    for (int turn = 0; turn < 100 && seen.fired == 0; turn++)
        CU_ASSERT_EQUAL(dk_loop_turn(loop, dk_mono_add_ns(dk_mono_now(), 20 * DK_NS_PER_MS)), DK_OK);
    CU_ASSERT_EQUAL(seen.fired, 1);
    CU_ASSERT_TRUE(seen.events & POLLERR);
    close(fd);
    dk_loop_free(loop);
}

static void the_tables_have_an_end(void)
{
    struct dk_loop *loop = NULL;
    struct seen seen[70] = {0};
    int refused = 0;

    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);
    for (int i = 0; i < 70; i++)
        refused += dk_loop_set_timer(loop, dk_mono_now(), on_timer, &seen[i]) == DK_ERR_INTERNAL;
    CU_ASSERT_EQUAL(refused, 6);
    dk_loop_free(loop);
}

static const char *resolve(const char *host_port, enum dk_err *err, struct seen *seen)
{
    struct dk_resolution *resolution = NULL;

    *seen = (struct seen){0};
    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&seen->loop, NULL), DK_OK);
    *err = dk_resolve(seen->loop, host_port, 862, DK_FAMILY_IPV4, 5 * DK_NS_PER_S, on_resolved, seen, &resolution);
    while (*err == DK_OK && seen->fired == 0)
        CU_ASSERT_EQUAL_FATAL(dk_loop_turn(seen->loop, dk_mono_add_ns(dk_mono_now(), DK_NS_PER_S)), DK_OK);
    dk_resolve_free(resolution);
    dk_loop_free(seen->loop);
    return seen->text;
}

static void names_and_addresses_are_resolved(void)
{
    enum dk_err err = DK_OK;
    struct seen seen;

    CU_ASSERT_STRING_EQUAL(resolve("127.0.0.1:99", &err, &seen), "127.0.0.1:99");
    CU_ASSERT_STRING_EQUAL(resolve("127.0.0.1", &err, &seen), "127.0.0.1:862");
    CU_ASSERT_STRING_EQUAL(resolve("localhost:5", &err, &seen), "127.0.0.1:5");
    // RFC 6761: .invalid never resolves.
    CU_ASSERT_PTR_NOT_NULL(strstr(resolve("nobody.invalid", &err, &seen), "nobody.invalid"));

    static const char *const bad[] = {"", ":1", "host:", "host:0", "host:65536", "host:1x", "host/path", "user@host",
                                      "[::1", "[::1]x", "a b", "host:1:2"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        resolve(bad[i], &err, &seen);
        CU_ASSERT_EQUAL(err, DK_ERR_DATA);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(timers_fire_once_in_order_and_not_early),
        DK_CASE(a_timer_that_is_always_due_fires_once_a_turn),
        DK_CASE(descriptors_and_their_errors_are_seen),
        DK_CASE(the_tables_have_an_end),
        DK_CASE(names_and_addresses_are_resolved),
        {0},
    };

    curl_global_init(CURL_GLOBAL_DEFAULT);

    int status = dk_harness_main(argc, argv, "loop", cases);

    curl_global_cleanup();
    return status;
}
