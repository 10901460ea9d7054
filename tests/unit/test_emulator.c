// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "tests/harness/harness.h"
#include "tests/netlab/emulator/account.h"
#include "tests/netlab/emulator/frame.h"
#include "tests/netlab/emulator/link.h"
#include "tests/netlab/emulator/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { START_NS = 1000000007, MANY = 20000 };

static struct dk_link *new_link(const struct dk_link_settings *settings)
{
    struct dk_link *link = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_link_new(settings, START_NS, &link, NULL), DK_OK);
    return link;
}

static struct dk_link_settings plain(int64_t rate_bps)
{
    return (struct dk_link_settings){.shaper = {.rate_bps = rate_bps, .seed = dk_random()},
                                     .queue_bytes = INT64_MAX};
}

static struct dk_link_settings random_settings(void)
{
    struct dk_link_settings s = plain(dk_random_between(10000000, 1000000000));

    s.shaper.burst_bytes = dk_random_between(0, 1) * dk_random_between(1, 1000000);
    s.shaper.burst_bps = dk_random_between(0, 1) * s.shaper.rate_bps * 2;
    s.shaper.move_ppm = dk_random_between(0, 1) * 300000;
    s.shaper.move_ns = DK_NS_PER_MS * dk_random_between(1, 1000);
    s.overhead_bytes = dk_random_between(0, 40);
    s.queue_bytes = dk_random_between(1, 200000);
    s.loss_ppm = dk_random_between(0, 50000);
    s.delay_ns = dk_random_between(0, 30 * DK_NS_PER_MS);
    s.jitter_ns = dk_random_between(0, 3 * DK_NS_PER_MS);
    s.duplicate_ppm = dk_random_between(0, 50000);
    return s;
}

struct outcome {
    int64_t fates[4];
    int64_t came_ns[MANY], due_ns[MANY]; // of each packet; due 0: dropped
    int64_t duplicates, out, first_of_order, overtaken;
    uint64_t hash;
};

static void take(struct dk_link *link, int64_t now_ns, struct outcome *o)
{
    struct dk_delivery d;

    while (dk_link_take(link, now_ns, &d)) {
        // Once each, never early.
        CU_ASSERT_EQUAL(o->due_ns[d.packet.handle], -1);
        CU_ASSERT_TRUE(d.due_ns <= now_ns);
        o->due_ns[d.packet.handle] = d.due_ns;
        o->out++;
        o->duplicates += d.copies - 1;
        o->overtaken += (int64_t)d.order < o->first_of_order;
        if ((int64_t)d.order > o->first_of_order)
            o->first_of_order = (int64_t)d.order;
        o->hash = (o->hash ^ (uint64_t)d.due_ns ^ d.packet.handle) * UINT64_C(0x9e3779b97f4a7c15) +
                  (uint64_t)d.copies;
    }
}

// Sends MANY packets made from `seed` over a link.
static struct outcome *carry(const struct dk_link_settings *settings, uint64_t seed)
{
    dk_auto(link) struct dk_link *link = new_link(settings);
    struct outcome *o = calloc(1, sizeof *o);
    struct dk_dice dice = {seed};
    int64_t now_ns = START_NS;

    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    for (uint32_t i = 0; i < MANY; i++) {
        if (dk_dice_chance(&dice, 200000))
            now_ns += dk_dice_between(&dice, 0, 2 * DK_NS_PER_MS);
        take(link, now_ns, o);
        o->came_ns[i] = now_ns;

        enum dk_fate fate =
            dk_link_offer(link, now_ns, (struct dk_packet){i, (int32_t)dk_dice_between(&dice, 40, 1500), 0});

        o->fates[fate]++;
        o->due_ns[i] = fate == DK_FATE_TAKEN ? -1 : 0;
    }
    CU_ASSERT_EQUAL((int64_t)dk_link_count(link), o->fates[DK_FATE_TAKEN] - o->out);
    take(link, INT64_MAX, o);
    CU_ASSERT_EQUAL(dk_link_count(link), 0);
    CU_ASSERT_EQUAL(dk_link_due_ns(link), INT64_MAX);
    return o;
}

static void packets_are_conserved_in_order_and_never_early(void)
{
    for (int round = 0; round < 30; round++) {
        struct dk_link_settings settings = random_settings();
        struct outcome *o = carry(&settings, dk_random());

        CU_ASSERT_EQUAL(o->fates[DK_FATE_NO_ROOM], 0);
        CU_ASSERT_EQUAL(o->fates[DK_FATE_TAKEN] + o->fates[DK_FATE_LOST] + o->fates[DK_FATE_QUEUE_FULL],
                        MANY);
        CU_ASSERT_EQUAL(o->out, o->fates[DK_FATE_TAKEN]);
        CU_ASSERT_EQUAL(o->overtaken, 0);
        for (int i = 0; i < MANY; i++)
            if (o->due_ns[i] != 0)
                CU_ASSERT_TRUE_FATAL(o->due_ns[i] - o->came_ns[i] >= settings.delay_ns);
        free(o);
    }
}

static void the_same_seed_gives_the_same_link(void)
{
    for (int round = 0; round < 10; round++) {
        struct dk_link_settings settings = random_settings();
        uint64_t packets = dk_random();

        settings.loss_ppm = 10000;
        settings.reorder_ppm = 10000;
        settings.reorder_ns = DK_NS_PER_MS;

        struct outcome *a = carry(&settings, packets), *b = carry(&settings, packets);

        settings.shaper.seed++;

        struct outcome *c = carry(&settings, packets);

        CU_ASSERT_EQUAL(a->hash, b->hash);
        CU_ASSERT_NOT_EQUAL(a->hash, c->hash);
        free(a);
        free(b);
        free(c);
    }
}

// The probability of at most `k` of `n` at `p`, and of at least.
static double tail(int64_t n, int64_t k, double p, bool upper)
{
    double sum = 0;

    for (int64_t i = upper ? k : 0; i <= (upper ? n : k); i++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
                   (double)i * log(p) + (double)(n - i) * log1p(-p));
    return sum;
}

// `k` of `n` lies in the exact interval of a share of `ppm`, at a level that no honest run ever misses.
static bool share_is(int64_t k, int64_t n, int64_t ppm)
{
    double p = (double)ppm / 1e6;

    return tail(n, k, p, false) > 1e-8 && tail(n, k, p, true) > 1e-8;
}

static void shares_are_as_asked(void)
{
    static const int64_t ppm[] = {1000, 5000, 10000, 200000};

    for (size_t i = 0; i < COUNT(ppm); i++) {
        struct dk_link_settings settings = plain(0);

        settings.loss_ppm = ppm[i];
        settings.duplicate_ppm = ppm[COUNT(ppm) - 1 - i];

        struct outcome *o = carry(&settings, dk_random());

        CU_ASSERT_TRUE(share_is(o->fates[DK_FATE_LOST], MANY, settings.loss_ppm));
        CU_ASSERT_TRUE(share_is(o->duplicates, o->fates[DK_FATE_TAKEN], settings.duplicate_ppm));
        free(o);
    }
    CU_ASSERT_FALSE(share_is(0, MANY, 1000));
    CU_ASSERT_FALSE(share_is(MANY / 50, MANY, 10000));
}

static void packets_held_back_are_overtaken(void)
{
    struct dk_link_settings settings = plain(0);
    dk_auto(link) struct dk_link *link = NULL;
    int64_t held_back = 0, now_ns = START_NS;
    struct dk_delivery d;

    settings.delay_ns = DK_NS_PER_MS;
    settings.reorder_ppm = 20000;
    settings.reorder_ns = 5 * DK_NS_PER_MS;
    link = new_link(&settings);
    for (uint32_t i = 0; i < MANY; i++, now_ns += 100000)
        CU_ASSERT_EQUAL(dk_link_offer(link, now_ns, (struct dk_packet){i, 100, 0}), DK_FATE_TAKEN);
    while (dk_link_take(link, INT64_MAX, &d)) {
        int64_t took_ns = d.due_ns - START_NS - (int64_t)d.order * 100000;

        CU_ASSERT_TRUE(took_ns == DK_NS_PER_MS || took_ns == 6 * DK_NS_PER_MS);
        held_back += took_ns > DK_NS_PER_MS;
    }
    CU_ASSERT_TRUE(share_is(held_back, MANY, settings.reorder_ppm));
}

// In no window does more pass than the rate and one packet.
static void the_rate_is_never_passed(void)
{
    enum { PACKETS = 1500 };
    static int64_t through_ns[PACKETS], bytes[PACKETS];

    for (int round = 0; round < 12; round++) {
        struct dk_link_settings settings =
            plain(dk_random_between(1000, 1000000) * dk_random_between(1, 10000));
        dk_auto(link) struct dk_link *link = NULL;
        double rate = (double)settings.shaper.rate_bps;
        struct dk_delivery d;
        int worst = 0;

        settings.shaper.move_ppm = round % 2 * 300000;
        settings.shaper.move_ns = DK_NS_PER_MS;
        settings.delay_ns = 1000000;
        settings.overhead_bytes = 14;
        link = new_link(&settings);
        for (uint32_t i = 0; i < PACKETS; i++)
            CU_ASSERT_EQUAL(
                dk_link_offer(link, START_NS, (struct dk_packet){i, (int32_t)dk_random_between(20, 1500), 0}),
                DK_FATE_TAKEN);
        for (int i = 0; dk_link_take(link, INT64_MAX, &d); i++) {
            through_ns[i] = d.due_ns;
            bytes[i] = d.packet.ip_bytes + 14;
        }
        rate *= 1 + (double)settings.shaper.move_ppm / 1e6;
        for (int from = 0; from < PACKETS; from++) {
            int64_t passed = 0;

            // What ends after `from` did, to the end of each packet: it cannot be more than that time
            // carries.
            for (int to = from + 1; to < PACKETS; to++) {
                passed += bytes[to];
                worst += (double)passed * 8e9 / rate > (double)(through_ns[to] - through_ns[from]) + 2;
            }
        }
        CU_ASSERT_EQUAL(worst, 0);
    }
}

static void the_rate_is_met_to_the_nanosecond(void)
{
    static const int64_t rates[] = {1000, 9999991, 40000000, 1000000000, 10000000000};

    for (size_t i = 0; i < COUNT(rates); i++) {
        struct dk_shaper_settings settings = {.rate_bps = rates[i]};
        struct dk_shaper shaper = dk_shaper_make(&settings, 0);
        int64_t bytes = 0, through_ns = 0;
        int32_t moments;

        for (int n = 0; n < 100000; n++) {
            int64_t size = dk_random_between(20, 1514);

            bytes += size;
            through_ns = dk_shaper_serve(&shaper, 0, size, &moments);
        }
        CU_ASSERT_TRUE(fabs((double)through_ns - (double)bytes * 8e9 / (double)rates[i]) <
                       1e-15 * (double)through_ns + 2);
    }
}

static void the_queue_drops_its_tail(void)
{
    struct dk_link_settings settings = plain(12000000); // 1500 bytes in 1 ms
    dk_auto(link) struct dk_link *link = NULL;

    settings.queue_bytes = 15000;
    link = new_link(&settings);
    for (uint32_t i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(dk_link_offer(link, START_NS, (struct dk_packet){i, 1500, 0}), DK_FATE_TAKEN);
    CU_ASSERT_EQUAL(dk_link_queue_bytes(link, START_NS), 15000);
    CU_ASSERT_EQUAL(dk_link_offer(link, START_NS, (struct dk_packet){10, 20, 0}), DK_FATE_QUEUE_FULL);
    CU_ASSERT_EQUAL(dk_link_queue_bytes(link, START_NS + DK_NS_PER_MS - 1), 15000);
    CU_ASSERT_EQUAL(dk_link_queue_bytes(link, START_NS + DK_NS_PER_MS), 13500);
    CU_ASSERT_EQUAL(dk_link_offer(link, START_NS + DK_NS_PER_MS, (struct dk_packet){10, 1501, 0}),
                    DK_FATE_QUEUE_FULL);
    CU_ASSERT_EQUAL(dk_link_offer(link, START_NS + DK_NS_PER_MS, (struct dk_packet){10, 1500, 0}),
                    DK_FATE_TAKEN);
    CU_ASSERT_EQUAL(dk_link_queue_bytes(link, START_NS + DK_NS_PER_S), 0);

    // One packet always finds room; and what the emulator holds has an end.
    settings.queue_bytes = 1;
    settings.shaper.rate_bps = 0;
    dk_link_free(link);
    link = new_link(&settings);
    CU_ASSERT_EQUAL(dk_link_offer(link, START_NS, (struct dk_packet){0, 1500, 0}), DK_FATE_TAKEN);
    for (uint32_t i = 1; i < DK_LINK_PACKETS; i++)
        CU_ASSERT_EQUAL(dk_link_offer(link, START_NS + i, (struct dk_packet){i, 1500, 0}), DK_FATE_TAKEN);
    CU_ASSERT_EQUAL(dk_link_offer(link, START_NS + DK_NS_PER_S, (struct dk_packet){0, 1500, 0}),
                    DK_FATE_NO_ROOM);
}

static void a_burst_ends_with_its_bucket(void)
{
    // 2 × 8 Mb/s until 1 MB is through, then 8 Mb/s: a byte in 0.5 µs, then in 1 µs.
    struct dk_shaper_settings settings = {.rate_bps = 8000000, .burst_bytes = 1000000, .burst_bps = 16000000};
    struct dk_shaper shaper = dk_shaper_make(&settings, 0);
    int32_t moments;
    int64_t through_ns = 0;

    for (int i = 0; i < 1000; i++)
        through_ns = dk_shaper_serve(&shaper, 0, 1000, &moments);
    CU_ASSERT_EQUAL(through_ns, DK_NS_PER_S / 2);
    for (int i = 0; i < 1000; i++)
        through_ns = dk_shaper_serve(&shaper, 0, 1000, &moments);
    CU_ASSERT_EQUAL(through_ns, DK_NS_PER_S / 2 * 3);

    // A quarter of a second idle gives 250 kB of burst again; an hour no more than the bucket.
    int64_t now_ns = through_ns + DK_NS_PER_S / 4;

    for (int i = 0; i < 500; i++)
        through_ns = dk_shaper_serve(&shaper, now_ns, 1000, &moments);
    CU_ASSERT_EQUAL(through_ns - now_ns, DK_NS_PER_S / 8 * 3);
    now_ns += 3600 * DK_NS_PER_S;
    for (int i = 0; i < 2000; i++)
        through_ns = dk_shaper_serve(&shaper, now_ns, 1000, &moments);
    CU_ASSERT_EQUAL(through_ns - now_ns, DK_NS_PER_S / 2 * 3);

    settings.burst_bps = 0;
    shaper = dk_shaper_make(&settings, 0);
    for (int i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(dk_shaper_serve(&shaper, 5, 1000, &moments), 5);
    CU_ASSERT_EQUAL(dk_shaper_serve(&shaper, 5, 1000, &moments), 1000005);
}

static void a_moving_rate_stays_within_its_share(void)
{
    struct dk_shaper_settings settings = {
        .rate_bps = 100000000, .move_ppm = 300000, .move_ns = DK_NS_PER_S, .seed = dk_random()};
    struct dk_shaper shaper = dk_shaper_make(&settings, 0);
    double low = 1e18, high = 0;
    int64_t before_ns = 0, now_ns = 0;
    int32_t moments;

    for (int i = 0; i < 500000; i++) {
        now_ns = dk_shaper_serve(&shaper, 0, 1500, &moments);

        double rate = 12000e9 / (double)(now_ns - before_ns);

        low = fmin(low, rate);
        high = fmax(high, rate);
        before_ns = now_ns;
    }
    CU_ASSERT_TRUE(low > 69.99e6 && low < 80e6);
    CU_ASSERT_TRUE(high < 130.01e6 && high > 120e6);
    // Over a minute the moves even out.
    CU_ASSERT_TRUE(fabs(500000 * 12000e9 / (double)now_ns - 100e6) < 12e6);
}

static struct dk_trace *trace_of(const char *text)
{
    struct dk_trace *trace = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_trace_parse(text, strlen(text), "trace", &trace, NULL), DK_OK);
    return trace;
}

static void a_recording_lets_pass_what_its_lines_say(void)
{
    dk_auto(trace) struct dk_trace *trace = trace_of("0\n1\n1\n5\n10\n");
    struct dk_shaper_settings settings = {.trace = trace, .trace_scale_ppm = 1000000};
    struct dk_shaper shaper = dk_shaper_make(&settings, START_NS);
    static const int64_t full_ms[] = {0, 1, 1, 5, 10, 10, 11, 11, 15, 20, 20};
    int32_t moments;

    CU_ASSERT_EQUAL(dk_trace_rate_bps(trace), 6000000);
    for (size_t i = 0; i < COUNT(full_ms); i++) {
        CU_ASSERT_EQUAL(dk_shaper_serve(&shaper, START_NS, 1500, &moments),
                        START_NS + full_ms[i] * DK_NS_PER_MS);
        CU_ASSERT_EQUAL(moments, 1);
    }

    // Small ones share a moment, a large one needs two, and what nobody waited for is gone.
    int64_t now_ns = START_NS + 100 * DK_NS_PER_MS;
    static const struct {
        int64_t came_us, bytes, through_ms;
        int32_t moments;
    } cases[] = {{101, 500, 1, 1}, {101, 1000, 1, 0}, {200, 500, 1, 1},    {300, 1500, 5, 1},
                 {400, 500, 5, 0}, {5001, 20, 10, 1}, {20001, 100, 21, 1}, {987654321, 1, 987655, 1}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        CU_ASSERT_EQUAL(dk_shaper_serve(&shaper, now_ns + cases[i].came_us * 1000, cases[i].bytes, &moments),
                        now_ns + cases[i].through_ms * DK_NS_PER_MS);
        CU_ASSERT_EQUAL(moments, cases[i].moments);
    }

    settings.trace_scale_ppm = 2500000;
    settings.trace_start_ns = 3 * DK_NS_PER_MS;
    shaper = dk_shaper_make(&settings, START_NS);
    // 3750 bytes at 5, 10, 10 and 11 ms of the recording, which began 3 ms ago.
    static const int64_t scaled_ms[] = {2, 2, 7, 7, 7, 7, 7, 8, 8, 8};

    for (size_t i = 0; i < COUNT(scaled_ms); i++)
        CU_ASSERT_EQUAL(dk_shaper_serve(&shaper, START_NS, 1500, &moments),
                        START_NS + scaled_ms[i] * DK_NS_PER_MS);

    // 1.5015 bytes at a moment: nothing is lost to rounding.
    settings.trace_scale_ppm = 1001;
    shaper = dk_shaper_make(&settings, START_NS);

    int64_t used = 0;

    for (int i = 0; i < 3003; i++) {
        (void)dk_shaper_serve(&shaper, START_NS, 1, &moments);
        used += moments;
    }
    CU_ASSERT_EQUAL(used, 2000);
}

static void recordings_are_read_strictly(void)
{
    static const char *const bad[] = {"",      "0\n",          "1",     "2\n1\n",     "-1\n",
                                      "1 \n",  "\n1\n",        "a\n",   "1.5\n",      "1\n\n",
                                      "1\r\n", "1000000000\n", "1e3\n", "100000001\n"};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct dk_trace *trace = NULL;

        CU_ASSERT_EQUAL(dk_trace_parse(bad[i], strlen(bad[i]), "trace", &trace, NULL), DK_ERR_DATA);
        CU_ASSERT_PTR_NULL(trace);
    }
}

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t sum_words(const uint8_t *at, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += word(at + i);
    sum += len % 2 != 0 ? (uint32_t)at[len - 1] << 8 : 0;
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

enum { IP4_AT = 14, LARGE = 40000 };

// A TCP packet with 12 bytes of options and `payload` random bytes; returns its length.
static size_t make_packet(uint8_t *out, bool ipv6, size_t payload)
{
    size_t tcp_at = ipv6 ? 54 : 34, len = tcp_at + 32 + payload;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)dk_random();
    out[12] = ipv6 ? 0x86 : 0x08;
    out[13] = ipv6 ? 0xdd : 0x00;
    out[14] = ipv6 ? 0x60 : 0x45;
    if (ipv6) {
        out[18] = (uint8_t)((32 + payload) >> 8);
        out[19] = (uint8_t)(32 + payload);
        out[20] = 6;
    } else {
        out[16] = (uint8_t)((52 + payload) >> 8);
        out[17] = (uint8_t)(52 + payload);
        out[20] = 0x40;
        out[21] = 0;
        out[23] = 6;
    }
    out[tcp_at + 12] = 0x80;
    out[tcp_at + 13] = 0x80 | 0x10 | 0x08 | 0x01; // CWR ACK PSH FIN
    return len;
}

static void check_segment(const uint8_t *whole, const struct dk_frame *frame, const uint8_t *part, size_t len,
                          int i, bool last)
{
    const uint8_t *tcp = part + frame->tcp_at, *from = whole + frame->tcp_at;
    size_t tcp_len = len - frame->tcp_at;
    uint32_t sequence = word(tcp + 4) << 16 | word(tcp + 6), first = word(from + 4) << 16 | word(from + 6);
    struct dk_frame again;

    CU_ASSERT_TRUE(dk_frame_read(part, len, &again) && again.len == len && again.tcp);
    CU_ASSERT_EQUAL(
        memcmp(part + frame->payload_at, whole + frame->payload_at + i * 1448, len - frame->payload_at), 0);
    CU_ASSERT_EQUAL(sequence, first + (uint32_t)i * 1448);
    CU_ASSERT_EQUAL(tcp[13], 0x10 | (i == 0 ? 0x80 : 0) | (last ? 0x09 : 0));
    if (!frame->ipv6) {
        CU_ASSERT_EQUAL(sum_words(part + IP4_AT, 20), 0xffff);
        CU_ASSERT_EQUAL(word(part + IP4_AT + 4), (word(whole + IP4_AT + 4) + (uint32_t)i) & 0xffff);
    }

    // Completed as a network card does it, the checksum is right over pseudo-header and segment.
    uint8_t copy[2000] = {0};
    size_t addresses = frame->ipv6 ? 32 : 8;

    memcpy(copy, part + frame->tcp_at - addresses, addresses);
    copy[addresses] = (uint8_t)(tcp_len >> 8);
    copy[addresses + 1] = (uint8_t)tcp_len;
    copy[addresses + 3] = 6;
    memcpy(copy + addresses + 4, tcp, tcp_len);

    uint32_t completed = ~sum_words(tcp, tcp_len) & 0xffff;

    copy[addresses + 4 + 16] = (uint8_t)(completed >> 8);
    copy[addresses + 4 + 17] = (uint8_t)completed;
    CU_ASSERT_EQUAL(sum_words(copy, addresses + 4 + tcp_len), 0xffff);
}

static void large_packets_are_cut_into_good_ones(void)
{
    static uint8_t whole[LARGE + 100];

    for (int round = 0; round < 40; round++) {
        size_t payload = (size_t)dk_random_between(0, LARGE);
        size_t len = make_packet(whole, round % 2 != 0, payload);
        struct dk_frame frame;
        uint8_t part[1600];
        int32_t total = 0;

        CU_ASSERT_TRUE_FATAL(dk_frame_read(whole, len + 8, &frame));
        CU_ASSERT_EQUAL(frame.len, len);
        CU_ASSERT_EQUAL(frame.ip_bytes, (int32_t)len - 14);
        CU_ASSERT_EQUAL_FATAL(frame.payload_bytes, (int32_t)payload);

        int32_t count = dk_frame_segments(&frame, 1448);

        for (int32_t i = 0; i < count; i++) {
            size_t size = dk_frame_segment(whole, &frame, 1448, i, part, sizeof part);

            CU_ASSERT_TRUE_FATAL(size > 0);
            total += (int32_t)(size - frame.payload_at);
            check_segment(whole, &frame, part, size, i, i == count - 1);
        }
        CU_ASSERT_EQUAL(total, (int32_t)payload);
        CU_ASSERT_EQUAL(dk_frame_segment(whole, &frame, 1448, 0, part, frame.payload_at - 1), 0);
    }
}

static void bad_frames_are_refused(void)
{
    static uint8_t data[4096];
    struct dk_frame frame;

    for (int ipv6 = 0; ipv6 <= 1; ipv6++) {
        size_t len = make_packet(data, ipv6 != 0, 100), tcp_at = ipv6 != 0 ? 54 : 34;

        for (size_t cut = 0; cut < len; cut++)
            CU_ASSERT_FALSE(dk_frame_read(data, cut, &frame));
        data[tcp_at + 12] = 0x40;
        CU_ASSERT_FALSE(dk_frame_read(data, len, &frame));
        data[tcp_at + 12] = 0x80;
        data[14] ^= 0x30;
        CU_ASSERT_FALSE(dk_frame_read(data, len, &frame));
        data[12] = 0x08;
        data[13] = 0x06; // ARP
        CU_ASSERT_TRUE(dk_frame_read(data, len, &frame) && !frame.ip);
    }
}

static void what_happened_is_counted(void)
{
    struct dk_account bin = {0}, sum = {0};
    struct dk_delivery delivery = {.due_ns = 1000, .packet = {0, 1500, 1448}, .moments = 2, .copies = 2};
    dk_auto_buf struct dk_buf rows = dk_buf_make(1000);

    CU_ASSERT_EQUAL(dk_account_late_us(&bin, 500000), 0);
    dk_account_offer(&bin, DK_FATE_TAKEN);
    dk_account_offer(&bin, DK_FATE_LOST);
    dk_account_offer(&bin, DK_FATE_QUEUE_FULL);
    dk_account_offer(&bin, DK_FATE_NO_ROOM);
    dk_account_delivery(&bin, &delivery, 0, 8500);
    dk_account_delivery(&bin, &delivery, 1, 9500);
    dk_account_delivery(&bin, &delivery, 0, 9000000000);
    CU_ASSERT_EQUAL(dk_account_row(&bin, 77, "up", 3, &rows), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&rows), "77,up,4,3,4500,4344,1,1,1,1,4,3,8999999,8\n");
    dk_account_add(&sum, &bin);
    dk_account_add(&sum, &bin);
    CU_ASSERT_EQUAL(sum.delivered, 6);
    CU_ASSERT_EQUAL(dk_account_late_us(&sum, 333333), 7);
    CU_ASSERT_EQUAL(dk_account_late_us(&sum, 990000), DK_LATE_BUCKETS - 1);
}

static enum dk_err read_options(const char *down, struct dk_emulator_options *out)
{
    char *argv[] = {(char[]){"x"}, (char[]){"--agent"}, (char[]){"a"},  (char[]){"--server"},
                    (char[]){"s"}, (char[]){"--down"},  (char[512]){0}, NULL};

    snprintf(argv[6], 512, "%s", down);
    return dk_emulator_options_read(7, argv, out, NULL);
}

static void options_are_strict(void)
{
    struct dk_emulator_options options;
    static const char *const bad[] = {"rate_bps",
                                      "rate_bps=",
                                      "rate=1000",
                                      "rate_bps=1e6",
                                      "rate_bps=010000",
                                      "rate_bps=999",
                                      "delay_us=-1",
                                      "rate_bps=1000000,rate_bps=1000000",
                                      ",",
                                      "loss_ppm=1000001",
                                      "burst_bytes=5",
                                      "move_ppm=5",
                                      "rate_bps=1000000,burst_bps=2000000",
                                      "rate_bps=1000000,burst_bytes=1,burst_bps=999999",
                                      "rate_bps=1000000,queue_ms=5,queue_bytes=5",
                                      "trace_scale_ppm=2000000",
                                      "reorder_ppm=5",
                                      "reorder_us=5",
                                      "rate_bps=1000000,trace=/dev/null",
                                      "trace=",
                                      "rate_bps =1000000"};

    for (size_t i = 0; i < COUNT(bad); i++) {
        enum dk_err err = read_options(bad[i], &options);

        if (err != DK_ERR_USAGE)
            printf("    %s: %s\n", bad[i], dk_err_text(err));
        CU_ASSERT_EQUAL(err, DK_ERR_USAGE);
        dk_emulator_options_free(&options);
    }
    CU_ASSERT_EQUAL(read_options("trace=/no/such/file", &options), DK_ERR_NO_INPUT);
    dk_emulator_options_free(&options);
    CU_ASSERT_EQUAL(read_options("rate_bps=40000000,delay_us=10000,loss_ppm=5000,", &options), DK_OK);
    CU_ASSERT_EQUAL(options.links[DK_DOWN].shaper.rate_bps, 40000000);
    CU_ASSERT_EQUAL(options.links[DK_DOWN].delay_ns, 10 * DK_NS_PER_MS);
    CU_ASSERT_EQUAL(options.links[DK_DOWN].queue_bytes, 250000);
    CU_ASSERT_EQUAL(options.links[DK_DOWN].overhead_bytes, 14);
    CU_ASSERT_EQUAL(options.links[DK_UP].queue_bytes, INT64_MAX);
    CU_ASSERT_NOT_EQUAL(options.links[DK_UP].shaper.seed, options.links[DK_DOWN].shaper.seed);
    dk_emulator_options_free(&options);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(packets_are_conserved_in_order_and_never_early),
        DK_CASE(the_same_seed_gives_the_same_link),
        DK_CASE(shares_are_as_asked),
        DK_CASE(packets_held_back_are_overtaken),
        DK_CASE(the_rate_is_never_passed),
        DK_CASE(the_rate_is_met_to_the_nanosecond),
        DK_CASE(the_queue_drops_its_tail),
        DK_CASE(a_burst_ends_with_its_bucket),
        DK_CASE(a_moving_rate_stays_within_its_share),
        DK_CASE(a_recording_lets_pass_what_its_lines_say),
        DK_CASE(recordings_are_read_strictly),
        DK_CASE(large_packets_are_cut_into_good_ones),
        DK_CASE(bad_frames_are_refused),
        DK_CASE(what_happened_is_counted),
        DK_CASE(options_are_strict),
        {0},
    };

    return dk_harness_main(argc, argv, "emulator", cases);
}
