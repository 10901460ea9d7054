// SPDX-License-Identifier: Apache-2.0
#include "probes/conditions.h"
#include "tests/harness/harness.h"

#include <string.h>

#define TEXT(literal) literal, sizeof literal - 1

static void ticks_are_read_for_each_cpu(void)
{
    static const char stat[] = "cpu  30 0 30 240 30 3 27 0 0 0\n"
                               "cpu0 10 1 10 80 9 1 8 4 5 0\n"
                               "cpu3 20 0 20 160 21 2 19 1 0 0\n"
                               "intr 12345 0 0 1\nctxt 5\nbtime 1700000000\n";
    struct dk_cpu_ticks cpus[DK_CPUS_MAX];

    CU_ASSERT_TRUE(dk_cpu_ticks_parse(TEXT(stat), cpus));
    CU_ASSERT_EQUAL(cpus[0].total, 123);
    CU_ASSERT_EQUAL(cpus[0].idle, 89);
    CU_ASSERT_EQUAL(cpus[0].interrupts, 9);
    CU_ASSERT_EQUAL(cpus[1].total, 0);
    CU_ASSERT_EQUAL(cpus[3].total, 243);
    CU_ASSERT_EQUAL(cpus[3].interrupts, 21);
}

static void ticks_that_are_not_numbers_are_refused(void)
{
    static const char *const wrong[] = {
        "",
        "cpu 1 2 3 4 5 6 7 8\n",
        "cpu0 1 2 3 4 5 6 7\n",
        "cpu0 1 2 3 4 5 6 7 x\n",
        "cpu0 1 2 3 4 5 6 7 -8\n",
        "cpu0 1 2 3 4 5 6 7 08\n",
        "cpux 1 2 3 4 5 6 7 8\n",
        "cpu0x 1 2 3 4 5 6 7 8\n",
        "cpu0 1 2 3 4 5 6 7 9999999999999999999\n",
        "cpu0 9223372036854775807 1 3 4 5 6 7 8\n",
        "cpu0 1 2 3 4 5 6 7 8\ncpu1 1 2\n",
        "cpu256 1 2 3 4 5 6 7 8\n",
        "cpu99999999999999999999999 1 2 3 4 5 6 7 8\n",
    };
    struct dk_cpu_ticks cpus[DK_CPUS_MAX];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CU_ASSERT_FALSE(dk_cpu_ticks_parse(wrong[i], strlen(wrong[i]), cpus));
}

static void a_counter_is_found_by_its_name(void)
{
    static const char netstat[] = "TcpExt: A TCPToZeroWindowAdv B\nTcpExt: 1 42 3\n"
                                  "IpExt: X TCPToZeroWindowAdv\nIpExt: 7 8\nMPTcpExt: A\nMPTcpExt: 9\n";
    static const struct {
        const char *group, *name;
        int64_t value;
    } rows[] = {
        {"TcpExt:", "TCPToZeroWindowAdv", 42}, {"IpExt:", "TCPToZeroWindowAdv", 8}, {"TcpExt:", "A", 1},
        {"MPTcpExt:", "A", 9},                 {"TcpExt:", "B", 3},                 {"TcpExt:", "TCPToZero", -1},
        {"TcpExt:", "X", -1},                  {"Tcp:", "A", -1},                   {"TcpExt:", "TcpExt:", -1},
    };
    static const char *const wrong[] = {
        "",
        "TcpExt: A",
        "TcpExt: A\n",
        "TcpExt: A\nTcpExt:\n",
        "TcpExt: A\nIpExt: 1\n",
        "TcpExt: A\nTcpExt: x\n",
        "TcpExt: A\nTcpExt: -1\n",
        "TcpExt: A\nTcpExt: 99999999999999999999\n",
        "TcpExt: Z A\nTcpExt: 1\n",
        "TcpExt: A\n\nTcpExt: 1\n",
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(dk_netstat_parse(TEXT(netstat), rows[i].group, rows[i].name), rows[i].value);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CU_ASSERT_EQUAL(dk_netstat_parse(wrong[i], strlen(wrong[i]), "TcpExt:", "A"), -1);
}

static void single_numbers_are_read_strictly(void)
{
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("0\n")), 0);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("9223372036854775807\n")), INT64_MAX);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("")), -1);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("\n")), -1);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("1")), -1);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("1\n\n")), -1);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT(" 1\n")), -1);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("-1\n")), -1);
    CU_ASSERT_EQUAL(dk_counter_parse(TEXT("9223372036854775808\n")), -1);
    CU_ASSERT_EQUAL(dk_schedstat_wait_parse(TEXT("123 456 7\n")), 456);
    CU_ASSERT_EQUAL(dk_schedstat_wait_parse(TEXT("123 456\n")), -1);
    CU_ASSERT_EQUAL(dk_schedstat_wait_parse(TEXT("123 x 7\n")), -1);
    CU_ASSERT_EQUAL(dk_schedstat_wait_parse(TEXT("")), -1);
}

static void late_looks_are_counted(void)
{
    struct dk_conditions_watch watch = {.running = true};
    static const int64_t late_us[] = {0, 20000, 20001, 400000, 1000};

    for (size_t i = 0; i < sizeof late_us / sizeof late_us[0]; i++)
        dk_conditions_look(&watch, (struct dk_mono){1000}, (struct dk_mono){1000 + late_us[i] * DK_NS_PER_US});
    CU_ASSERT_EQUAL(watch.result.looks, 5);
    CU_ASSERT_EQUAL(watch.result.looks_late, 2);
    CU_ASSERT_EQUAL(watch.result.late_max_ns, 400 * DK_NS_PER_MS);
}

static void own_bytes_are_an_upper_bound(void)
{
    struct dk_tcp_stream streams[2] = {
        {.mss_bytes = 1000, .received_bytes = 600000, .acked_bytes = 500, .sent_bytes = 700, .segments_in = 600,
         .segments_out = 300},
        {.mss_bytes = 1000, .received_bytes = 500000, .acked_bytes = 500, .sent_bytes = 500, .segments_in = 500,
         .segments_out = 200}};
    struct dk_conditions c = {0};

    dk_conditions_own(&c, 1000000, 0, streams, 2);
    CU_ASSERT_EQUAL(c.own_received_bytes, 1100000 + 1100 * 90);
    CU_ASSERT_EQUAL(c.own_sent_bytes, 1200 + 500 * 90);
    // More payload than TCP remembers: a connection was replaced.
    dk_conditions_own(&c, 2000000, 0, streams, 2);
    CU_ASSERT_EQUAL(c.own_received_bytes, 2020000 + 2001 * 90);
    CU_ASSERT_EQUAL(c.own_sent_bytes, 2001 * 90);
    dk_conditions_own(&c, 0, 2000000, streams, 2);
    CU_ASSERT_EQUAL(c.own_sent_bytes, 2020000 + 2001 * 90);
    streams[1].segments_in = -1;
    dk_conditions_own(&c, 1000000, 0, streams, 2);
    CU_ASSERT_EQUAL(c.own_received_bytes, 1010000 + 1001 * 90);
}

// A busy loop, seen from outside.
static void this_machine_is_read(void)
{
    struct dk_conditions_watch watch;
    struct dk_mono end;
    volatile unsigned turns = 0;

    dk_conditions_start(&watch, "lo");
    end = dk_mono_add_ns(dk_mono_now(), 200 * DK_NS_PER_MS);
    while (dk_mono_now().ns < end.ns)
        turns = turns + 1;
    dk_conditions_stop(&watch);
    CU_ASSERT_TRUE(watch.result.duration_ns >= 200 * DK_NS_PER_MS);
    CU_ASSERT_TRUE(watch.result.agent_cpu_ns > 0);
    CU_ASSERT_TRUE(watch.result.agent_cpu_ns <= watch.result.duration_ns + 50 * DK_NS_PER_MS);
    CU_ASSERT_TRUE(watch.result.cpu_busiest_ppm >= 0 && watch.result.cpu_busiest_ppm <= 1000000);
    CU_ASSERT_TRUE(watch.result.received_bytes >= 0);

    int64_t duration_ns = watch.result.duration_ns;

    dk_conditions_stop(&watch);
    CU_ASSERT_EQUAL(watch.result.duration_ns, duration_ns);
    dk_conditions_start(&watch, "");
    dk_conditions_stop(&watch);
    CU_ASSERT_EQUAL(watch.result.received_bytes, -1);
    dk_conditions_start(&watch, "no such if");
    dk_conditions_stop(&watch);
    CU_ASSERT_EQUAL(watch.result.sent_bytes, -1);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(ticks_are_read_for_each_cpu),
        DK_CASE(ticks_that_are_not_numbers_are_refused),
        DK_CASE(a_counter_is_found_by_its_name),
        DK_CASE(single_numbers_are_read_strictly),
        DK_CASE(late_looks_are_counted),
        DK_CASE(own_bytes_are_an_upper_bound),
        DK_CASE(this_machine_is_read),
        {0},
    };

    return dk_harness_main(argc, argv, "conditions", cases);
}
