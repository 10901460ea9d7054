// SPDX-License-Identifier: Apache-2.0
//
// The STAMP sender against reflectors in the same process, good and bad, on one loop and the loopback
// interface.
#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "probes/stamp/reflector.h"
#include "probes/stamp/stamp.h"
#include "tests/harness/harness.h"

// What the far end does with the request of a sequence number.
typedef void behaviour(int fd, struct dk_datagram *request, uint32_t sequence);

struct far_end {
    struct dk_loop *loop;
    int fd;
    char address[64]; // HOST:PORT
    struct dk_reflector *reflector;
    behaviour *behave;
};

static void far_end_open(struct far_end *end, int family, uint16_t port)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *own = family == AF_INET6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = family == AF_INET6 ? sizeof v6 : sizeof v4;

    *end = (struct far_end){.fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (end->fd >= 0 && (bind(end->fd, own, len) != 0 || getsockname(end->fd, own, &len) != 0)) {
        close(end->fd);
        end->fd = -1;
    }
    snprintf(end->address, sizeof end->address, family == AF_INET6 ? "[::1]:%d" : "127.0.0.1:%d",
             ntohs(family == AF_INET6 ? v6.sin6_port : v4.sin_port));
    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&end->loop, NULL), DK_OK);
}

static void far_end_close(struct far_end *end)
{
    dk_reflector_free(end->reflector);
    if (end->fd >= 0)
        close(end->fd);
    dk_loop_free(end->loop);
}

static void on_request(void *argument, short events)
{
    struct far_end *end = argument;
    struct dk_datagram request;

    (void)events;
    if (end->reflector != NULL) {
        dk_reflector_serve(end->reflector);
        return;
    }
    while (dk_datagram_receive(end->fd, &request) == 1) {
        struct dk_stamp_request in = {0};

        CU_ASSERT_TRUE(dk_stamp_get_request(request.data, request.len, &in));
        CU_ASSERT_TRUE(request.len == DK_STAMP_SIZE + DK_STAMP_QUESTION_SIZE || request.len == DK_STAMP_SIZE);
        if (end->behave != NULL)
            end->behave(end->fd, &request, in.sequence);
    }
}

// Answers properly, with T2 as the kernel says.
static void answer(int fd, struct dk_datagram *request)
{
    uint8_t out[DK_DATAGRAM_MAX];
    struct dk_stamp_request in = {0};
    const struct dk_stamp_reflection reflection = {.received = dk_stamp_from_wall(request->received),
                                                   .sent = dk_stamp_from_wall(dk_wall_now()),
                                                   .error_estimate = 0x0101,
                                                   .ttl = request->ttl};

    CU_ASSERT_TRUE(dk_stamp_accept(request->data, request->len, NULL, &in));
    CU_ASSERT_TRUE(dk_stamp_reflect(&in, request->data, request->len, NULL, &reflection, out));
    CU_ASSERT_TRUE(dk_datagram_answer(fd, request, out, request->len, false));
}

static struct dk_plan plan_for(const char *stamp)
{
    return (struct dk_plan){
        .stamp = stamp,
        .interface = "",
        .family = DK_FAMILY_ANY,
        .connect_timeout_ns = 2 * DK_NS_PER_S,
        .latency_count = 20,
        .latency_interval_ns = 2 * DK_NS_PER_MS,
        .latency_timeout_ns = 500 * DK_NS_PER_MS,
    };
}

// Runs the probe to its end on the loop of the far end.
static struct dk_latency measure(struct far_end *end, const struct dk_plan *plan, const char *server)
{
    struct dk_measurement out = {0};
    struct dk_probe_run *run = NULL;

    snprintf(out.server.address, sizeof out.server.address, "%s", server);
    if (end->fd >= 0) {
        CU_ASSERT_EQUAL_FATAL(dk_loop_watch(end->loop, end->fd, POLLIN, on_request, end), DK_OK);
    }
    CU_ASSERT_EQUAL_FATAL(dk_probe_stamp.start(end->loop, plan, &out, &run, NULL), DK_OK);

    struct dk_mono deadline =
        dk_mono_add_ns(dk_mono_now(), dk_probe_stamp.max_duration_ns(plan) + 20 * DK_NS_PER_S);

    while (!dk_probe_stamp.done(run) && dk_mono_now().ns < deadline.ns) {
        struct dk_progress progress = {0};

        CU_ASSERT_EQUAL_FATAL(dk_loop_turn(end->loop, deadline), DK_OK);
        dk_probe_stamp.progress(run, &progress);
        CU_ASSERT_TRUE(progress.bytes <= dk_probe_stamp.max_bytes(plan) * 2);
    }
    CU_ASSERT_TRUE(dk_probe_stamp.done(run));
    dk_probe_stamp.fill(run, &out);
    dk_probe_stamp.free(run);
    CU_ASSERT_EQUAL(out.latency_idle.sent, out.latency_idle.received + out.latency_idle.lost);
    CU_ASSERT_EQUAL(out.data_used_bytes > 0, out.latency_idle.sent > 0);
    CU_ASSERT_PTR_NOT_NULL(out.latency_idle.series_ns);

    struct dk_latency copy = out.latency_idle;

    copy.series_ns = NULL;
    dk_measurement_free(&out);
    return copy;
}

static void measures_against_our_reflector(void)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < 2; i++) {
        struct far_end end;

        far_end_open(&end, families[i], 0);
        if (end.fd >= 0) { // a machine may have no IPv6
            CU_ASSERT_EQUAL_FATAL(dk_reflector_new(end.fd, 1000, NULL, &end.reflector, NULL), DK_OK);

            struct dk_plan plan = plan_for(end.address);
            struct dk_latency r = measure(&end, &plan, "");

            CU_ASSERT_EQUAL(r.status, DK_STATUS_OK);
            CU_ASSERT_EQUAL(r.method, DK_METHOD_STAMP);
            CU_ASSERT_STRING_EQUAL(r.reason, "");
            CU_ASSERT_EQUAL(r.sent, 20);
            CU_ASSERT_EQUAL(r.received, 20);
            CU_ASSERT_TRUE(r.duplicate == 0 && r.reordered == 0 && r.late == 0 && r.foreign == 0);
            CU_ASSERT_TRUE(0 < r.rtt_median_ns && r.rtt_max_ns < DK_NS_PER_S && r.ipdv_mean_ns >= 0);
            CU_ASSERT_TRUE(0 < r.rtt_p99_ns && r.rtt_p99_ns <= r.rtt_max_ns);
            CU_ASSERT_TRUE(r.timestamps != DK_TIMESTAMPS_USER); // the kernel's but for what it leaves out
            CU_ASSERT_TRUE(0 <= r.send_late_median_ns && r.send_late_median_ns <= r.send_late_max_ns);
            CU_ASSERT_TRUE(r.send_late_max_ns < DK_NS_PER_S);
            CU_ASSERT_EQUAL(r.interval_ns, plan.latency_interval_ns);
            CU_ASSERT_EQUAL(r.timeout_ns, plan.latency_timeout_ns);
        }
        far_end_close(&end);
    }
}

// With the same key it works; with none, or another one, on one side nobody is answered, or believed.
static void a_key_must_be_the_same_on_both_sides(void)
{
    static const char *const texts[] = {"", "000102030405060708090a0b0c0d0e0f", "100102030405060708090a0b0c0d0e0f"};
    char paths[3][PATH_MAX] = {""};

    for (size_t i = 1; i < 3; i++) {
        char name[] = {'k', (char)('0' + i), '\0'};

        snprintf(paths[i], sizeof paths[i], "%s/%s", dk_harness_directory(), name);
        CU_ASSERT_EQUAL_FATAL(
            dk_file_write(dk_harness_directory(), name, texts[i], strlen(texts[i]), DK_WRITE_NEW, NULL), DK_OK);
    }
    for (size_t near = 0; near < 3; near++)
        for (size_t far = 0; far < 3; far++) {
            struct far_end end;
            struct dk_stamp_key key = {0};

            far_end_open(&end, AF_INET, 0);
            if (far > 0) {
                CU_ASSERT_EQUAL_FATAL(dk_stamp_key_read(paths[far], &key, NULL), DK_OK);
            }
            CU_ASSERT_EQUAL_FATAL(dk_reflector_new(end.fd, 1000, far > 0 ? &key : NULL, &end.reflector, NULL), DK_OK);

            struct dk_plan plan = plan_for(end.address);

            plan.stamp_key_file = paths[near];
            plan.latency_count = 3;
            plan.latency_timeout_ns = 50 * DK_NS_PER_MS;

            struct dk_latency r = measure(&end, &plan, "");

            CU_ASSERT_EQUAL(r.status, near == far ? DK_STATUS_OK : DK_STATUS_FAILED);
            CU_ASSERT_EQUAL(r.received, near == far ? 3 : 0);
            // A reflector without a key answers what it does not understand; that is not believed.
            CU_ASSERT_EQUAL(r.foreign, near > 0 && far == 0 ? 3 : 0);
            if (near > 0 && near != far) {
                CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "with our key"));
            }
            far_end_close(&end);
        }

    struct far_end end;

    far_end_open(&end, AF_INET, 0);

    struct dk_plan plan = plan_for(end.address);

    plan.stamp_key_file = "/no/such/key";

    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "/no/such/key"));
    CU_ASSERT_EQUAL(r.sent, 0);
    far_end_close(&end);
}

static void send_altered(int fd, struct dk_datagram *request, size_t at, uint8_t flip, size_t len)
{
    uint8_t out[DK_DATAGRAM_MAX] = {0};
    struct dk_stamp_request in = {0};
    const struct dk_stamp_reflection reflection = {.error_estimate = 0x0101, .ttl = 1};

    CU_ASSERT_TRUE(dk_stamp_accept(request->data, request->len, NULL, &in));
    CU_ASSERT_TRUE(dk_stamp_reflect(&in, request->data, request->len, NULL, &reflection, out));
    out[at] ^= flip;
    CU_ASSERT_TRUE(dk_datagram_answer(fd, request, out, len, false));
}

// A stateful reflector: packets of the first list are lost before it, answers to those of the second behind it. It
// says of each answer, with the next, that it left 300 us later than it had said.
static struct {
    uint32_t next;
    uint64_t sent;
} state;

enum { FOLLOWED_NS = 300'000 };

static bool is_in(const uint32_t *list, uint32_t sequence)
{
    while (*list != 0 && *list != sequence)
        list++;
    return *list != 0;
}

static void answer_with_state(int fd, struct dk_datagram *request, uint32_t sequence)
{
    static const uint32_t forward[] = {3, 4, 9, 0}, back[] = {5, 11, 0};
    uint8_t out[DK_DATAGRAM_MAX];
    struct dk_stamp_request in = {0};
    struct dk_stamp_reflection reflection = {.stateful = true,
                                             .sequence = state.next,
                                             .received = dk_stamp_from_wall(request->received),
                                             .sent = dk_stamp_from_wall(dk_wall_now()),
                                             .error_estimate = 0x0101,
                                             .tlvs = {{state.next > 0, state.next - 1, state.sent}, {4, 1, 4, 1}}};

    if (is_in(forward, sequence))
        return;
    state.next++;
    state.sent = reflection.sent + ((uint64_t)FOLLOWED_NS << 32) / (uint64_t)DK_NS_PER_S;
    CU_ASSERT_TRUE(dk_stamp_accept(request->data, request->len, NULL, &in));
    CU_ASSERT_TRUE(dk_stamp_reflect(&in, request->data, request->len, NULL, &reflection, out));
    if (is_in(back, sequence))
        return;
    // It really leaves that much later.
    for (struct dk_mono until = dk_mono_add_ns(dk_mono_now(), FOLLOWED_NS); dk_mono_now().ns < until.ns;)
        ;
    CU_ASSERT_TRUE(dk_datagram_answer(fd, request, out, request->len, false));
}

static void splits_loss_and_believes_follow_ups(void)
{
    struct far_end end;

    far_end_open(&end, AF_INET, 0);
    dk_datagram_prepare(end.fd, AF_INET, DK_SENDINGS_NONE);
    end.behave = answer_with_state;
    state.next = 0;

    struct dk_plan plan = plan_for(end.address);
    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_OK);
    CU_ASSERT_EQUAL(r.lost, 5);
    CU_ASSERT_TRUE(r.directed);
    CU_ASSERT_EQUAL(r.lost_forward, 3);
    CU_ASSERT_EQUAL(r.lost_return, 2);
    CU_ASSERT_STRING_EQUAL(r.reflector_clock, "gnss");
    CU_ASSERT_STRING_EQUAL(r.reflector_timestamps, "hardware");
    // All but those whose follow-up was lost, or is still to come, are without the delay of the reflector.
    CU_ASSERT_TRUE(r.rtt_min_ns < FOLLOWED_NS);
    CU_ASSERT_TRUE(r.rtt_max_ns >= FOLLOWED_NS);
    far_end_close(&end);
}

static void answer_bare(int fd, struct dk_datagram *request, uint32_t sequence)
{
    (void)sequence;
    if (request->len == DK_STAMP_SIZE)
        answer(fd, request);
}

static void a_reflector_without_extensions_is_asked_without(void)
{
    struct far_end end;

    far_end_open(&end, AF_INET, 0);
    end.behave = answer_bare;

    struct dk_plan plan = plan_for(end.address);

    plan.latency_count = 25;
    plan.latency_interval_ns = 20 * DK_NS_PER_MS;

    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_OK);
    CU_ASSERT_TRUE(r.received >= 5 && r.lost >= 10);
    CU_ASSERT_FALSE(r.directed);
    CU_ASSERT_STRING_EQUAL(r.reflector_clock, "");
    far_end_close(&end);
}

static struct dk_datagram held;

static void behave_badly(int fd, struct dk_datagram *request, uint32_t sequence)
{
    switch (sequence) {
    case 1: // lost
        return;
    case 2: // three times
        answer(fd, request);
        answer(fd, request);
        answer(fd, request);
        return;
    case 3: // overtaken by the next
        held = *request;
        return;
    case 4:
        answer(fd, request);
        answer(fd, &held);
        return;
    case 5: // forged: not our timestamp
        send_altered(fd, request, 35, 1, DK_STAMP_SIZE);
        return;
    case 6: // cut short, then whole
        send_altered(fd, request, 0, 0, DK_STAMP_SIZE - 1);
        answer(fd, request);
        return;
    case 7: // a number that was never sent
        send_altered(fd, request, 24, 0x80, DK_STAMP_SIZE);
        answer(fd, request);
        return;
    case 8: // T3 − T2 cannot be: minus and plus about an hour
        send_altered(fd, request, 6, 0x10, DK_STAMP_SIZE);
        return;
    case 9:
        send_altered(fd, request, 18, 0x10, DK_STAMP_SIZE);
        return;
    case 10: // nothing, and too much
        CU_ASSERT_TRUE(dk_datagram_answer(fd, request, request->data, 0, false));
        send_altered(fd, request, 0, 0, DK_DATAGRAM_MAX);
        return;
    default:
        answer(fd, request);
    }
}

static void counts_what_a_bad_network_does(void)
{
    struct far_end end;

    far_end_open(&end, AF_INET, 0);
    dk_datagram_prepare(end.fd, AF_INET, DK_SENDINGS_NONE);
    end.behave = behave_badly;

    struct dk_plan plan = plan_for(end.address);
    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_OK);
    CU_ASSERT_EQUAL(r.sent, 20);
    CU_ASSERT_EQUAL(r.lost, 2); // 1 and 5
    CU_ASSERT_EQUAL(r.duplicate, 2);
    CU_ASSERT_EQUAL(r.reordered, 1);
    CU_ASSERT_EQUAL(r.foreign, 4); // 5, 6, 7 and the empty one of 10
    CU_ASSERT_EQUAL(r.late, 0);
    CU_ASSERT_TRUE(0 <= r.rtt_min_ns && r.rtt_max_ns < DK_NS_PER_S);
    far_end_close(&end);
}

static void answer_the_first_twice_after_the_sixth(int fd, struct dk_datagram *request, uint32_t sequence)
{
    if (sequence == 0)
        held = *request;
    else
        answer(fd, request);
    if (sequence == 5) {
        answer(fd, &held);
        answer(fd, &held);
    }
}

static void late_answers_are_lost(void)
{
    struct far_end end;

    far_end_open(&end, AF_INET, 0);
    end.behave = answer_the_first_twice_after_the_sixth;

    struct dk_plan plan = plan_for(end.address);

    plan.latency_count = 10;
    plan.latency_interval_ns = 20 * DK_NS_PER_MS;
    plan.latency_timeout_ns = 60 * DK_NS_PER_MS;

    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_OK);
    CU_ASSERT_TRUE(r.late >= 1);
    CU_ASSERT_TRUE(r.lost >= r.late);
    CU_ASSERT_EQUAL(r.duplicate, 1); // of a late one: not late a second time
    far_end_close(&end);
}

static struct far_end *holder;
static struct dk_datagram queue[20];
static size_t queued;

static void release(void *argument, struct dk_mono now)
{
    (void)argument;
    (void)now;
    for (size_t i = 0; i < queued; i++)
        answer(holder->fd, &queue[i]);
    queued = 0;
}

static void hold(int fd, struct dk_datagram *request, uint32_t sequence)
{
    (void)fd;
    (void)sequence;
    queue[queued++] = *request;
    if (queued == 1) {
        CU_ASSERT_EQUAL(dk_loop_set_timer(holder->loop, dk_mono_add_ns(dk_mono_now(), 100 * DK_NS_PER_MS),
                                          release, holder),
                        DK_OK);
    }
}

static void time_in_the_reflector_is_not_round_trip_time(void)
{
    struct far_end end;

    far_end_open(&end, AF_INET, 0);
    dk_datagram_prepare(end.fd, AF_INET, DK_SENDINGS_NONE);
    end.behave = hold;
    holder = &end;

    struct dk_plan plan = plan_for(end.address);
    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.received, 20);
    CU_ASSERT_TRUE(r.rtt_median_ns < 20 * DK_NS_PER_MS); // the first was held for 100 ms, the last for 60 ms
    far_end_close(&end);
}

static void silence_is_a_result(void)
{
    struct far_end end;

    far_end_open(&end, AF_INET, 0);

    struct dk_plan plan = plan_for(end.address);

    plan.latency_count = 3;
    plan.latency_timeout_ns = 50 * DK_NS_PER_MS;

    struct dk_latency r = measure(&end, &plan, "");

    CU_ASSERT_EQUAL(r.status, DK_STATUS_FAILED);
    CU_ASSERT_EQUAL(r.lost, 3);
    CU_ASSERT_EQUAL(r.rtt_min_ns, -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, end.address));
    far_end_close(&end);
}

static void an_optional_reflector_is_given_up(void)
{
    struct far_end end;
    struct dk_plan plan = plan_for("auto");

    plan.latency_count = 1000;
    far_end_open(&end, AF_INET, DK_STAMP_PORT);

    // Silent when the port can be had (as root), else refused, since nobody has it.
    struct dk_mono before = dk_mono_now();
    struct dk_latency r = measure(&end, &plan, "127.0.0.1");
    int64_t took_ns = dk_mono_diff_ns(dk_mono_now(), before);

    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "no STAMP reflector answered at 127.0.0.1:862"));
    CU_ASSERT_TRUE(r.sent < 1000);
    if (end.fd >= 0) {
        CU_ASSERT_TRUE(took_ns >= 600 * DK_NS_PER_MS);
    }
    far_end_close(&end);

    // Refused: at once.
    far_end_open(&end, AF_INET, 0);
    close(end.fd);
    end.fd = -1;
    plan.latency_count = 20;
    plan.stamp = end.address;
    r = measure(&end, &plan, "");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, "refused"));
    far_end_close(&end);

    far_end_open(&end, AF_INET, 0);
    plan.stamp = "auto";
    r = measure(&end, &plan, "");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    plan.stamp = "off";
    r = measure(&end, &plan, "127.0.0.1");
    CU_ASSERT_EQUAL(r.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(r.sent, 0);
    far_end_close(&end);
}

static void what_cannot_be_reached_says_why(void)
{
    static const struct {
        const char *stamp, *interface, *reason;
    } cases[] = {
        {"", "", "HOST"},
        {"a b", "", "HOST"},
        {"127.0.0.1:0", "", "HOST"},
        {"127.0.0.1:99999", "", "HOST"},
        {"127.0.0.1:862x", "", "HOST"},
        {"[::1", "", "HOST"},
        {"127.0.0.1:9", "no-such-if", "no-such-if"},
    };
    struct far_end end;

    far_end_open(&end, AF_INET, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dk_plan plan = plan_for(cases[i].stamp);

        plan.interface = cases[i].interface;

        struct dk_latency r = measure(&end, &plan, "");

        CU_ASSERT_EQUAL(r.status, DK_STATUS_FAILED);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.reason, cases[i].reason));
        CU_ASSERT_EQUAL(r.sent, 0);
    }
    far_end_close(&end);
}

static void cancelling_keeps_the_counts(void)
{
    struct far_end end;
    struct dk_probe_run *run = NULL;
    struct dk_measurement out = {0};

    far_end_open(&end, AF_INET, 0);

    struct dk_plan plan = plan_for(end.address);

    CU_ASSERT_EQUAL_FATAL(dk_probe_stamp.start(end.loop, &plan, &out, &run, NULL), DK_OK);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(dk_loop_turn(end.loop, dk_mono_add_ns(dk_mono_now(), 5 * DK_NS_PER_MS)), DK_OK);
    dk_probe_stamp.cancel(run, "interrupted");
    CU_ASSERT_TRUE(dk_probe_stamp.done(run));
    dk_probe_stamp.fill(run, &out);
    dk_probe_stamp.free(run);
    dk_probe_stamp.free(NULL);
    CU_ASSERT_EQUAL(out.latency_idle.status, DK_STATUS_FAILED);
    CU_ASSERT_STRING_EQUAL(out.latency_idle.reason, "interrupted");
    CU_ASSERT_EQUAL(out.latency_idle.sent, out.latency_idle.lost);
    dk_measurement_free(&out);
    far_end_close(&end);
}

// The moments are random, and nothing else is: gap.c has its own tests.
static void sends_at_random_where_that_was_asked_for(void)
{
    struct far_end end;
    struct dk_plan plan;

    far_end_open(&end, AF_INET, 0);
    CU_ASSERT_EQUAL_FATAL(dk_reflector_new(end.fd, 1000, NULL, &end.reflector, NULL), DK_OK);
    plan = plan_for(end.address);
    for (int poisson = 0; poisson < 2; poisson++) {
        plan.latency_sampling = poisson == 1 ? DK_SAMPLING_POISSON : DK_SAMPLING_PERIODIC;

        struct dk_latency r = measure(&end, &plan, "");

        CU_ASSERT_EQUAL(r.status, DK_STATUS_OK);
        CU_ASSERT_EQUAL(r.sampling, plan.latency_sampling);
        CU_ASSERT_EQUAL(r.sent, 20);
        CU_ASSERT_EQUAL(r.interval_ns, 2 * DK_NS_PER_MS);
        CU_ASSERT_TRUE(r.send_late_median_ns >= 0);
    }
    // There is time for what chance may ask for.
    int64_t random_ns = dk_probe_stamp.max_duration_ns(&plan);

    plan.latency_sampling = DK_SAMPLING_PERIODIC;
    CU_ASSERT_EQUAL(random_ns - dk_probe_stamp.max_duration_ns(&plan), 30 * plan.latency_interval_ns);
    far_end_close(&end);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(measures_against_our_reflector),
                                           DK_CASE(a_key_must_be_the_same_on_both_sides),
                                           DK_CASE(splits_loss_and_believes_follow_ups),
                                          DK_CASE(a_reflector_without_extensions_is_asked_without),
                                          DK_CASE(counts_what_a_bad_network_does),
                                           DK_CASE(late_answers_are_lost),
                                           DK_CASE(time_in_the_reflector_is_not_round_trip_time),
                                           DK_CASE(silence_is_a_result),
                                           DK_CASE(an_optional_reflector_is_given_up),
                                           DK_CASE(what_cannot_be_reached_says_why),
                                           DK_CASE(cancelling_keeps_the_counts),
                                           DK_CASE(sends_at_random_where_that_was_asked_for),
                                           {0}};

    return dk_harness_main(argc, argv, "stamp_sender", cases);
}
