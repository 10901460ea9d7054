// SPDX-License-Identifier: Apache-2.0
//
// DNS messages: what is asked, and what of the answers is believed.
#include <stdio.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/network.h"
#include "probes/dns/asked.h"
#include "probes/dns/dns.h"
#include "probes/dns/message.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { A = 1, NS = 2, CNAME = 5, AAAA = 28, OPT = 41, RRSIG = 46, IN = 1, HEADER = 12, WIRE_MAX = 4096 };
enum { QR = 0x8000, AA = 0x0400, TC = 0x0200, RD = 0x0100, RA = 0x0080, AD = 0x0020 };

// A message that is written as a case wants it.
struct wire {
    uint8_t data[WIRE_MAX];
    struct dk_writer w;
};

static size_t len_of(const struct wire *wire)
{
    return WIRE_MAX - wire->w.left;
}

static void begin(struct wire *wire, uint16_t id, int flags, int questions, int answers, int authorities, int others)
{
    wire->w = (struct dk_writer){wire->data, WIRE_MAX, false};
    dk_put_u16(&wire->w, id);
    dk_put_u16(&wire->w, (uint16_t)flags);
    dk_put_u16(&wire->w, (uint16_t)questions);
    dk_put_u16(&wire->w, (uint16_t)answers);
    dk_put_u16(&wire->w, (uint16_t)authorities);
    dk_put_u16(&wire->w, (uint16_t)others);
}

// Labels with dots between, then the root; "@N" is a pointer to byte N, "" nothing.
static void put_name(struct wire *wire, const char *name)
{
    while (*name != '\0' && *name != '@') {
        size_t len = strcspn(name, ".");

        dk_put_u8(&wire->w, (uint8_t)len);
        for (size_t i = 0; i < len; i++)
            dk_put_u8(&wire->w, (uint8_t)name[i]);
        name += len + (name[len] == '.');
    }
    if (*name == '@') {
        unsigned at = 0;

        for (name++; *name != '\0'; name++)
            at = at * 10 + (unsigned)(*name - '0');
        dk_put_u16(&wire->w, (uint16_t)(0xc000 | at));
    } else {
        dk_put_u8(&wire->w, 0);
    }
}

static void put_question(struct wire *wire, const char *name, int type)
{
    put_name(wire, name);
    dk_put_u16(&wire->w, (uint16_t)type);
    dk_put_u16(&wire->w, IN);
}

static void put_head(struct wire *wire, const char *owner, int type, int class, uint32_t ttl, size_t len)
{
    put_name(wire, owner);
    dk_put_u16(&wire->w, (uint16_t)type);
    dk_put_u16(&wire->w, (uint16_t)class);
    dk_put_u32(&wire->w, ttl);
    dk_put_u16(&wire->w, (uint16_t)len);
}

static void put_data(struct wire *wire, const char *owner, int type, size_t len)
{
    put_head(wire, owner, type, IN, 60, len);
    dk_put_zero(&wire->w, len);
}

static void put_alias(struct wire *wire, const char *owner, const char *target)
{
    static struct wire scratch;

    scratch.w = (struct dk_writer){scratch.data, WIRE_MAX, false};
    put_name(&scratch, target);
    put_head(wire, owner, CNAME, IN, 60, len_of(&scratch));
    for (size_t i = 0, len = len_of(&scratch); i < len; i++)
        dk_put_u8(&wire->w, scratch.data[i]);
}

static const struct dk_dns_question *question(void)
{
    static struct dk_dns_question out;

    CU_ASSERT_TRUE_FATAL(dk_dns_question_make("www.example.vn", A, 0x1234, &out));
    return &out;
}

static enum dk_dns_reading reading(const struct wire *wire, struct dk_dns_answer *out)
{
    *out = (struct dk_dns_answer){.rcode = -1};
    return dk_dns_read(wire->data, len_of(wire), question(), out);
}

static void a_query_is_as_rfc_1035_and_6891_draw_it(void)
{
    static const uint8_t expected[] = {0x12, 0x34, 1,   0,   0,   1,   0, 0, 0,   0,   0, 1, 3, 'w', 'w', 'w', 7,
                                       'e',  'x',  'a', 'm', 'p', 'l', 'e', 2, 'v', 'n', 0, 0, 1, 0,   1,   0,   0,
                                       41,   0x04, 0xd0, 0,  0,   0x80, 0,  0, 0};
    uint8_t out[DK_DNS_QUERY_MAX];

    CU_ASSERT_EQUAL(dk_dns_put_query(question(), out), sizeof expected);
    CU_ASSERT_EQUAL(memcmp(out, expected, sizeof expected), 0);
}

static void names_are_host_names(void)
{
    static char label63[] = "123456789012345678901234567890123456789012345678901234567890123";
    char longest[300], too_long[300];
    struct dk_dns_question made;
    uint8_t out[DK_DNS_QUERY_MAX];
    const char *const good[] = {"a", "a.b", "a.b.", "A-9_x.example.vn", label63, longest},
                     *const bad[] = {"", ".", "a..b", ".a", "a..", "a b", "a/b", "é.vn", "a\n", "*", too_long, "a.b..",
                                     "1234567890123456789012345678901234567890123456789012345678901234"};

    snprintf(longest, sizeof longest, "%s.%s.%s.%.61s", label63, label63, label63, label63);
    snprintf(too_long, sizeof too_long, "%s.%s.%s.%.62s", label63, label63, label63, label63);
    for (size_t i = 0; i < COUNT(good); i++) {
        CU_ASSERT_TRUE(dk_dns_question_make(good[i], A, 1, &made));
        CU_ASSERT_TRUE(made.name_len <= DK_DNS_NAME_MAX && made.name[made.name_len - 1] == 0);
        CU_ASSERT_EQUAL(dk_dns_put_query(&made, out), 12 + made.name_len + 4 + 11);
    }
    CU_ASSERT_EQUAL(made.name_len, DK_DNS_NAME_MAX);
    for (size_t i = 0; i < COUNT(bad); i++)
        CU_ASSERT_FALSE(dk_dns_question_make(bad[i], A, 1, &made));
}

static void an_answer_says_what_it_says(void)
{
    struct wire wire;
    struct dk_dns_answer answer;

    // An alias, two addresses of it, a signature, a stranger; flags, and the upper bits of the RCODE.
    begin(&wire, 0x1234, QR | RD | RA | AD | 3, 1, 5, 1, 1);
    put_question(&wire, "WWW.example.VN", A);
    put_alias(&wire, "@12", "cdn.@16");
    put_data(&wire, "cdn.example.vn", A, 4);
    put_data(&wire, "CDN.@16", A, 4);
    put_data(&wire, "@12", RRSIG, 70);
    put_data(&wire, "evil.vn", A, 4);
    put_data(&wire, "@16", NS, 3);
    put_head(&wire, "", OPT, 1232, 0x01000000, 0);
    CU_ASSERT_EQUAL(reading(&wire, &answer), DK_DNS_ANSWER);
    CU_ASSERT_EQUAL(answer.rcode, 0x13);
    CU_ASSERT_TRUE(answer.authenticated && !answer.truncated);
    CU_ASSERT_EQUAL(answer.answers, 2);
    CU_ASSERT_EQUAL(answer.unrelated, 1);

    // Aliases in any order; an address of the other family, of another class, and of an alias count for nothing.
    begin(&wire, 0x1234, QR, 1, 6, 0, 0);
    put_question(&wire, "www.example.vn", A);
    put_data(&wire, "c.vn", A, 4);
    put_alias(&wire, "b.vn", "c.vn");
    put_alias(&wire, "www.example.vn", "b.vn");
    put_data(&wire, "c.vn", AAAA, 16);
    put_head(&wire, "c.vn", A, 3, 60, 0);
    put_data(&wire, "b.vn", A, 4);
    CU_ASSERT_EQUAL(reading(&wire, &answer), DK_DNS_ANSWER);
    CU_ASSERT_EQUAL(answer.answers, 1);
    CU_ASSERT_EQUAL(answer.unrelated, 1);

    // No data, and a cut one.
    begin(&wire, 0x1234, QR | AA, 1, 0, 0, 0);
    put_question(&wire, "www.example.vn", A);
    CU_ASSERT_EQUAL(reading(&wire, &answer), DK_DNS_ANSWER);
    CU_ASSERT_TRUE(answer.rcode == 0 && answer.answers == 0);
    begin(&wire, 0x1234, QR | TC, 1, 3, 0, 0);
    put_question(&wire, "www.example.vn", A);
    put_data(&wire, "@12", A, 4);
    CU_ASSERT_EQUAL(reading(&wire, &answer), DK_DNS_ANSWER);
    CU_ASSERT_TRUE(answer.truncated && answer.answers == 1);
}

static void answers_to_other_questions_are_mismatched(void)
{
    static const struct {
        uint16_t id;
        int flags, questions;
        const char *name;
        int type, class;
    } cases[] = {
        {0x1235, QR, 1, "www.example.vn", A, IN},          {0x1234, 0, 1, "www.example.vn", A, IN},
        {0x1234, QR | 0x2800, 1, "www.example.vn", A, IN}, {0x1234, QR, 0, "www.example.vn", A, IN},
        {0x1234, QR, 2, "www.example.vn", A, IN},          {0x1234, QR, 1, "www.example.com", A, IN},
        {0x1234, QR, 1, "example.vn", A, IN},              {0x1234, QR, 1, "www.example.vn.x", A, IN},
        {0x1234, QR, 1, "www.example.vn", AAAA, IN},       {0x1234, QR, 1, "www.example.vn", A, 3},
        {0x1234, QR, 1, "", A, IN},
    };
    struct wire wire;
    struct dk_dns_answer answer;

    for (size_t i = 0; i < COUNT(cases); i++) {
        begin(&wire, cases[i].id, cases[i].flags, cases[i].questions, 0, 0, 0);
        put_name(&wire, cases[i].name);
        dk_put_u16(&wire.w, (uint16_t)cases[i].type);
        dk_put_u16(&wire.w, (uint16_t)cases[i].class);
        CU_ASSERT_EQUAL(reading(&wire, &answer), DK_DNS_MISMATCHED);
        CU_ASSERT_EQUAL(answer.rcode, -1);
    }
}

// Begins a good answer with `answers` records, and with a question that ends at byte 32.
static void answered(struct wire *wire, int answers, int others)
{
    begin(wire, 0x1234, QR, 1, answers, 0, others);
    put_question(wire, "www.example.vn", A);
}

static void expect_malformed(const struct wire *wire)
{
    struct dk_dns_answer answer;

    CU_ASSERT_EQUAL(reading(wire, &answer), DK_DNS_MALFORMED);
    CU_ASSERT_EQUAL(answer.rcode, -1);
}

static void names_in_circles_are_malformed(void)
{
    // At byte 32: itself, forward, beyond the end, into the header; labels of no kind.
    static const char *const pointers[] = {"@32", "@34", "@1000", "@16383", "@4", "x.@32", "x.@34"};
    struct wire wire;

    for (size_t i = 0; i < COUNT(pointers); i++) {
        answered(&wire, 1, 0);
        put_data(&wire, pointers[i], A, 4);
        expect_malformed(&wire);
    }
    for (int kind = 0x40; kind <= 0x80; kind += 0x40) {
        answered(&wire, 1, 0);
        dk_put_u8(&wire.w, (uint8_t)kind);
        put_data(&wire, "", A, 4);
        expect_malformed(&wire);
    }
    // Two pointers that point at each other, the second one in the data of a record.
    answered(&wire, 2, 0);
    put_head(&wire, "@12", NS, IN, 60, 2);
    dk_put_u16(&wire.w, 0xc000 | 46);
    put_data(&wire, "@44", A, 4);
    expect_malformed(&wire);
    // A name that grows beyond 255 bytes with each pointer it follows.
    answered(&wire, 6, 0);
    for (int i = 0; i < 6; i++) {
        char owner[100];
        size_t at = len_of(&wire);

        snprintf(owner, sizeof owner, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff.@%zu",
                 i == 0 ? (size_t)12 : at - 77);
        put_data(&wire, owner, A, 4);
        CU_ASSERT_EQUAL(len_of(&wire) - at, 77);
    }
    expect_malformed(&wire);
}

static void counts_and_sizes_must_fit(void)
{
    struct wire wire;

    // Counts that do not fit, sizes that do not fit, more behind the end.
    answered(&wire, 2, 0);
    put_data(&wire, "@12", A, 4);
    expect_malformed(&wire);
    answered(&wire, 65535, 65535);
    put_data(&wire, "@12", A, 4);
    expect_malformed(&wire);
    answered(&wire, 1, 0);
    put_data(&wire, "@12", A, 5);
    expect_malformed(&wire);
    answered(&wire, 1, 0);
    put_head(&wire, "@12", A, IN, 60, 400);
    dk_put_u32(&wire.w, 0);
    expect_malformed(&wire);
    answered(&wire, 0, 0);
    dk_put_u8(&wire.w, 0);
    expect_malformed(&wire);
}

static void aliases_and_options_must_make_sense(void)
{
    struct wire wire;
    struct dk_dns_answer answer;

    // An alias that is no name, or has more behind it; aliases in a circle.
    answered(&wire, 1, 0);
    put_data(&wire, "@12", CNAME, 0);
    expect_malformed(&wire);
    answered(&wire, 1, 0);
    put_data(&wire, "@12", CNAME, 2);
    expect_malformed(&wire);
    answered(&wire, 1, 0);
    put_alias(&wire, "@12", "www.example.vn");
    expect_malformed(&wire);
    answered(&wire, 2, 0);
    put_alias(&wire, "@12", "b.vn");
    put_alias(&wire, "b.vn", "@12");
    expect_malformed(&wire);
    // OPT: twice, not the root's, not where it belongs.
    answered(&wire, 0, 2);
    put_head(&wire, "", OPT, 1232, 0, 0);
    put_head(&wire, "", OPT, 1232, 0, 0);
    expect_malformed(&wire);
    answered(&wire, 0, 1);
    put_head(&wire, "@12", OPT, 1232, 0, 0);
    expect_malformed(&wire);
    answered(&wire, 1, 0);
    put_head(&wire, "", OPT, 1232, 0, 0);
    expect_malformed(&wire);
    // 16 aliases are followed, 17 are not; 256 records are read, 257 are not.
    for (int count = 16; count <= 17; count++) {
        char from[16], to[16];

        answered(&wire, count, 0);
        for (int i = 0; i < count; i++) {
            snprintf(from, sizeof from, "a%d", i);
            snprintf(to, sizeof to, "a%d", i + 1);
            put_alias(&wire, i == 0 ? "@12" : from, to);
        }
        CU_ASSERT_EQUAL(reading(&wire, &answer), count == 16 ? DK_DNS_ANSWER : DK_DNS_MALFORMED);
    }
    for (int count = 256; count <= 257; count++) {
        answered(&wire, count, 0);
        for (int i = 0; i < count; i++)
            put_data(&wire, "@12", NS, 0);
        CU_ASSERT_EQUAL(reading(&wire, &answer), count == 256 ? DK_DNS_ANSWER : DK_DNS_MALFORMED);
    }
}

// Cut anywhere it is malformed; with any bit turned over it is read within its bounds, and never as more than it was.
static void no_damage_is_believed(void)
{
    struct wire wire;
    struct dk_dns_answer answer;

    for (int round = 0; round < 3000; round++) {
        answered(&wire, 2, 1);
        put_alias(&wire, "@12", "cdn.@16");
        put_data(&wire, "cdn.example.vn", A, 4);
        put_head(&wire, "", OPT, 1232, 0, 0);

        size_t len = len_of(&wire), cut = (size_t)dk_random_between(0, (int64_t)len - 1);
        uint8_t copy[256];

        memcpy(copy, wire.data, cut);
        CU_ASSERT_EQUAL(dk_dns_read(copy, cut, question(), &answer), DK_DNS_MALFORMED);
        memcpy(copy, wire.data, len);
        for (int64_t i = dk_random_between(1, 4); i > 0; i--)
            copy[dk_random_between(0, (int64_t)len - 1)] ^= (uint8_t)(1 << dk_random_between(0, 7));
        if (dk_dns_read(copy, len, question(), &answer) == DK_DNS_ANSWER) {
            CU_ASSERT_TRUE(answer.answers <= 2 && answer.unrelated <= 3 && answer.rcode >= 0 && answer.rcode <= 4095);
            CU_ASSERT_EQUAL(memcmp(copy, wire.data, 2), 0);
        }
    }
}

static void the_name_comes_from_the_url(void)
{
    static const struct {
        const char *url, *host; // NULL: none
    } cases[] = {
        {"http://speed.example.vn", "speed.example.vn"},
        {"https://Speed.example.vn:8443/x?y", "Speed.example.vn"},
        {"http://localhost/", NULL},
        {"http://192.0.2.1:8080", NULL},
        {"http://[2001:db8::1]/", NULL},
        {"http://", NULL},
        {"speed.example.vn", NULL},
        {"http://a..b/", NULL},
        {"", NULL},
    };
    char host[DK_DNS_TEXT_SIZE];

    for (size_t i = 0; i < COUNT(cases); i++) {
        bool found = dk_dns_host(cases[i].url, host);

        CU_ASSERT_EQUAL(found, cases[i].host != NULL);
        if (found && cases[i].host != NULL)
            CU_ASSERT_STRING_EQUAL(host, cases[i].host);
    }
}

static void addresses_with_ports_are_read_strictly(void)
{
    static const struct {
        const char *text, *address; // NULL: refused
        int64_t port;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", 53},   {"192.0.2.1:5353", "192.0.2.1", 5353}, {"2001:db8::1", "2001:db8::1", 53},
        {"[2001:db8::1]", "2001:db8::1", 53}, {"[::1]:1", "::1", 1},             {"", NULL, 0},
        {"192.0.2.1:0", NULL, 0},         {"192.0.2.1:", NULL, 0},               {"192.0.2.1:65536", NULL, 0},
        {"192.0.2", NULL, 0},             {"dns.example.vn", NULL, 0},           {"[192.0.2.1]:53", NULL, 0},
        {"[::1", NULL, 0},                {"[::1]x", NULL, 0},                   {"::1:99999", NULL, 0},
        {"192.0.2.1 ", NULL, 0},          {"fe80::1%eth0", NULL, 0},
    };
    char address[INET6_ADDRSTRLEN];
    int64_t port = 0;

    for (size_t i = 0; i < COUNT(cases); i++) {
        bool read = dk_address_port(cases[i].text, strlen(cases[i].text), 53, address, &port);

        CU_ASSERT_EQUAL(read, cases[i].address != NULL);
        if (read && cases[i].address != NULL) {
            CU_ASSERT_STRING_EQUAL(address, cases[i].address);
            CU_ASSERT_EQUAL(port, cases[i].port);
        }
    }
}

static void addresses_of_the_users_side_are_cut(void)
{
    static const struct {
        const char *address, *local, *shown; // NULL: none
    } cases[] = {
        {"203.0.113.7", "10.1.2.3", "203.0.113.7"},
        {"203.0.113.7", "203.0.113.9", "203.0.113.0/24"},
        {"203.0.113.7", "", "203.0.113.7"},
        {"10.1.2.3", "", "10.1.2.0/24"},
        {"172.15.0.1", "", "172.15.0.1"},
        {"172.16.0.1", "", "172.16.0.0/24"},
        {"172.31.255.1", "", "172.31.255.0/24"},
        {"172.32.0.1", "", "172.32.0.1"},
        {"192.168.1.1", "", "192.168.1.0/24"},
        {"192.169.1.1", "", "192.169.1.1"},
        {"100.63.1.1", "", "100.63.1.1"},
        {"100.127.1.1", "", "100.127.1.0/24"},
        {"169.254.9.9", "", "169.254.9.0/24"},
        {"127.0.0.53", "127.0.0.1", "127.0.0.53"},
        {"::1", "::1", "::1"},
        {"2001:db8:1:2::3", "2001:db8:1:9::1", "2001:db8:1::/48"},
        {"2001:db8:1:2::3", "2001:db8:2::1", "2001:db8:1:2::3"},
        {"fd00:1:2:3::4", "", "fd00:1:2::/48"},
        {"fe80::1%eth0", "", "fe80::/48"},
        {"x", "", NULL},
    };
    char shown[DK_NETWORK_SIZE];

    for (size_t i = 0; i < COUNT(cases); i++) {
        bool is = dk_address_shown(cases[i].address, cases[i].local, shown);

        CU_ASSERT_EQUAL(is, cases[i].shown != NULL);
        if (is && cases[i].shown != NULL)
            CU_ASSERT_STRING_EQUAL(shown, cases[i].shown);
    }
}

// Runs the probe to its end.
static void measure(const struct dk_plan *plan, struct dk_measurement *out)
{
    struct dk_loop *loop = NULL;
    struct dk_probe_run *run = NULL;

    *out = (struct dk_measurement){0};
    CU_ASSERT_EQUAL_FATAL(dk_loop_new(&loop, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_probe_dns.start(loop, plan, out, &run, NULL), DK_OK);

    struct dk_mono deadline = dk_mono_add_ns(dk_mono_now(), dk_probe_dns.max_duration_ns(plan) + 20 * DK_NS_PER_S);

    while (!dk_probe_dns.done(run) && dk_mono_now().ns < deadline.ns)
        CU_ASSERT_EQUAL_FATAL(dk_loop_turn(loop, deadline), DK_OK);
    CU_ASSERT_TRUE(dk_probe_dns.done(run));
    dk_probe_dns.fill(run, out);
    dk_probe_dns.free(run);
    dk_loop_free(loop);
    CU_ASSERT_TRUE(out->data_used_bytes <= dk_probe_dns.max_bytes(plan));
}

static void without_a_name_nothing_is_asked(void)
{
    struct dk_plan plan = {.url = "http://127.0.0.1:1", .interface = "", .dns_servers = "127.0.0.1", .dns_names = ""};
    struct dk_measurement out;

    measure(&plan, &out);
    CU_ASSERT_EQUAL(out.dns.status, DK_STATUS_NOT_MEASURED);
    CU_ASSERT_EQUAL(out.dns.count, 0);
    CU_ASSERT_EQUAL(out.data_used_bytes, 0);
    dk_measurement_free(&out);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(a_query_is_as_rfc_1035_and_6891_draw_it),
        DK_CASE(names_are_host_names),
        DK_CASE(an_answer_says_what_it_says),
        DK_CASE(answers_to_other_questions_are_mismatched),
        DK_CASE(names_in_circles_are_malformed),
        DK_CASE(counts_and_sizes_must_fit),
        DK_CASE(aliases_and_options_must_make_sense),
        DK_CASE(no_damage_is_believed),
        DK_CASE(the_name_comes_from_the_url),
        DK_CASE(addresses_with_ports_are_read_strictly),
        DK_CASE(addresses_of_the_users_side_are_cut),
        DK_CASE(without_a_name_nothing_is_asked),
        {0},
    };

    return dk_harness_main(argc, argv, "dns", cases);
}
