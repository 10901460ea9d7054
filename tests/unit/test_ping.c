// SPDX-License-Identifier: Apache-2.0
//
// ICMP echo packets, and the probes "icmp" and "tcp" on the loopback interface.
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probes/ping/echo.h"
#include "probes/ping/ping.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void request_is_as_rfc_792_draws_it(void)
{
    struct dk_echo echo = {0x1234, 0x00010203, UINT64_C(0xa1a2a3a4a5a6a7a8)};
    static const uint8_t head[] = {8,    0,    0,    0,    0x12, 0x34, 0x02, 0x03, 0xa1, 0xa2,
                                   0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0x00, 0x01, 0x02, 0x03, 0, 1, 2};
    uint8_t out[DK_ECHO_SIZE];
    uint32_t sum = 0;

    dk_echo_put_request(&echo, true, out);
    CU_ASSERT_EQUAL(out[0], 128);
    CU_ASSERT_TRUE(out[2] == 0 && out[3] == 0);
    dk_echo_put_request(&echo, false, out);
    for (size_t i = 0; i < DK_ECHO_SIZE; i += 2)
        sum += (uint32_t)out[i] << 8 | out[i + 1];
    CU_ASSERT_EQUAL((sum & 0xffff) + (sum >> 16), 0xffff); // RFC 1071
    out[2] = out[3] = 0;
    CU_ASSERT_EQUAL(memcmp(out, head, sizeof head), 0);
}

// What a host answers to a request: the type becomes `type`, and the IPv4 checksum follows (RFC 1624).
static void answer_to(const struct dk_echo *echo, bool ipv6, uint8_t out[static DK_ECHO_SIZE])
{
    dk_echo_put_request(echo, ipv6, out);
    if (ipv6) {
        out[0] = 129;
        return;
    }

    uint32_t sum = ((uint32_t)out[2] << 8 | out[3]) + 0x0800;

    sum = (sum & 0xffff) + (sum >> 16);
    out[0] = 0;
    out[2] = (uint8_t)(sum >> 8);
    out[3] = (uint8_t)sum;
}

static void only_answers_to_our_requests_are_read(void)
{
    for (int round = 0; round < 500; round++) {
        bool ipv6 = round % 2 == 0, header = !ipv6 && round % 4 == 1;
        size_t at = header ? 20 + 4 * (size_t)dk_random_between(0, 10) : 0;
        struct dk_echo echo = {(uint16_t)dk_random(), (uint32_t)dk_random(), dk_random()}, back = {0};
        uint8_t in[60 + DK_ECHO_SIZE + 1] = {0};

        in[0] = (uint8_t)(0x40 | at / 4);
        in[9] = 1;
        answer_to(&echo, ipv6, in + at);
        CU_ASSERT_TRUE(dk_echo_get_answer(in, at + DK_ECHO_SIZE, ipv6, header, &back));
        CU_ASSERT_EQUAL(back.identifier, echo.identifier);
        CU_ASSERT_EQUAL(back.number, echo.number);
        CU_ASSERT_EQUAL(back.token, echo.token);

        // Cut anywhere, longer, or with any bit of it turned over: refused. The IPv6 checksum is the kernel's.
        size_t len = (size_t)dk_random_between(0, (int64_t)(at + DK_ECHO_SIZE - 1));
        size_t bit = (size_t)dk_random_between(0, DK_ECHO_SIZE * 8 - 1);

        CU_ASSERT_FALSE(dk_echo_get_answer(in, len, ipv6, header, &back));
        CU_ASSERT_FALSE(dk_echo_get_answer(in, at + DK_ECHO_SIZE + 1, ipv6, header, &back));
        in[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
        back = (struct dk_echo){0};

        bool taken = dk_echo_get_answer(in, at + DK_ECHO_SIZE, ipv6, header, &back);

        CU_ASSERT_FALSE(taken && !ipv6);
        CU_ASSERT_FALSE(taken && memcmp(&back, &echo, sizeof echo) == 0 && bit / 16 != 1);
    }
}

static void ports_come_from_the_url(void)
{
    static const struct {
        const char *url;
        uint16_t port;
    } cases[] = {
        {"http://a", 80},          {"https://a/x:y", 443},    {"http://a:8080/x", 8080}, {"https://[::1]", 443},
        {"http://[::1]:81/", 81},  {"http://a:1", 1},         {"http://a:65535", 65535}, {"http://a:0", 0},
        {"http://a:65536", 0},     {"http://a:", 0},          {"http://a:8x", 0},        {"http://a:123456", 0},
        {"ftp://a", 0},            {"", 0},                   {"http://[::1]x:81/", 0},  {"http://a?b:1", 80},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        CU_ASSERT_EQUAL(dk_ping_port(cases[i].url), cases[i].port);
}

// Runs a probe to its end.
static struct dk_latency measure(const struct dk_probe *probe, const struct dk_plan *plan, const char *server)
{
    struct dk_measurement out = {0};
    struct dk_loop *loop = NULL;
    struct dk_probe_run *run = NULL;

    snprintf(out.server.address, sizeof out.server.address, "%s", server);
    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(probe->start(loop, plan, &out, &run, NULL), DK_OK);

    struct dk_mono deadline = dk_mono_add_ns(dk_mono_now(), probe->max_duration_ns(plan) + 20 * DK_NS_PER_S);

    while (!probe->done(run) && dk_mono_now().ns < deadline.ns)
        CU_ASSERT_EQUAL_FATAL(dk_loop_turn(loop, deadline), DK_OK);
    CU_ASSERT_TRUE(probe->done(run));
    probe->fill(run, &out);
    probe->free(run);
    dk_loop_free(loop);

    struct dk_latency *r = dk_measurement_latency(&out, plan->phase);

    CU_ASSERT_EQUAL(r->sent, r->received + r->lost);
    CU_ASSERT_TRUE(out.data_used_bytes <= 2 * probe->max_bytes(plan));
    CU_ASSERT_PTR_NOT_NULL(r->series_ns);
    for (int64_t i = 0, lost = 0; i < r->sent; i++) {
        lost += r->series_ns[i] < 0;
        CU_ASSERT_TRUE(r->series_ns[i] >= -1 && r->series_ns[i] <= r->rtt_max_ns);
        CU_ASSERT_TRUE(i + 1 < r->sent || lost == r->lost);
    }

    struct dk_latency copy = *r;

    copy.series_ns = NULL;
    dk_measurement_free(&out);
    return copy;
}

static struct dk_plan plan_for(const char *url, enum dk_method method)
{
    return (struct dk_plan){
        .url = url,
        .interface = "",
        .latency_method = method,
        .phase = DK_PHASE_UPLOAD,
        .latency_count = 10,
        .latency_interval_ns = 2 * DK_NS_PER_MS,
        .latency_timeout_ns = 320 * DK_NS_PER_MS,
    };
}

static void is_right(const struct dk_latency *r, enum dk_method method)
{
    CU_ASSERT_EQUAL(r->status, DK_STATUS_OK);
    CU_ASSERT_STRING_EQUAL(r->reason, "");
    CU_ASSERT_EQUAL(r->method, method);
    CU_ASSERT_EQUAL(r->received, 10);
    CU_ASSERT_TRUE(r->duplicate == 0 && r->late == 0);
    CU_ASSERT_TRUE(r->timestamps != DK_TIMESTAMPS_USER);
    CU_ASSERT_TRUE(0 <= r->rtt_min_ns && r->rtt_max_ns < DK_NS_PER_S);
}

static void icmp_measures_or_says_what_it_needs(void)
{
    static const char *const servers[] = {"127.0.0.1", "::1"};
    struct dk_plan plan = plan_for("", DK_METHOD_ICMP);

    for (size_t i = 0; i < COUNT(servers); i++) {
        struct dk_latency r = measure(&dk_probe_icmp, &plan, servers[i]);

        if (r.status == DK_STATUS_NOT_MEASURED) {
            CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "cap_net_raw"));
        } else if (i == 0 || r.status == DK_STATUS_OK) { // a machine may have no IPv6
            is_right(&r, DK_METHOD_ICMP);
        }
    }

    struct dk_latency r = measure(&dk_probe_icmp, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(r.sent, 0);
}

// The gateway is pinged in its own way, whatever the plan says of the server; its address stays out of the reasons.
static void the_gateway_is_pinged_apart(void)
{
    static const char *const gateways[] = {"127.0.0.1", "::1", "fe80::1%lo", "", "fe80::1%nosuchif0", "no"};
    struct dk_plan plan = plan_for("", DK_METHOD_TCP);

    plan.phase = DK_PHASE_GATEWAY;
    for (size_t i = 0; i < COUNT(gateways); i++) {
        plan.gateway = gateways[i];

        struct dk_latency r = measure(&dk_probe_gateway, &plan, "192.0.2.1");

        if (r.status == DK_STATUS_OK)
            is_right(&r, DK_METHOD_ICMP);
        else if (i == 0)
            CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "cap_net_raw"));
        if (i >= 3) {
            CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
            CU_ASSERT_STRING_EQUAL(r.reason, "there is no gateway on the way to the server");
        }
        CU_ASSERT_PTR_NULL(strstr(r.reason, "::1"));
        CU_ASSERT_PTR_NULL(strstr(r.reason, "127"));
    }

    // One that is the server itself is none.
    plan.gateway = "127.0.0.1";
    CU_ASSERT_EQUAL(measure(&dk_probe_gateway, &plan, "127.0.0.1").sent, 0);
}

static int listening(char url[static 64], int backlog)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof own;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_TRUE_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&own, len) == 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&own, &len), 0);
    snprintf(url, 64, "http://127.0.0.1:%d/x", ntohs(own.sin_port));
    if (backlog >= 0) {
        CU_ASSERT_EQUAL_FATAL(listen(fd, backlog), 0);
    }
    return fd;
}

static void tcp_times_handshakes(void)
{
    char url[64];
    int server = listening(url, 64);
    struct dk_plan plan = plan_for(url, DK_METHOD_TCP);
    struct dk_latency r = measure(&dk_probe_tcp, &plan, "127.0.0.1");

    is_right(&r, DK_METHOD_TCP);
    CU_ASSERT_EQUAL(r.timestamps, DK_TIMESTAMPS_KERNEL);
    CU_ASSERT_EQUAL(r.interval_ns, 10 * DK_NS_PER_MS + 1); // 320 ms / 32: no more than 32 at once
    CU_ASSERT_TRUE(0 < r.rtt_min_ns);
    close(server);
}

static void tcp_says_why_not(void)
{
    char url[64];
    int server = listening(url, -1); // bound, but nobody listens
    struct dk_plan plan = plan_for(url, DK_METHOD_TCP);
    struct dk_latency r = measure(&dk_probe_tcp, &plan, "127.0.0.1");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "refused"));
    CU_ASSERT_EQUAL(r.lost, 10);

    plan.latency_method = DK_METHOD_NONE; // only tried: given up at once
    r = measure(&dk_probe_tcp, &plan, "127.0.0.1");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(r.sent, 1);

    plan.url = "nonsense";
    r = measure(&dk_probe_tcp, &plan, "127.0.0.1");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    plan.url = url;
    r = measure(&dk_probe_tcp, &plan, "");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(r.sent, 0);
    plan.interface = "no-such-if";
    plan.latency_method = DK_METHOD_TCP;
    r = measure(&dk_probe_tcp, &plan, "127.0.0.1");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_FAILED);
    close(server);
}

// A full queue of the server: SYNs are dropped, sent again a second later, and never believed.
static void tcp_does_not_time_what_was_sent_again(void)
{
    char url[64];
    int server = listening(url, 0);
    struct dk_plan plan = plan_for(url, DK_METHOD_TCP);

    plan.latency_timeout_ns = 1500 * DK_NS_PER_MS;

    struct dk_latency r = measure(&dk_probe_tcp, &plan, "127.0.0.1");

    CU_ASSERT_TRUE(r.lost > 0);
    CU_ASSERT_TRUE(r.received == 0 || r.rtt_max_ns < 900 * DK_NS_PER_MS);
    close(server);
}

static void concluding_and_cancelling_end_it(void)
{
    char url[64];
    int server = listening(url, 64);
    struct dk_plan plan = plan_for(url, DK_METHOD_TCP);

    plan.latency_count = 1000;
    for (int how = 0; how < 3; how++) {
        struct dk_measurement out = {.server.address = "127.0.0.1"};
        struct dk_loop *loop = NULL;
        struct dk_probe_run *run = NULL;

        CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_probe_tcp.start(loop, &plan, &out, &run, NULL), DK_OK);
        for (int i = 0; i < 5 && how > 0; i++)
            CU_ASSERT_EQUAL(dk_loop_turn(loop, dk_mono_add_ns(dk_mono_now(), 50 * DK_NS_PER_MS)), DK_OK);
        if (how < 2)
            dk_probe_tcp.conclude(run);
        else
            dk_probe_tcp.cancel(run, "interrupted");
        while (!dk_probe_tcp.done(run))
            CU_ASSERT_EQUAL_FATAL(dk_loop_turn(loop, dk_mono_add_ns(dk_mono_now(), 50 * DK_NS_PER_MS)), DK_OK);
        dk_probe_tcp.fill(run, &out);
        dk_probe_tcp.free(run);
        dk_loop_free(loop);
        CU_ASSERT_EQUAL(out.latency_upload.status, how == 0   ? DK_STATUS_NOT_MEASURED
                                                   : how == 1 ? DK_STATUS_OK
                                                              : DK_STATUS_FAILED);
        CU_ASSERT_TRUE(out.latency_upload.sent < 1000);
        dk_measurement_free(&out);
    }
    close(server);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(request_is_as_rfc_792_draws_it),
                                           DK_CASE(only_answers_to_our_requests_are_read),
                                           DK_CASE(ports_come_from_the_url),
                                           DK_CASE(icmp_measures_or_says_what_it_needs),
        DK_CASE(the_gateway_is_pinged_apart),
                                           DK_CASE(tcp_times_handshakes),
                                           DK_CASE(tcp_says_why_not),
                                           DK_CASE(tcp_does_not_time_what_was_sent_again),
                                           DK_CASE(concluding_and_cancelling_end_it),
                                           {0}};

    return dk_harness_main(argc, argv, "ping", cases);
}
