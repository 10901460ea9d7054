// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "probes/stamp/authenticated.h"
#include "probes/stamp/loss.h"
#include "probes/stamp/packet.h"
#include "probes/stamp/reflector.h"
#include "probes/stamp/sessions.h"
#include "probes/stamp/tlv.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void request_is_as_rfc_8762_draws_it(void)
{
    static const uint8_t wire[DK_STAMP_SIZE] = {0x01, 0x02, 0x03, 0x04, 0x11, 0x12, 0x13, 0x14,
                                                0x15, 0x16, 0x17, 0x18, 0x8e, 0x21, 0xab, 0xcd};
    struct dk_stamp_request request = {0x01020304, UINT64_C(0x1112131415161718), 0x8e21, 0xabcd}, back = {0};
    uint8_t out[DK_STAMP_SIZE];

    dk_stamp_put_request(&request, out);
    CU_ASSERT_EQUAL(memcmp(out, wire, sizeof wire), 0);
    CU_ASSERT_TRUE(dk_stamp_get_request(wire, sizeof wire, &back));
    CU_ASSERT_EQUAL(back.sequence, request.sequence);
    CU_ASSERT_EQUAL(back.timestamp, request.timestamp);
    CU_ASSERT_EQUAL(back.error_estimate, request.error_estimate);
    CU_ASSERT_EQUAL(back.session, request.session);

    // What must be zero is not looked at.
    memset(out + 16, 0xff, sizeof out - 16);
    CU_ASSERT_TRUE(dk_stamp_get_request(out, sizeof out, &back));
    for (size_t len = 0; len < DK_STAMP_SIZE; len++)
        CU_ASSERT_FALSE(dk_stamp_get_request(wire, len, &back));
}

static void answer_is_as_rfc_8762_draws_it(void)
{
    static const uint8_t wire[DK_STAMP_SIZE] = {
        1,  2,  3,  4,                  // sequence number
        11, 12, 13, 14, 15, 16, 17, 18, // timestamp
        21, 22, 23, 24,                 // error estimate, session
        31, 32, 33, 34, 35, 36, 37, 38, // receive timestamp
        41, 42, 43, 44,                 // sender's sequence number
        51, 52, 53, 54, 55, 56, 57, 58, // sender's timestamp
        61, 62, 0,  0,                  // sender's error estimate
        71, 0,  0,  0,                  // sender's TTL
    };
    struct dk_stamp_answer answer = {0};
    uint8_t out[DK_STAMP_SIZE];

    CU_ASSERT_TRUE(dk_stamp_get_answer(wire, sizeof wire, &answer));
    CU_ASSERT_EQUAL(answer.sequence, 0x01020304);
    CU_ASSERT_EQUAL(answer.timestamp, UINT64_C(0x0b0c0d0e0f101112));
    CU_ASSERT_EQUAL(answer.error_estimate, 0x1516);
    CU_ASSERT_EQUAL(answer.session, 0x1718);
    CU_ASSERT_EQUAL(answer.received, UINT64_C(0x1f20212223242526));
    CU_ASSERT_EQUAL(answer.sender_sequence, 0x292a2b2c);
    CU_ASSERT_EQUAL(answer.sender_timestamp, UINT64_C(0x333435363738393a));
    CU_ASSERT_EQUAL(answer.sender_error_estimate, 0x3d3e);
    CU_ASSERT_EQUAL(answer.sender_ttl, 71);
    dk_stamp_put_answer(&answer, out);
    CU_ASSERT_EQUAL(memcmp(out, wire, sizeof wire), 0);
    for (size_t len = 0; len < DK_STAMP_SIZE; len++)
        CU_ASSERT_FALSE(dk_stamp_get_answer(wire, len, &answer));
}

static void timestamps_are_ntp_or_ptp(void)
{
    // 2026-11-20T04:05:06.5Z; era 1 begins on 2036-02-07T06:28:16Z.
    CU_ASSERT_EQUAL(dk_stamp_from_wall((struct dk_wall){0}), UINT64_C(2208988800) << 32);
    CU_ASSERT_EQUAL(dk_stamp_from_wall((struct dk_wall){INT64_C(1795147506500000000)}),
                    UINT64_C(4004136306) << 32 | UINT64_C(0x80000000));
    CU_ASSERT_EQUAL(dk_stamp_from_wall((struct dk_wall){INT64_C(2085978496000000001)}), 4);

    static const struct {
        uint64_t later, earlier;
        uint16_t error_estimate;
        int64_t expected;
    } cases[] = {
        {0, 0, 0, 0},
        {UINT64_C(1) << 32, 0, 0, DK_NS_PER_S},
        {UINT64_C(0x80000000), 0, 0, DK_NS_PER_S / 2},
        {0, UINT64_C(0x80000000), 0, -DK_NS_PER_S / 2},
        {0, UINT64_C(0xffffffff00000000), 0, DK_NS_PER_S}, // over the end of an era
        {UINT64_C(0xffffffff00000000), 0, 0, -DK_NS_PER_S},
        {UINT64_C(5) << 32 | 1, UINT64_C(4) << 32 | 999999999, DK_STAMP_PTP, 2},
        {UINT64_C(4) << 32 | 999999999, UINT64_C(5) << 32 | 1, DK_STAMP_PTP, -2},
        {1, UINT64_C(0xffffffff00000000), DK_STAMP_PTP | DK_STAMP_SYNCHRONISED, DK_NS_PER_S + 1},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        CU_ASSERT_EQUAL(dk_stamp_between_ns(cases[i].later, cases[i].earlier, cases[i].error_estimate),
                        cases[i].expected);

    for (int round = 0; round < 1000; round++) {
        struct dk_wall a = {dk_random_between(0, INT64_C(4000000000000000000))};
        struct dk_wall b = {a.ns + dk_random_between(0, DK_NS_PER_S * 100)};
        int64_t between = dk_stamp_between_ns(dk_stamp_from_wall(b), dk_stamp_from_wall(a), 0);

        CU_ASSERT_TRUE(between >= b.ns - a.ns - 1 && between <= b.ns - a.ns + 1);
    }
}

static void error_estimate_is_never_too_small(void)
{
    CU_ASSERT_EQUAL(dk_stamp_error_estimate(true, 0), DK_STAMP_SYNCHRONISED | 1);
    CU_ASSERT_EQUAL(dk_stamp_error_estimate(false, 1), 5);             // 4.29 units
    CU_ASSERT_EQUAL(dk_stamp_error_estimate(false, 59), 254);          // 253.4 units
    CU_ASSERT_EQUAL(dk_stamp_error_estimate(false, 60), 1 << 8 | 129); // 257.7 units
    CU_ASSERT_EQUAL(dk_stamp_error_estimate(false, DK_NS_PER_S), 25 << 8 | 128);
    CU_ASSERT_EQUAL(dk_stamp_error_estimate(false, -1), dk_stamp_error_estimate(false, 16 * DK_NS_PER_S));
    for (int round = 0; round < 1000; round++) {
        int64_t error_ns = dk_random_between(0, 1000) << dk_random_between(0, 25);
        uint16_t estimate = dk_stamp_error_estimate(round % 2 == 0, error_ns);
        unsigned multiplier = estimate & 0xff, scale = estimate >> 8 & 0x3f;
        int64_t stated = (int64_t)multiplier << scale;
        int64_t units = (error_ns / DK_NS_PER_S << 32) + (error_ns % DK_NS_PER_S << 32) / DK_NS_PER_S;

        CU_ASSERT_EQUAL((estimate & DK_STAMP_SYNCHRONISED) != 0, round % 2 == 0);
        CU_ASSERT_EQUAL(estimate & DK_STAMP_PTP, 0);
        CU_ASSERT_TRUE(multiplier >= 1);
        CU_ASSERT_TRUE(stated >= units);
        CU_ASSERT_TRUE(stated <= units + units / 100 + 2);
    }
    CU_ASSERT_TRUE(dk_stamp_error_estimate(true, INT64_MAX) >> 8 < 0xc0);
}

static bool reflect(const uint8_t *in, size_t len, const struct dk_stamp_key *key,
                    const struct dk_stamp_reflection *reflection, uint8_t *out)
{
    struct dk_stamp_request request = {0};

    return dk_stamp_accept(in, len, key, &request) && dk_stamp_reflect(&request, in, len, key, reflection, out);
}

static void reflector_answers_with_what_it_got(void)
{
    const struct dk_stamp_reflection stateless = {
        .received = 111, .sent = 222, .error_estimate = 0x8e21, .ttl = 63};
    uint8_t in[DK_DATAGRAM_MAX], out[DK_DATAGRAM_MAX + 1];

    for (int round = 0; round < 500; round++) {
        size_t len = (size_t)dk_random_between(0, round % 2 == 0 ? 60 : DK_DATAGRAM_MAX);
        struct dk_stamp_answer answer = {0};

        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)dk_random();
        memset(out, 0x5a, sizeof out);

        bool answered = reflect(in, len, NULL, &stateless, out);

        CU_ASSERT_EQUAL(answered, len >= DK_STAMP_SIZE);
        if (!answered) {
            CU_ASSERT_EQUAL(out[0], 0x5a);
            continue;
        }
        CU_ASSERT_TRUE(dk_stamp_get_answer(out, len, &answer));
        CU_ASSERT_EQUAL(memcmp(out, in, 4), 0);           // stateless: the sender's number
        CU_ASSERT_EQUAL(memcmp(out + 14, in + 14, 2), 0); // session
        CU_ASSERT_EQUAL(memcmp(out + 24, in, 4 + 8 + 2), 0);
        CU_ASSERT_EQUAL(answer.received, 111);
        CU_ASSERT_EQUAL(answer.timestamp, 222);
        CU_ASSERT_EQUAL(answer.error_estimate, 0x8e21);
        CU_ASSERT_EQUAL(answer.sender_ttl, 63);
        CU_ASSERT_EQUAL(out[len], 0x5a); // not a byte more
    }
}

// The HMAC comes from elsewhere: Python's hmac module.
static const struct dk_stamp_key key = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 16};
static const uint8_t request_mac[] = {0x10, 0x61, 0x0f, 0x98, 0xe9, 0x8f, 0x57, 0x5f, 0xdb, 0x9f,
                                      0x0d, 0xbf, 0xb9, 0xb9, 0x10, 0xa6};

static void authenticated_packets_are_as_rfc_8762_draws_them(void)
{
    struct dk_stamp_request request = {0x01020304, UINT64_C(0x1112131415161718), 0x8e21, 0xabcd}, in = {0};
    struct dk_stamp_answer answer = {0x01020304, UINT64_C(0x2122232425262728), 0x8101, 0xabcd,
                                     UINT64_C(0x3132333435363738), 0x41424344, UINT64_C(0x5152535455565758),
                                     0x8e21, 63}, back = {0};
    uint8_t sent[DK_STAMP_AUTHENTICATED_SIZE], out[DK_STAMP_AUTHENTICATED_SIZE];
    uint8_t head[96] = {1, 2, 3, 4};

    memcpy(head + 16, (const uint8_t[]){0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x8e, 0x21, 0xab, 0xcd}, 12);
    CU_ASSERT_TRUE(dk_stamp_seal_request(&request, &key, sent));
    CU_ASSERT_EQUAL(memcmp(sent, head, sizeof head), 0);
    CU_ASSERT_EQUAL(memcmp(sent + 96, request_mac, sizeof request_mac), 0);
    CU_ASSERT_TRUE(dk_stamp_open_request(sent, sizeof sent, &key, &in));
    CU_ASSERT_EQUAL(memcmp(&in, &request, sizeof in), 0);

    CU_ASSERT_TRUE(dk_stamp_seal_answer(&answer, &key, out));
    CU_ASSERT_TRUE(out[3] == 4 && out[16] == 0x21 && out[24] == 0x81 && out[26] == 0xab && out[32] == 0x31);
    CU_ASSERT_TRUE(out[48] == 0x41 && out[64] == 0x51 && out[72] == 0x8e && out[80] == 63 && out[95] == 0);
    CU_ASSERT_TRUE(dk_stamp_open_answer(out, sizeof out, &key, &back));
    CU_ASSERT_EQUAL(back.sequence, answer.sequence);
    CU_ASSERT_EQUAL(back.timestamp, answer.timestamp);
    CU_ASSERT_EQUAL(back.error_estimate, answer.error_estimate);
    CU_ASSERT_EQUAL(back.session, answer.session);
    CU_ASSERT_EQUAL(back.received, answer.received);
    CU_ASSERT_EQUAL(back.sender_sequence, answer.sender_sequence);
    CU_ASSERT_EQUAL(back.sender_timestamp, answer.sender_timestamp);
    CU_ASSERT_EQUAL(back.sender_error_estimate, answer.sender_error_estimate);
    CU_ASSERT_EQUAL(back.sender_ttl, answer.sender_ttl);
}

static void what_was_written_without_the_key_is_not_read(void)
{
    struct dk_stamp_request request = {7, 8, 9, 10}, in = {0};
    struct dk_stamp_key other = key;
    uint8_t sent[DK_STAMP_AUTHENTICATED_SIZE + 20] = {0}, out[DK_STAMP_AUTHENTICATED_SIZE + 20];
    const struct dk_stamp_reflection stateless = {.received = 1, .sent = 2, .error_estimate = 3, .ttl = 4};
    struct dk_stamp_answer answer = {0};

    other.data[15] ^= 1;
    CU_ASSERT_TRUE(dk_stamp_seal_request(&request, &key, sent));
    CU_ASSERT_FALSE(dk_stamp_open_request(sent, sizeof sent, &other, &in));
    CU_ASSERT_FALSE(dk_stamp_open_request(sent, DK_STAMP_AUTHENTICATED_SIZE - 1, &key, &in));
    CU_ASSERT_FALSE(dk_stamp_open_answer(sent, sizeof sent, &other, &answer));
    for (size_t bit = 0; bit < DK_STAMP_AUTHENTICATED_SIZE * 8; bit++) {
        sent[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CU_ASSERT_FALSE(dk_stamp_open_request(sent, sizeof sent, &key, &in));
        CU_ASSERT_FALSE(reflect(sent, sizeof sent, &key, &stateless, out));
        sent[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }

    // The reflector's answer is as long as what it got, and genuine.
    memset(out, 0x5a, sizeof out);
    CU_ASSERT_TRUE(reflect(sent, sizeof sent - 1, &key, &stateless, out));
    CU_ASSERT_TRUE(dk_stamp_open_answer(out, sizeof out, &key, &answer));
    CU_ASSERT_TRUE(answer.sequence == 7 && answer.received == 1 && answer.timestamp == 2 && answer.sender_ttl == 4);
    CU_ASSERT_EQUAL(out[sizeof out - 1], 0x5a);
}

static const struct dk_stamp_tlvs telling = {.follow_up = {true, 0x0a0b0c0d, UINT64_C(0x1112131415161718)},
                                             .clocks = {1, 2, 5, 2}};

static void tlvs_are_as_rfc_8972_draws_them(void)
{
    static const uint8_t asked[DK_STAMP_QUESTION_SIZE] = {0x80, 3, 0, 4, 0, 0, 0, 0, 0x80, 7, 0, 16};
    static const uint8_t answered[DK_STAMP_QUESTION_SIZE] = {0,    3,    0,    4,    1,    2,    5,    2,    0,    7,
                                                             0,    16,   0x0a, 0x0b, 0x0c, 0x0d, 0x11, 0x12, 0x13, 0x14,
                                                             0x15, 0x16, 0x17, 0x18, 2,    0,    0,    0};
    uint8_t question[DK_STAMP_SEALED_QUESTION_SIZE], out[DK_STAMP_SEALED_QUESTION_SIZE];
    struct dk_stamp_tlvs back = {0};

    CU_ASSERT_TRUE(dk_stamp_ask(7, NULL, question));
    CU_ASSERT_EQUAL(memcmp(question, asked, sizeof asked), 0);
    CU_ASSERT_TRUE(dk_stamp_asks_follow_up(question, sizeof asked));
    CU_ASSERT_TRUE(dk_stamp_reflect_tlvs(question, sizeof asked, 7, 8, &telling, NULL, out));
    CU_ASSERT_EQUAL(memcmp(out, answered, sizeof answered), 0);
    dk_stamp_read_tlvs(out, sizeof answered, 8, NULL, &back);
    CU_ASSERT_TRUE(back.follow_up.known && back.follow_up.sequence == 0x0a0b0c0d &&
                   back.follow_up.timestamp == telling.follow_up.timestamp);
    CU_ASSERT_TRUE(back.clocks.source_in == 1 && back.clocks.how_in == 2 && back.clocks.source_out == 5 &&
                   back.clocks.how_out == 2);

    // A question that came back as it was sent is no answer.
    dk_stamp_read_tlvs(question, sizeof asked, 7, NULL, &back);
    CU_ASSERT_FALSE(back.follow_up.known || back.clocks.how_out != 0);

    // Without state there is nothing to tell.
    const struct dk_stamp_tlvs nothing = {.clocks = {1, 2, 1, 2}};

    CU_ASSERT_TRUE(dk_stamp_reflect_tlvs(question, sizeof asked, 7, 7, &nothing, NULL, out));
    dk_stamp_read_tlvs(out, sizeof asked, 7, NULL, &back);
    CU_ASSERT_TRUE(!back.follow_up.known && back.clocks.how_out == 2);
}

static void tlvs_that_are_not_known_or_wrong_are_marked(void)
{
    static const struct {
        const char *what;
        uint8_t in[16], out[16];
        size_t len;
    } cases[] = {
        {"extra padding", {0x80, 1, 0, 2, 9, 9}, {0, 1, 0, 2, 9, 9}, 6},
        {"location: not known here", {0x80, 2, 0, 2, 9, 9}, {0x80, 2, 0, 2, 9, 9}, 6},
        {"reserved type", {0, 0, 0, 0}, {0x80, 0, 0, 0}, 4},
        {"a wrong length", {0x80, 3, 0, 3, 9, 9, 9, 0x80, 1, 0, 0}, {0x40, 3, 0, 3, 0, 0, 0, 0, 1, 0, 0}, 11},
        {"longer than the packet", {0x80, 1, 0, 9, 9}, {0xc0, 1, 0, 9, 9}, 5},
        {"no room for a header", {0x80, 1, 0}, {0xc0, 1, 0}, 3},
        {"nothing", {0}, {0}, 0},
        {"an HMAC without a key", {0x80, 8, 0, 2, 9, 9}, {0x80, 8, 0, 2, 9, 9}, 6},
    };
    uint8_t out[16];

    for (size_t i = 0; i < COUNT(cases); i++) {
        CU_ASSERT_TRUE(dk_stamp_reflect_tlvs(cases[i].in, cases[i].len, 1, 1, &telling, NULL, out));
        if (memcmp(out, cases[i].out, cases[i].len) != 0)
            printf("    %s\n", cases[i].what);
        CU_ASSERT_EQUAL(memcmp(out, cases[i].out, cases[i].len), 0);
    }
}

static void tlvs_are_sealed_in_the_authenticated_mode(void)
{
    uint8_t question[DK_STAMP_SEALED_QUESTION_SIZE], out[DK_STAMP_SEALED_QUESTION_SIZE];
    // Of the sequence number 7 and the question; Python's hmac module.
    static const uint8_t mac[] = {0xc3, 0x91, 0xed, 0x80, 0xef, 0xc5, 0x0b, 0xfb,
                                  0x73, 0x5d, 0xf9, 0x76, 0x85, 0x28, 0xfb, 0x8a};
    struct dk_stamp_tlvs back = {0};

    CU_ASSERT_TRUE(dk_stamp_ask(7, &key, question));
    CU_ASSERT_TRUE(question[28] == 0x80 && question[29] == 8 && question[30] == 0 && question[31] == 16);
    CU_ASSERT_EQUAL(memcmp(question + 32, mac, sizeof mac), 0);
    CU_ASSERT_TRUE(dk_stamp_reflect_tlvs(question, sizeof question, 7, 8, &telling, &key, out));
    dk_stamp_read_tlvs(out, sizeof out, 8, &key, &back);
    CU_ASSERT_TRUE(back.follow_up.known && back.clocks.how_out == 2);
    dk_stamp_read_tlvs(out, sizeof out, 9, &key, &back); // of another packet
    CU_ASSERT_FALSE(back.follow_up.known || back.clocks.how_out != 0);
    for (size_t bit = 0; bit < sizeof out * 8; bit++) {
        if (bit / 8 == 28) // the flags of the HMAC itself are not covered
            continue;
        out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        dk_stamp_read_tlvs(out, sizeof out, 8, &key, &back);
        CU_ASSERT_FALSE(back.follow_up.known || back.clocks.how_out != 0);
        out[bit / 8] ^= (uint8_t)(1 << bit % 8);

        uint8_t refused[sizeof out];

        question[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CU_ASSERT_TRUE(dk_stamp_reflect_tlvs(question, sizeof question, 7, 8, &telling, &key, refused));
        CU_ASSERT_TRUE((refused[0] & 0x60) != 0);
        question[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void sessions_are_kept_apart_and_forgotten(void)
{
    static struct dk_sessions sessions;
    struct dk_mono now = {DK_NS_PER_S};
    struct dk_peer a = {.prefix = 1, .port = 2000}, b = {.prefix = 1, .port = 2001};

    sessions = (struct dk_sessions){.hash_key = dk_random()};
    dk_session_find(&sessions, &a, 1, now)->next_sequence = 11;
    dk_session_find(&sessions, &a, 2, now)->next_sequence = 12;
    dk_session_find(&sessions, &b, 1, now)->next_sequence = 21;
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &a, 1, now)->next_sequence, 11);
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &a, 2, now)->next_sequence, 12);
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &b, 1, now)->next_sequence, 21);
    now.ns += (DK_SESSION_IDLE_S - 1) * DK_NS_PER_S;
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &a, 1, now)->next_sequence, 11);
    now.ns += DK_NS_PER_S;
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &a, 1, now)->next_sequence, 11); // used a second ago
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &a, 2, now)->next_sequence, 0);

    // A flood fills it; who is in stays in.
    int refused = 0;

    for (uint64_t i = 0; i < 4 * DK_SESSIONS; i++) {
        struct dk_peer other = {.prefix = dk_random(), .port = 3000};

        refused += dk_session_find(&sessions, &other, 0, now) == NULL;
    }
    CU_ASSERT_TRUE(refused > 2 * DK_SESSIONS);
    CU_ASSERT_EQUAL(dk_session_find(&sessions, &a, 1, now)->next_sequence, 11);
}

static void loss_is_split_by_what_the_reflector_counted(void)
{
    // Each letter is a packet: '.' answered, '>' lost on the way there, '<' on the way back.
    static const struct {
        const char *fates;
        int64_t forward, back;
    } cases[] = {
        {"....", 0, 0}, {".>.>.", 2, 0}, {".<.<.", 0, 2}, {">><.", 2, 1},
        {".><>.", 2, 1}, {"..><", 0, 0}, {"<<<.<", 0, 3},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dk_stamp_loss loss;
        int64_t forward = -1, back = -1, answered = 0, sent = (int64_t)strlen(cases[i].fates);
        uint32_t reflected = 0;

        dk_stamp_loss_begin(&loss);
        loss.stateful = true;
        for (uint32_t n = 0; n < sent; n++) {
            if (cases[i].fates[n] == '.') {
                dk_stamp_loss_answered(&loss, n, reflected, false);
                answered++;
            }
            reflected += cases[i].fates[n] != '>';
        }
        CU_ASSERT_TRUE(dk_stamp_loss_split(&loss, sent, answered, &forward, &back));
        CU_ASSERT_EQUAL(forward, cases[i].forward);
        CU_ASSERT_EQUAL(back, cases[i].back);
        loss.stateful = false;
        CU_ASSERT_FALSE(dk_stamp_loss_split(&loss, sent, answered, &forward, &back));
        loss.stateful = true;
        dk_stamp_loss_answered(&loss, 0, 0, true);
        CU_ASSERT_FALSE(dk_stamp_loss_split(&loss, sent, answered, &forward, &back));
    }

    // Whatever a reflector says, never more than was lost.
    for (int round = 0; round < 2000; round++) {
        struct dk_stamp_loss loss;
        int64_t forward = -1, back = -1, sent = dk_random_between(0, 40), answered = 0;

        dk_stamp_loss_begin(&loss);
        loss.stateful = true;
        for (int64_t n = 0; n < sent; n++)
            if (dk_random_between(0, 1) == 0) {
                answered++;
                dk_stamp_loss_answered(&loss, (uint32_t)n,
                                       (uint32_t)(round % 2 == 0 ? (int64_t)(uint32_t)dk_random()
                                                                 : dk_random_between(0, 40)), false);
            }
        (void)dk_stamp_loss_split(&loss, sent, answered, &forward, &back);
        CU_ASSERT_TRUE(forward >= 0 && back >= 0 && forward + back <= sent - answered);
    }
}

static void keys_are_hexadecimal_files(void)
{
    static const struct {
        const char *text;
        size_t len; // 0: refused
    } cases[] = {
        {"000102030405060708090a0b0c0d0e0f", 16},
        {"000102030405060708090A0B0C0D0E0F\n", 16},
        {"000102030405060708090a0b0c0d0e", 0},
        {"000102030405060708090a0b0c0d0e0", 0},
        {"000102030405060708090a0b0c0d0e0g", 0},
        {"000102030405060708090a0b0c0d0e0f\n\n", 0},
        {" 00102030405060708090a0b0c0d0e0f", 0},
        {"", 0},
    };
    char path[PATH_MAX];
    struct dk_stamp_key got;

    snprintf(path, sizeof path, "%s/key", dk_harness_directory());
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL_FATAL(dk_file_write(dk_harness_directory(), "key", cases[i].text, strlen(cases[i].text),
                                            DK_WRITE_REPLACE, NULL),
                              DK_OK);
        got = (struct dk_stamp_key){0};
        CU_ASSERT_EQUAL(dk_stamp_key_read(path, &got, &fault), cases[i].len > 0 ? DK_OK : DK_ERR_DATA);
        CU_ASSERT_EQUAL(got.len, cases[i].len);
        if (cases[i].len > 0) {
            CU_ASSERT_EQUAL(memcmp(got.data, key.data, 16), 0);
        } else {
            CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "hexadecimal"));
        }
    }
    CU_ASSERT_EQUAL(dk_stamp_key_read("/no/such/key", &got, NULL), DK_ERR_NO_INPUT);
}

static void no_two_servers_answer_each_other(void)
{
    CU_ASSERT_FALSE(dk_stamp_may_answer(862, 50000));
    CU_ASSERT_FALSE(dk_stamp_may_answer(7, 862));
    CU_ASSERT_FALSE(dk_stamp_may_answer(0, 862));
    CU_ASSERT_FALSE(dk_stamp_may_answer(50000, 50000));
    CU_ASSERT_TRUE(dk_stamp_may_answer(50001, 50000));
    CU_ASSERT_TRUE(dk_stamp_may_answer(1024, 862));
}

// A UDP socket on a free port of 127.0.0.1, or connected to `peer`.
static int udp(const struct sockaddr_in *peer)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    CU_ASSERT_TRUE_FATAL(fd >= 0);
    if (peer != NULL) {
        CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)peer, sizeof *peer), 0);
    } else {
        CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *)&any, sizeof any), 0);
    }
    return fd;
}

static void reflector_serves_a_socket_within_its_rate(void)
{
    enum { RATE = 20, SENT = 50 };
    struct sockaddr_in own = {0};
    socklen_t own_len = sizeof own;
    int server = udp(NULL);
    struct dk_reflector *reflector = NULL;
    uint8_t packet[100] = {0};
    struct dk_datagram got;
    int answers = 0;

    CU_ASSERT_EQUAL_FATAL(getsockname(server, (struct sockaddr *)&own, &own_len), 0);
    CU_ASSERT_EQUAL_FATAL(dk_reflector_new(server, RATE, NULL, &reflector, NULL), DK_OK);

    int client = udp(&own);

    struct dk_wall before = dk_wall_now();

    dk_datagram_prepare(client, AF_INET, DK_SENDINGS_NONE);
    CU_ASSERT_EQUAL(send(client, packet, 43, 0), 43);
    CU_ASSERT_EQUAL(send(client, packet, 0, 0), 0);
    for (int i = 0; i < SENT; i++) {
        packet[3] = (uint8_t)i;
        CU_ASSERT_EQUAL(send(client, packet, sizeof packet, 0), (ssize_t)sizeof packet);
    }

    dk_reflector_serve(reflector);

    struct dk_wall after = dk_wall_now();

    while (dk_datagram_receive(client, &got) == 1) {
        struct dk_stamp_answer answer = {0};

        CU_ASSERT_EQUAL(got.len, sizeof packet);
        CU_ASSERT_TRUE(dk_stamp_get_answer(got.data, got.len, &answer));
        CU_ASSERT_EQUAL(answer.sequence, (uint32_t)answers);
        CU_ASSERT_TRUE(answer.sender_ttl > 0);
        CU_ASSERT_TRUE(dk_stamp_between_ns(answer.received, dk_stamp_from_wall(before), 0) >= 0);
        CU_ASSERT_TRUE(dk_stamp_between_ns(answer.timestamp, answer.received, 0) > 0);
        CU_ASSERT_TRUE(dk_stamp_between_ns(dk_stamp_from_wall(after), answer.timestamp, 0) >= 0);
        answers++;
    }

    struct dk_reflector_counts counts = dk_reflector_counts(reflector);

    // A new second may begin in between and allow as many again.
    CU_ASSERT_TRUE(answers >= RATE && answers <= 2 * RATE);
    CU_ASSERT_EQUAL(counts.answered, answers);
    CU_ASSERT_EQUAL(counts.malformed, 2);
    CU_ASSERT_EQUAL(counts.answered + counts.limited, SENT);
    dk_reflector_free(reflector);
    close(client);
    close(server);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(request_is_as_rfc_8762_draws_it),
                                           DK_CASE(answer_is_as_rfc_8762_draws_it),
                                           DK_CASE(timestamps_are_ntp_or_ptp),
                                           DK_CASE(error_estimate_is_never_too_small),
                                           DK_CASE(reflector_answers_with_what_it_got),
                                          DK_CASE(tlvs_are_as_rfc_8972_draws_them),
                                          DK_CASE(tlvs_that_are_not_known_or_wrong_are_marked),
                                          DK_CASE(tlvs_are_sealed_in_the_authenticated_mode),
                                          DK_CASE(sessions_are_kept_apart_and_forgotten),
                                          DK_CASE(loss_is_split_by_what_the_reflector_counted),
                                           DK_CASE(authenticated_packets_are_as_rfc_8762_draws_them),
                                           DK_CASE(what_was_written_without_the_key_is_not_read),
                                           DK_CASE(keys_are_hexadecimal_files),
                                           DK_CASE(no_two_servers_answer_each_other),
                                           DK_CASE(reflector_serves_a_socket_within_its_rate),
                                           {0}};

    return dk_harness_main(argc, argv, "stamp", cases);
}
