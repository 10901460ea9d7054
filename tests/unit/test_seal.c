// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/base64url.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "tests/harness/harness.h"

static const char payload[] =
    "{\"schema\":\"dokiem.record/1\",\"seq\":1,\"note\":\"Nhà văn hóa thôn Ea Tul\"}";

static struct dk_key *new_key(void)
{
    struct dk_key *key = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, NULL), DK_OK);
    return key;
}

static void seal(const struct dk_key *key, const char *typ, struct dk_buf *out)
{
    CU_ASSERT_EQUAL_FATAL(dk_seal(key, typ, payload, strlen(payload), out, NULL), DK_OK);
}

// A JWS with any header, signed as it should be.
static void forge(const struct dk_key *key, const char *header, struct dk_buf *out)
{
    uint8_t signature[DK_SIGNATURE_SIZE];

    CU_ASSERT_EQUAL(dk_base64url_encode(header, strlen(header), out), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_printf(out, "."), DK_OK);
    CU_ASSERT_EQUAL(dk_base64url_encode(payload, strlen(payload), out), DK_OK);
    CU_ASSERT_EQUAL(dk_key_sign(key, out->data, out->len, signature, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_printf(out, "."), DK_OK);
    CU_ASSERT_EQUAL(dk_base64url_encode(signature, sizeof signature, out), DK_OK);
}

// Asserts that `text` is refused with `words` among the reasons, and that nothing comes out.
static void assert_refused(const struct dk_key *key, const char *text, size_t len, const char *words)
{
    struct dk_fault fault = {0};
    dk_auto_buf struct dk_buf out = dk_buf_make(1000);

    CU_ASSERT_EQUAL(dk_open(key, DK_TYP_RECORD, text, len, &out, &fault), DK_ERR_DATA);
    CU_ASSERT_EQUAL(out.len, 0);
    if (strstr(fault.what, words) == NULL)
        printf("    wanted \"%s\" in \"%s\"\n", words, fault.what);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, words));
}

static void opens_what_it_sealed(void)
{
    dk_auto(key) struct dk_key *key = new_key();

    for (int i = 0; i < 40; i++) {
        uint8_t data[500];
        size_t len = (size_t)dk_random_between(0, sizeof data);
        dk_auto_buf struct dk_buf jws = dk_buf_make(2000), out = dk_buf_make(len), bare = dk_buf_make(len);
        char id[DK_SHA256_TEXT_SIZE];

        for (size_t k = 0; k < len; k++)
            data[k] = (uint8_t)dk_random();
        CU_ASSERT_EQUAL_FATAL(dk_seal(key, DK_TYP_RECEIPT, data, len, &jws, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_open(key, DK_TYP_RECEIPT, jws.data, jws.len, &out, NULL), DK_OK);
        CU_ASSERT_TRUE(out.len == len && (len == 0 || memcmp(out.data, data, len) == 0));
        CU_ASSERT_EQUAL(dk_jws_payload(jws.data, jws.len, &bare, NULL), DK_OK);
        CU_ASSERT_TRUE(bare.len == len && (len == 0 || memcmp(bare.data, data, len) == 0));
        CU_ASSERT_EQUAL(dk_jws_key_id(jws.data, jws.len, DK_TYP_RECEIPT, id, NULL), DK_OK);
        CU_ASSERT_STRING_EQUAL(id, dk_key_id(key));
        CU_ASSERT_EQUAL(dk_jws_key_id(jws.data, jws.len, DK_TYP_RECORD, id, NULL), DK_ERR_DATA);
    }
}

static void header_is_the_one_documented(void)
{
    dk_auto(key) struct dk_key *key = new_key();
    dk_auto_buf struct dk_buf jws = dk_buf_make(2000), header = dk_buf_make(200);
    char expected[200];

    seal(key, DK_TYP_RECORD, &jws);
    snprintf(expected, sizeof expected, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}",
             dk_key_id(key));
    CU_ASSERT_EQUAL(dk_base64url_decode(jws.data, (size_t)(strchr(jws.data, '.') - jws.data), &header),
                    DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&header), expected);
}

static void every_flipped_bit_is_refused(void)
{
    dk_auto(key) struct dk_key *key = new_key();
    dk_auto_buf struct dk_buf jws = dk_buf_make(2000);

    seal(key, DK_TYP_RECORD, &jws);
    for (size_t bit = 0; bit < jws.len * 8; bit++) {
        char *at = &jws.data[bit / 8];
        char before = *at;
        struct dk_fault fault = {0};
        dk_auto_buf struct dk_buf out = dk_buf_make(1000);

        *at = (char)(before ^ 1 << bit % 8);
        CU_ASSERT_EQUAL(dk_open(key, DK_TYP_RECORD, jws.data, jws.len, &out, &fault), DK_ERR_DATA);
        CU_ASSERT_EQUAL(out.len, 0);
        CU_ASSERT_NOT_EQUAL(fault.what[0], '\0');
        *at = before;
    }
    CU_ASSERT_EQUAL(dk_open(key, DK_TYP_RECORD, jws.data, jws.len, &(struct dk_buf){0}, NULL), DK_ERR_DATA);
}

static void every_shorter_or_longer_text_is_refused(void)
{
    dk_auto(key) struct dk_key *key = new_key();
    dk_auto_buf struct dk_buf jws = dk_buf_make(2000);

    seal(key, DK_TYP_RECORD, &jws);
    for (size_t len = 0; len < jws.len; len++) {
        dk_auto_buf struct dk_buf out = dk_buf_make(1000);

        CU_ASSERT_EQUAL(dk_open(key, DK_TYP_RECORD, jws.data, len, &out, NULL), DK_ERR_DATA);
    }
    for (int c = 0; c < 256; c++) {
        char more = (char)c;
        dk_auto_buf struct dk_buf longer = dk_buf_make(2000);

        CU_ASSERT_EQUAL(dk_buf_append(&longer, jws.data, jws.len), DK_OK);
        CU_ASSERT_EQUAL(dk_buf_append(&longer, &more, 1), DK_OK);
        assert_refused(key, longer.data, longer.len, c == '.' ? "parts" : "signature");
    }
}

static void two_records_in_one_are_refused(void)
{
    static const char *const between[] = {"", "\n", " ", "\r\n"};
    dk_auto(key) struct dk_key *key = new_key();

    for (size_t i = 0; i < sizeof between / sizeof between[0]; i++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(4000);

        seal(key, DK_TYP_RECORD, &jws);
        CU_ASSERT_EQUAL(dk_buf_printf(&jws, "%s", between[i]), DK_OK);
        seal(key, DK_TYP_RECORD, &jws);
        assert_refused(key, jws.data, jws.len, "more than one JWS");
    }
}

static void headers_are_diagnosed(void)
{
    dk_auto(key) struct dk_key *key = new_key();
    dk_auto(key) struct dk_key *other = new_key();
    const char *id = dk_key_id(key), *other_id = dk_key_id(other);
    const struct {
        const char *format, *words;
        const char *kid;
    } cases[] = {
        {"{\"alg\":\"none\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "not signed", id},
        {"{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "shared secret", id},
        {"{\"alg\":\"RS256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "alg is \"RS256\"", id},
        {"{\"alg\":\"es256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "alg is \"es256\"", id},
        {"{\"alg\":5,\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "alg is not a string", id},
        {"{\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "alg is missing", id},
        {"{\"alg\":\"\\u001b[2J\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "unprintable", id},
        {"{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "signed by another key", other_id},
        {"{\"alg\":\"ES256\",\"typ\":\"dokiem-record\"}", "kid is missing", id},
        {"{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-receipt\"}", "typ is \"dokiem-receipt\"", id},
        {"{\"alg\":\"ES256\",\"kid\":\"%s\"}", "typ is missing", id},
        {"{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\",\"crit\":[\"b64\"],\"b64\":false}",
         "crit", id},
        {"{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\",\"x\":1}", "other members", id},
        {"{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\",\"jwk\":{}}", "other members", id},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}",
         "not a JSON object", id},
        {"{\"kid\":\"%s\",\"alg\":\"ES256\",\"typ\":\"dokiem-record\"}", "not written as dokiem", id},
        {"{\"alg\": \"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "not written as dokiem", id},
        {"{\"alg\":\"\\u0045S256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}", "not written as dokiem", id},
        {"[\"%s\"]", "not a JSON object", id},
        {"nonsense %s", "not a JSON object", id},
        {"\x80%s", "not a JSON object", id},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[300], claimed[DK_SHA256_TEXT_SIZE] = "";
        dk_auto_buf struct dk_buf jws = dk_buf_make(4000);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(header, sizeof header, cases[i].format, cases[i].kid);
#pragma GCC diagnostic pop
        forge(key, header, &jws);
        assert_refused(key, jws.data, jws.len, cases[i].words);
        // To look up a key, another key's header is as good as any.
        CU_ASSERT_EQUAL(dk_jws_key_id(jws.data, jws.len, DK_TYP_RECORD, claimed, NULL),
                        cases[i].kid == other_id ? DK_OK : DK_ERR_DATA);
    }
}

static void kid_must_be_a_thumbprint(void)
{
    static const char *const bad[] = {"", "abc", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
                                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "../../etc/passwd"};
    dk_auto(key) struct dk_key *key = new_key();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char header[300], id[DK_SHA256_TEXT_SIZE] = "untouched";
        struct dk_fault fault = {0};
        dk_auto_buf struct dk_buf jws = dk_buf_make(4000);

        snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}",
                 bad[i]);
        forge(key, header, &jws);
        CU_ASSERT_EQUAL(dk_jws_key_id(jws.data, jws.len, DK_TYP_RECORD, id, &fault), DK_ERR_DATA);
        CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "kid"));
        CU_ASSERT_STRING_EQUAL(id, "untouched");
    }
}

static void other_keys_and_stolen_signatures_are_refused(void)
{
    dk_auto(key) struct dk_key *key = new_key();
    dk_auto(key) struct dk_key *other = new_key();
    dk_auto_buf struct dk_buf jws = dk_buf_make(4000), forged = dk_buf_make(4000), empty = dk_buf_make(4000);
    char header[200];

    seal(other, DK_TYP_RECORD, &jws);
    assert_refused(key, jws.data, jws.len, "signed by another key");
    snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"dokiem-record\"}",
             dk_key_id(key));
    forge(other, header, &forged);
    assert_refused(key, forged.data, forged.len, "does not fit");
    forge(key, header, &empty);
    empty.len = (size_t)(strrchr(empty.data, '.') + 1 - empty.data);
    assert_refused(key, empty.data, empty.len, "64 bytes");
}

static void length_has_a_bound(void)
{
    dk_auto(key) struct dk_key *key = new_key();
    char *big = calloc(1, DK_JWS_MAX_BYTES + 1);
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), small = dk_buf_make(strlen(payload) - 1),
                              fits = dk_buf_make(4000);
    struct dk_fault fault = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_RECORD, big, DK_JWS_MAX_BYTES, &jws, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(jws.len, 0);
    memset(big, 'A', DK_JWS_MAX_BYTES + 1);
    assert_refused(key, big, DK_JWS_MAX_BYTES + 1, "longer than");
    big[DK_JWS_MAX_BYTES - 1] = big[DK_JWS_MAX_BYTES - 2] = '.';
    assert_refused(key, big, DK_JWS_MAX_BYTES, "header is longer");
    free(big);
    seal(key, DK_TYP_RECORD, &fits);
    CU_ASSERT_EQUAL(dk_open(key, DK_TYP_RECORD, fits.data, fits.len, &small, &fault), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "longer"));
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(opens_what_it_sealed),
        DK_CASE(header_is_the_one_documented),
        DK_CASE(every_flipped_bit_is_refused),
        DK_CASE(every_shorter_or_longer_text_is_refused),
        DK_CASE(two_records_in_one_are_refused),
        DK_CASE(headers_are_diagnosed),
        DK_CASE(kid_must_be_a_thumbprint),
        DK_CASE(other_keys_and_stolen_signatures_are_refused),
        DK_CASE(length_has_a_bound),
        {0},
    };

    return dk_harness_main(argc, argv, "seal", cases);
}
