// SPDX-License-Identifier: Apache-2.0
//
// The search for the path MTU, on ways of any MTU that speak or are silent; and what follows from the answers to the
// packets of a route.
#include <string.h>

#include "probes/path/search.h"
#include "probes/path/trace.h"
#include "tests/harness/harness.h"

enum { MTU_MIN = 68 };

// A way: what passes, and whether a router says so when something does not; which answers get lost.
struct way {
    int64_t mtu, floor;
    bool tells, silent; // silent: nobody answers anything
    bool lies;          // what a router says that fits is any number
};

// Plays the whole search on the way; returns in how many rounds.
static int play(struct dk_search *search, const struct way *way)
{
    int rounds = 0;

    while (search->count > 0 && rounds < 100) {
        for (size_t i = 0; i < search->count; i++) {
            int64_t size = search->sizes[i];

            CU_ASSERT_TRUE(size >= way->floor && size <= search->top);
            if (way->silent)
                dk_search_vanished(search, size);
            else if (size <= way->mtu)
                dk_search_answered(search, size);
            else if (way->tells)
                dk_search_refused(search, size, way->lies ? dk_random_between(-1, 70000) : way->mtu);
            else
                dk_search_vanished(search, size);
            CU_ASSERT_TRUE(dk_search_knows(search, size));
        }
        dk_search_next(search);
        rounds++;
    }
    return rounds;
}

static void what_the_link_carries_passes_at_once(void)
{
    struct dk_search search = dk_search_make(1500, 576, true);
    struct dk_path_mtu found = {0};

    CU_ASSERT_EQUAL(search.count, 2);
    CU_ASSERT_EQUAL(play(&search, &(struct way){.mtu = 1500, .floor = 576}), 1);
    dk_search_fill(&search, &found);
    CU_ASSERT_EQUAL(found.answered_bytes, 1500);
    CU_ASSERT_EQUAL(found.passed_not_bytes, 0);
    CU_ASSERT_FALSE(found.told || found.black_hole);
    search = dk_search_make(576, 576, true);
    CU_ASSERT_EQUAL(search.count, 1);
}

static void any_mtu_is_found_to_the_byte(void)
{
    for (int round = 0; round < 2000; round++) {
        int64_t floor = dk_random_between(0, 1) ? 576 : 1280, top = dk_random_between(floor, 9216);
        struct way way = {.mtu = dk_random_between(floor, top), .floor = floor, .tells = dk_random_between(0, 1) == 1};
        struct dk_search search = dk_search_make(top, floor, true);
        struct dk_path_mtu found = {0};
        int rounds = play(&search, &way);

        dk_search_fill(&search, &found);
        CU_ASSERT_EQUAL(found.answered_bytes, way.mtu);
        CU_ASSERT_EQUAL(found.black_hole, way.mtu < top && !way.tells);
        CU_ASSERT_EQUAL(found.told, way.mtu < top && way.tells);
        CU_ASSERT_TRUE(way.mtu == top ? found.passed_not_bytes == 0 : found.passed_not_bytes > way.mtu);
        if (!way.tells && way.mtu < top)
            CU_ASSERT_EQUAL(found.passed_not_bytes, way.mtu + 1);
        CU_ASSERT_TRUE(rounds <= (way.tells ? 2 : 7));
    }
}

static void silence_and_lies_end(void)
{
    for (int round = 0; round < 2000; round++) {
        int64_t top = dk_random_between(576, 9216);
        struct way way = {.mtu = dk_random_between(576, top), .floor = MTU_MIN, .tells = true, .lies = true};
        struct dk_search search = dk_search_make(top, 576, dk_random_between(0, 1) == 1);
        struct dk_path_mtu found = {0};

        if (round % 10 == 0)
            way.silent = true;
        CU_ASSERT_TRUE(play(&search, &way) < 20);
        dk_search_fill(&search, &found);
        // What was answered has passed, and what is called too long has not.
        CU_ASSERT_TRUE(way.silent ? found.answered_bytes == 0 : found.answered_bytes <= way.mtu);
        CU_ASSERT_TRUE(found.passed_not_bytes == 0 || way.silent || found.passed_not_bytes > way.mtu);
        CU_ASSERT_FALSE(found.black_hole);
    }
}

static void over_udp_the_bounds_have_to_do(void)
{
    struct dk_search search = dk_search_make(1500, 576, false);
    struct dk_path_mtu found = {0};

    CU_ASSERT_EQUAL(play(&search, &(struct way){.mtu = 1400, .floor = 576}), 1);
    dk_search_fill(&search, &found);
    CU_ASSERT_TRUE(found.answered_bytes == 576 && found.passed_not_bytes == 1500 && found.black_hole);
    search = dk_search_make(1500, 576, false);
    CU_ASSERT_EQUAL(play(&search, &(struct way){.mtu = 1400, .floor = 576, .tells = true}), 2);
    dk_search_fill(&search, &found);
    CU_ASSERT_TRUE(found.answered_bytes == 1400 && found.passed_not_bytes == 1500 && !found.black_hole);
}

static void an_answer_that_comes_late_is_one(void)
{
    struct dk_search search = dk_search_make(1500, 576, true);
    struct dk_path_mtu found = {0};

    dk_search_answered(&search, 576);
    dk_search_vanished(&search, 1500);
    dk_search_next(&search);
    CU_ASSERT_EQUAL(search.count, DK_SEARCH_SIZES_MAX);
    dk_search_answered(&search, 1500);
    dk_search_next(&search);
    CU_ASSERT_EQUAL(search.count, 0);
    dk_search_fill(&search, &found);
    CU_ASSERT_TRUE(found.answered_bytes == 1500 && found.passed_not_bytes == 0 && !found.black_hole);
}

// Sends all the packets of a route that has `length` routers before the server (0: endless). Answers come at once, and
// once more.
static void trace(struct dk_trace *out, int length, enum dk_way_event_kind last)
{
    int64_t now_ns = 1;
    int hop_limit = 0;

    *out = (struct dk_trace){0};
    while ((hop_limit = dk_trace_next(out)) != 0) {
        struct dk_way_event event = {.kind = DK_WAY_TIME, .number = out->sent, .address = "192.0.2.0"};

        CU_ASSERT_TRUE_FATAL(out->sent < DK_WAY_PACKETS_MAX && hop_limit <= DK_HOPS_MAX);
        dk_trace_note(out, hop_limit, (struct dk_mono){now_ns});
        event.at.ns = now_ns + hop_limit * DK_NS_PER_MS;
        event.address[8] = (char)('0' + hop_limit % 10);
        if (length > 0 && hop_limit > length)
            event.kind = last;
        dk_trace_take(out, &event);
        event.at.ns++;
        dk_trace_take(out, &event);
        now_ns += 10 * DK_NS_PER_MS;
    }
    dk_trace_conclude(out);
}

static void a_route_ends_at_the_server(void)
{
    struct dk_trace t;

    trace(&t, 3, DK_WAY_ANSWER);
    CU_ASSERT_EQUAL(t.route.count, 4);
    CU_ASSERT_TRUE(t.route.reached && !t.route.unreachable);
    CU_ASSERT_EQUAL(t.sent, 12); // no further than the server
    CU_ASSERT_TRUE(dk_trace_is_complete(&t));
    CU_ASSERT_STRING_EQUAL(t.route.hops[2].address, "192.0.2.3");
    for (int i = 0; i < DK_HOP_PROBES; i++)
        CU_ASSERT_EQUAL(t.route.hops[2].rtt_ns[i], 3 * DK_NS_PER_MS);
    trace(&t, 1, DK_WAY_UNREACHABLE);
    CU_ASSERT_EQUAL(t.route.count, 2);
    CU_ASSERT_TRUE(!t.route.reached && t.route.unreachable);
    trace(&t, 0, DK_WAY_ANSWER);
    CU_ASSERT_EQUAL(t.route.count, DK_HOPS_MAX);
    CU_ASSERT_EQUAL(t.sent, DK_HOPS_MAX * DK_HOP_PROBES);
    CU_ASSERT_FALSE(t.route.reached);
}

static void what_comes_for_nothing_is_nothing(void)
{
    struct dk_trace t = {0};
    struct dk_way_event event = {.kind = DK_WAY_TIME, .number = 0, .address = "192.0.2.1", .at = {5}};

    dk_trace_take(&t, &event); // nothing was sent
    CU_ASSERT_EQUAL(t.farthest, 0);
    for (int i = 1; i <= 12; i++)
        dk_trace_note(&t, i, (struct dk_mono){1});
    event.number = 12;
    dk_trace_take(&t, &event);
    event.kind = DK_WAY_TOO_BIG;
    event.number = 3;
    dk_trace_take(&t, &event);
    CU_ASSERT_EQUAL(t.farthest, 0);
    // The server answers from farther first: the nearest answer is where it stands.
    event.kind = DK_WAY_ANSWER;
    event.number = 9;
    dk_trace_take(&t, &event);
    event.number = 5;
    dk_trace_take(&t, &event);
    event.number = 7;
    dk_trace_take(&t, &event);
    dk_trace_conclude(&t);
    CU_ASSERT_EQUAL(t.route.count, 6);
    CU_ASSERT_STRING_EQUAL(t.route.hops[0].address, "");
    CU_ASSERT_EQUAL(t.route.hops[0].rtt_ns[0], -1);
    CU_ASSERT_FALSE(dk_trace_is_complete(&t));
    // Another one answers at the same distance.
    event.number = 4;
    event.kind = DK_WAY_TIME;
    dk_trace_take(&t, &event);
    CU_ASSERT_FALSE(t.route.hops[4].several);
    dk_trace_note(&t, 1, (struct dk_mono){1});
    for (int i = 2; i <= 5; i++)
        dk_trace_note(&t, i, (struct dk_mono){1});
    event.number = 16;
    memcpy(event.address, "192.0.2.9", sizeof "192.0.2.9");
    dk_trace_take(&t, &event);
    CU_ASSERT_TRUE(t.route.hops[4].several);
    CU_ASSERT_STRING_EQUAL(t.route.hops[4].address, "192.0.2.1");
}

static void behind_silent_hops_it_ends(void)
{
    struct dk_trace t = {0};

    // Distance 1 and 2 answer, then nobody.
    while (dk_trace_next(&t) != 0) {
        struct dk_way_event event = {.kind = DK_WAY_TIME, .number = t.sent, .address = "192.0.2.1", .at = {9}};
        int hop_limit = dk_trace_next(&t);

        dk_trace_note(&t, hop_limit, (struct dk_mono){1});
        if (hop_limit <= 2)
            dk_trace_take(&t, &event);
    }
    dk_trace_conclude(&t);
    CU_ASSERT_EQUAL(t.sent, DK_HOPS_MAX + 2 * 6);
    CU_ASSERT_EQUAL(t.route.count, 2);
    CU_ASSERT_FALSE(t.route.reached || dk_trace_is_complete(&t));
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(what_the_link_carries_passes_at_once),
        DK_CASE(any_mtu_is_found_to_the_byte),
        DK_CASE(silence_and_lies_end),
        DK_CASE(over_udp_the_bounds_have_to_do),
        DK_CASE(an_answer_that_comes_late_is_one),
        DK_CASE(a_route_ends_at_the_server),
        DK_CASE(what_comes_for_nothing_is_nothing),
        DK_CASE(behind_silent_hops_it_ends),
        {0},
    };

    return dk_harness_main(argc, argv, "path", cases);
}
