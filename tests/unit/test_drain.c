// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/drain.h"
#include "tests/harness/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OVERHEAD = 22, WIRE_MAX = 4 << 20 };

// The two ends of a TCP connection over the loopback.
static void connect_pair(int *sender, int *receiver)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    *sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(*sender, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL(setsockopt(*sender, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    *receiver = accept(listener, NULL, NULL);
    CU_ASSERT_TRUE_FATAL(*receiver >= 0);
    close(listener);
}

// Sends `wire` in random pieces, draining in between; the state that ends it.
static enum dk_drain_state send_and_drain(struct dk_drain *drain, int sender, const uint8_t *wire, size_t len)
{
    enum dk_drain_state state = DK_DRAIN_WAITING;
    int64_t before = 0;

    for (size_t at = 0; at < len && state == DK_DRAIN_WAITING;) {
        size_t piece = (size_t)dk_random_between(1, dk_random_between(0, 1) ? 10 : 100000);

        piece = piece < len - at ? piece : len - at;
        ssize_t sent = send(sender, wire + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL);

        at += sent > 0 ? (size_t)sent : 0;
        state = dk_drain_read(drain);
        CU_ASSERT_TRUE(dk_drain_payload_bytes(drain) >= before);
        before = dk_drain_payload_bytes(drain);
    }
    shutdown(sender, SHUT_WR);
    // What is still on its way over the loopback arrives, and then the end.
    while (state == DK_DRAIN_WAITING)
        state = dk_drain_read(drain);
    return state;
}

// Appends one application-data record of `payload` bytes.
static size_t put_record(uint8_t *wire, size_t at, size_t payload, uint8_t type)
{
    size_t body = payload + OVERHEAD - 5;

    wire[at] = type;
    wire[at + 1] = wire[at + 2] = 3;
    wire[at + 3] = (uint8_t)(body >> 8);
    wire[at + 4] = (uint8_t)body;
    for (size_t i = 0; i < body; i++)
        wire[at + 5 + i] = (uint8_t)dk_random();
    return at + 5 + body;
}

static void plain_bodies_are_counted_to_the_byte(void)
{
    uint8_t *wire = calloc(1, WIRE_MAX);

    for (int round = 0; round < 10; round++) {
        struct dk_drain drain;
        int sender, receiver;
        size_t len = (size_t)dk_random_between(1, 1 << 20);

        connect_pair(&sender, &receiver);
        // What follows the body is not its.
        dk_drain_begin(&drain, receiver, (int64_t)len, 0);
        CU_ASSERT_EQUAL(send_and_drain(&drain, sender, wire, len + 7), DK_DRAIN_WHOLE);
        CU_ASSERT_EQUAL(dk_drain_payload_bytes(&drain), (int64_t)len);
        CU_ASSERT_EQUAL(drain.body_left_bytes, 0);
        close(sender);
        close(receiver);
    }
    free(wire);
}

static void records_are_counted_without_their_overhead(void)
{
    uint8_t *wire = malloc(WIRE_MAX);

    for (int round = 0; round < 12; round++) {
        struct dk_drain drain;
        int sender, receiver;
        size_t len = 0, payload = 0;
        // All alike, alike in runs, or each of its own size.
        size_t size = round % 3 == 0 ? 16384 : (size_t)dk_random_between(1, 16384);

        while (len < 2 << 20) {
            if (round % 3 == 2 || (round % 3 == 1 && dk_random_between(0, 60) == 0))
                size = (size_t)dk_random_between(1, 16384);
            len = put_record(wire, len, size, 23);
            payload += size;
        }
        connect_pair(&sender, &receiver);
        dk_drain_begin(&drain, receiver, (int64_t)payload, OVERHEAD);

        enum dk_drain_state state = send_and_drain(&drain, sender, wire, len);

        if (round % 3 == 1 && state == DK_DRAIN_LOST) {
            // A hop over records that were no longer alike was noticed where it landed.
            CU_ASSERT_TRUE(dk_drain_payload_bytes(&drain) <= (int64_t)payload);
        } else {
            CU_ASSERT_EQUAL(state, DK_DRAIN_WHOLE);
            CU_ASSERT_EQUAL(dk_drain_payload_bytes(&drain), (int64_t)payload);
        }
        close(sender);
        close(receiver);
    }
    free(wire);
}

static void what_is_no_body_is_noticed(void)
{
    uint8_t *wire = malloc(WIRE_MAX);
    static const uint8_t types[] = {21, 22, 0, 255};

    for (size_t i = 0; i < sizeof types; i++) {
        struct dk_drain drain;
        int sender, receiver;
        size_t len = put_record(wire, 0, 1000, 23);

        len = put_record(wire, len, 1000, types[i]);
        connect_pair(&sender, &receiver);
        dk_drain_begin(&drain, receiver, 5000, OVERHEAD);
        // An alert is the end of the connection; anything else is not TLS as it should be.
        CU_ASSERT_EQUAL(send_and_drain(&drain, sender, wire, len), types[i] == 21 ? DK_DRAIN_CLOSED : DK_DRAIN_LOST);
        CU_ASSERT_EQUAL(dk_drain_payload_bytes(&drain), 1000);
        close(sender);
        close(receiver);
    }
    free(wire);
}

static void the_end_of_the_connection_is_seen(void)
{
    uint8_t wire[3000] = {0};

    for (int reset = 0; reset < 2; reset++) {
        struct dk_drain drain;
        int sender, receiver;
        struct linger linger = {1, 0};
        enum dk_drain_state state = DK_DRAIN_WAITING;

        connect_pair(&sender, &receiver);
        dk_drain_begin(&drain, receiver, 5000, 0);
        CU_ASSERT_EQUAL(send(sender, wire, sizeof wire, 0), (ssize_t)sizeof wire);
        if (reset)
            setsockopt(sender, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(sender);
        while (state == DK_DRAIN_WAITING)
            state = dk_drain_read(&drain);
        CU_ASSERT_EQUAL(state, reset ? DK_DRAIN_FAILED : DK_DRAIN_CLOSED);
        close(receiver);
    }
}

static void low_water_stays_in_its_bounds(void)
{
    int sender, receiver;
    struct dk_drain drain;

    connect_pair(&sender, &receiver);
    dk_drain_begin(&drain, receiver, INT64_C(1) << 30, 0);
    dk_drain_set_low_water(&drain);

    int buffer = 0, mark = 0;
    socklen_t len = sizeof buffer;

    CU_ASSERT_EQUAL(getsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &buffer, &len), 0);
    CU_ASSERT_EQUAL(getsockopt(receiver, SOL_SOCKET, SO_RCVLOWAT, &mark, &len), 0);
    CU_ASSERT_EQUAL(mark, drain.low_water_bytes);
    CU_ASSERT_TRUE(mark > 1 && mark <= buffer / 8);
    // The rest of a body that is shorter than the mark must still wake the loop.
    drain.body_left_bytes = 1000;
    dk_drain_set_low_water(&drain);
    CU_ASSERT_EQUAL(getsockopt(receiver, SOL_SOCKET, SO_RCVLOWAT, &mark, &len), 0);
    CU_ASSERT_EQUAL(mark, 1);
    close(sender);
    close(receiver);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(plain_bodies_are_counted_to_the_byte),
        DK_CASE(records_are_counted_without_their_overhead),
        DK_CASE(what_is_no_body_is_noticed),
        DK_CASE(the_end_of_the_connection_is_seen),
        DK_CASE(low_water_stays_in_its_bounds),
        {0},
    };

    return dk_harness_main(argc, argv, "drain", cases);
}
