// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"
#include "probes/responsiveness/rpm.h"
#include "tests/harness/harness.h"

#include <stdint.h>
#include <string.h>

enum { SECONDS_MAX = 20, EACH = 20, SAMPLES_MAX = 5 * SECONDS_MAX };

// A load of 50 ms intervals and the samples beside it, five a second of each kind.
struct test {
    int64_t bytes[SECONDS_MAX * EACH];
    struct dk_foreign foreign[SAMPLES_MAX];
    int64_t rtt_ns[SAMPLES_MAX];
    struct dk_series load;
    struct dk_responsiveness out;
};

static void make(struct test *t, size_t seconds, bool tls, int64_t rtt_ms)
{
    *t = (struct test){.load = {50 * DK_NS_PER_MS, 1, seconds * EACH, t->bytes, {0}},
                       .out = {.completed = (int64_t)seconds * 5,
                               .foreign = t->foreign,
                               .self = {200 * DK_NS_PER_MS, seconds * 5, t->rtt_ns}}};
    for (size_t i = 0; i < seconds * EACH; i++)
        t->bytes[i] = 250000;
    for (size_t i = 0; i < seconds * 5; i++) {
        t->foreign[i] = (struct dk_foreign){(int64_t)i * 200 * DK_NS_PER_MS, rtt_ms * DK_NS_PER_MS,
                                            tls ? rtt_ms * DK_NS_PER_MS : -1, rtt_ms * DK_NS_PER_MS};
        t->rtt_ns[i] = rtt_ms * DK_NS_PER_MS;
    }
}

static const struct dk_responsiveness *compute(struct test *t)
{
    CU_ASSERT_EQUAL_FATAL(dk_rpm_compute(&t->load, &t->out), DK_OK);
    return &t->out;
}

static void a_line_that_does_not_move(void)
{
    static const struct {
        int64_t rtt_ms, rpm;
    } cases[] = {{1, 60000}, {10, 6000}, {60, 1000}, {200, 300}, {3000, 20}};
    struct test t;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int tls = 0; tls < 2; tls++) {
            make(&t, 10, tls == 1, cases[i].rtt_ms);

            const struct dk_responsiveness *r = compute(&t);

            CU_ASSERT_EQUAL(r->status, DK_STATUS_OK);
            CU_ASSERT_EQUAL(r->rpm, cases[i].rpm);
            CU_ASSERT_EQUAL(r->foreign_rpm, cases[i].rpm);
            CU_ASSERT_EQUAL(r->self_rpm, cases[i].rpm);
            CU_ASSERT_EQUAL(r->tls_ns, tls == 1 ? cases[i].rtt_ms * DK_NS_PER_MS : -1);
            // The rate is stable at second 3, and so is responsiveness three seconds later.
            CU_ASSERT_EQUAL(r->confidence, DK_CONFIDENCE_HIGH);
            CU_ASSERT_EQUAL(r->end_ns, 7 * DK_NS_PER_S);
        }
}

static void its_parts_are_weighed(void)
{
    struct test t;

    make(&t, 10, true, 0);
    for (size_t i = 0; i < SAMPLES_MAX; i++) {
        t.foreign[i].tcp_ns = 30 * DK_NS_PER_MS;
        t.foreign[i].tls_ns = 60 * DK_NS_PER_MS;
        t.foreign[i].http_ns = 90 * DK_NS_PER_MS;
        t.rtt_ns[i] = 20 * DK_NS_PER_MS;
    }
    CU_ASSERT_EQUAL(compute(&t)->foreign_rpm, 1000); // 60 s / 60 ms
    CU_ASSERT_EQUAL(t.out.self_rpm, 3000);
    CU_ASSERT_EQUAL(t.out.rpm, 2000);
    // Without TLS its place is not taken by a zero: 60 s / 60 ms again.
    for (size_t i = 0; i < SAMPLES_MAX; i++)
        t.foreign[i].tls_ns = -1;
    CU_ASSERT_EQUAL(compute(&t)->foreign_rpm, 1000);
    CU_ASSERT_EQUAL(t.out.rpm, 2000);
}

static void the_highest_samples_are_trimmed(void)
{
    struct test t;

    // 20 samples in four seconds: the highest one is above their 95th percentile.
    make(&t, 10, false, 60);
    for (size_t second = 0; second < 10; second += 4)
        t.foreign[second * 5].http_ns = t.rtt_ns[second * 5] = 5 * DK_NS_PER_S;
    CU_ASSERT_EQUAL(compute(&t)->rpm, 1000);
    // Two of them are not.
    for (size_t second = 0; second < 10; second += 4)
        t.rtt_ns[second * 5 + 1] = 5 * DK_NS_PER_S;
    CU_ASSERT_EQUAL(compute(&t)->foreign_rpm, 1000);
    CU_ASSERT_EQUAL(t.out.self_ns, (18 * 60 * DK_NS_PER_MS + 5 * DK_NS_PER_S + 9) / 19);
}

static void confidence(void)
{
    static const struct {
        size_t seconds;
        enum dk_confidence confidence;
        int64_t end_s;
    } cases[] = {{7, DK_CONFIDENCE_HIGH, 7}, {6, DK_CONFIDENCE_LOW, 6}, {4, DK_CONFIDENCE_LOW, 4},
                 {2, DK_CONFIDENCE_LOW, 2}, {1, DK_CONFIDENCE_LOW, 1}};
    struct test t;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make(&t, cases[i].seconds, false, 60);
        CU_ASSERT_EQUAL(compute(&t)->rpm, 1000);
        CU_ASSERT_EQUAL(t.out.confidence, cases[i].confidence);
        CU_ASSERT_EQUAL(t.out.end_ns, cases[i].end_s * DK_NS_PER_S);
    }
    // Responsiveness that halves every two seconds is never stable.
    make(&t, 10, false, 60);
    for (size_t i = 0; i < SAMPLES_MAX; i++)
        t.rtt_ns[i] = t.foreign[i].tcp_ns = t.foreign[i].http_ns = 10 * DK_NS_PER_MS << i / 10;
    CU_ASSERT_EQUAL(compute(&t)->confidence, DK_CONFIDENCE_MEDIUM);
    CU_ASSERT_EQUAL(t.out.end_ns, 10 * DK_NS_PER_S);
    // Nor is a rate that doubles every second: then what the end shows is all there is.
    make(&t, 10, false, 60);
    for (size_t i = 0; i < 10 * EACH; i++)
        t.bytes[i] = INT64_C(1000) << i / EACH;
    CU_ASSERT_EQUAL(compute(&t)->confidence, DK_CONFIDENCE_LOW);
    CU_ASSERT_EQUAL(t.out.rpm, 1000);
    CU_ASSERT_EQUAL(t.out.end_ns, 10 * DK_NS_PER_S);
}

static void without_samples_there_is_no_figure(void)
{
    struct test t;

    make(&t, 10, false, 60);
    t.out.completed = 0;
    CU_ASSERT_EQUAL(compute(&t)->status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(t.out.rpm, -1);
    CU_ASSERT_TRUE(strlen(t.out.reason) > 0);
    make(&t, 10, false, 60);
    for (size_t i = 0; i < SAMPLES_MAX; i++)
        t.rtt_ns[i] = -1;
    CU_ASSERT_EQUAL(compute(&t)->status, DK_STATUS_NOT_MEASURED);
    // What cannot be a series is none.
    for (int broken = 0; broken < 3; broken++) {
        make(&t, 10, false, 60);
        if (broken == 0)
            t.load.interval_ns = 0;
        else
            t.bytes[7] = broken == 1 ? -1 : INT64_MAX;
        CU_ASSERT_EQUAL(compute(&t)->status, DK_STATUS_NOT_MEASURED);
    }
}

static void on_any_line_the_figure_lies_between_its_samples(void)
{
    struct test t;

    for (int round = 0; round < 300; round++) {
        int64_t low_ns = dk_random_between(1, DK_NS_PER_S), high_ns = low_ns + dk_random_between(0, DK_NS_PER_S);
        int64_t low_rpm = 60 * DK_NS_PER_S / high_ns, high_rpm = 60 * DK_NS_PER_S / low_ns + 1;

        make(&t, (size_t)dk_random_between(1, SECONDS_MAX), dk_random_between(0, 1) == 1, 1);
        for (size_t i = 0; i < t.load.count; i++)
            t.bytes[i] = dk_random_between(0, 1000000);
        for (size_t i = 0; i < SAMPLES_MAX; i++) {
            t.foreign[i].done_ns = dk_random_between(0, 25 * DK_NS_PER_S);
            t.foreign[i].tcp_ns = dk_random_between(low_ns, high_ns);
            t.foreign[i].http_ns = dk_random_between(low_ns, high_ns);
            if (t.foreign[i].tls_ns >= 0)
                t.foreign[i].tls_ns = dk_random_between(low_ns, high_ns);
            t.rtt_ns[i] = dk_random_between(0, 4) == 0 ? -1 : dk_random_between(low_ns, high_ns);
        }
        if (compute(&t)->status != DK_STATUS_OK)
            continue;
        CU_ASSERT_TRUE(t.out.rpm >= low_rpm && t.out.rpm <= high_rpm);
        CU_ASSERT_TRUE(t.out.tcp_ns >= low_ns && t.out.tcp_ns <= high_ns);
        CU_ASSERT_TRUE(t.out.self_ns >= low_ns && t.out.self_ns <= high_ns);
        CU_ASSERT_TRUE(t.out.end_ns <= (int64_t)t.load.count * t.load.interval_ns);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(a_line_that_does_not_move),
        DK_CASE(its_parts_are_weighed),
        DK_CASE(the_highest_samples_are_trimmed),
        DK_CASE(confidence),
        DK_CASE(without_samples_there_is_no_figure),
        DK_CASE(on_any_line_the_figure_lies_between_its_samples),
        {0},
    };

    return dk_harness_main(argc, argv, "rpm", cases);
}
