// SPDX-License-Identifier: Apache-2.0
//
// Replies are made by OpenSSL's own authority, with clocks and certificates of the test's choice.
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/record/time_stamp.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define POLICY       "1.3.6.1.4.1.32473.1"

enum { YEAR_S = 365 * 86400, NOW_S = 1'600'000'000 }; // in 2020: long ago

static const char record[] = "header.payload.signature";

// What one reply is made of. Zero: what is usual.
struct made {
    int64_t time_s;           // that the authority states
    int64_t from_s, until_s;  // of its certificate
    const char *name;         // its common name
    const char *use;          // its extended key usage
    const EVP_MD *digest;     // of its signature
    bool without_certificate; // in the reply
    bool with_critical, busy;
    unsigned precision; // decimals of the time
};

struct authority {
    EVP_PKEY *ca_key, *key;
    X509 *ca, *certificate;
};

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);

    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);

    CU_ASSERT_PTR_NOT_NULL_FATAL(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

// A certificate for `key`, signed by the issuer, or by itself when there is none.
static X509 *certify(EVP_PKEY *key, const char *name, const struct made *made, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);

    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer == NULL ? 1 : 2);
    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer == NULL ? certificate : issuer));
    ASN1_TIME_set(X509_getm_notBefore(certificate), made->from_s != 0 ? made->from_s : NOW_S - YEAR_S);
    ASN1_TIME_set(X509_getm_notAfter(certificate), made->until_s != 0 ? made->until_s : NOW_S + YEAR_S);
    X509_set_pubkey(certificate, key);
    if (issuer == NULL) {
        add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    } else {
        add_extension(certificate, issuer, NID_ext_key_usage, made->use != NULL ? made->use : "critical,timeStamping");
    }
    CU_ASSERT_TRUE_FATAL(X509_sign(certificate, issuer_key != NULL ? issuer_key : key, EVP_sha256()) > 0);
    return certificate;
}

static struct authority make_authority(const struct made *made)
{
    static const struct made usual = {.from_s = NOW_S - 10 * YEAR_S, .until_s = NOW_S + 10 * YEAR_S};
    struct authority a = {.ca_key = EVP_EC_gen("P-256"), .key = EVP_EC_gen("P-256")};

    CU_ASSERT_PTR_NOT_NULL_FATAL(a.ca_key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a.key);
    a.ca = certify(a.ca_key, "CA", &usual, NULL, NULL);
    a.certificate = certify(a.key, made->name != NULL ? made->name : "Tổ chức", made, a.ca, a.ca_key);
    return a;
}

static void free_authority(struct authority *a)
{
    EVP_PKEY_free(a->ca_key);
    EVP_PKEY_free(a->key);
    X509_free(a->ca);
    X509_free(a->certificate);
}

static struct dk_tsa *trust(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    struct dk_tsa *tsa = NULL;

    PEM_write_bio_X509(bio, certificate);

    long len = BIO_get_mem_data(bio, &pem);

    CU_ASSERT_EQUAL_FATAL(dk_tsa_read_text("ca.pem", pem, (size_t)len, &tsa, NULL), DK_OK);
    BIO_free(bio);
    return tsa;
}

static ASN1_INTEGER *give_serial(struct TS_resp_ctx *context, void *argument)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();

    (void)context;
    (void)argument;
    ASN1_INTEGER_set(serial, 7);
    return serial;
}

static int give_time(struct TS_resp_ctx *context, void *argument, long *seconds, long *microseconds)
{
    const struct made *made = argument;

    *seconds = made->time_s != 0 ? made->time_s : NOW_S;
    *microseconds = 123456;
    if (!made->busy)
        return 1;
    TS_RESP_CTX_set_status_info(context, TS_STATUS_REJECTION, "no\x1b[31m time");
    TS_RESP_CTX_add_failure_info(context, TS_INFO_TIME_NOT_AVAILABLE);
    return 0;
}

// The reply to a request, appended to `der`.
static void reply(const struct authority *a, const struct made *made, const struct dk_buf *request, struct dk_buf *der)
{
    TS_RESP_CTX *context = TS_RESP_CTX_new();
    ASN1_OBJECT *policy = OBJ_txt2obj(POLICY, 1), *other = OBJ_txt2obj(POLICY ".2", 1);
    const unsigned char *at = (const unsigned char *)request->data;
    unsigned char *bytes = NULL;
    TS_REQ *parsed = d2i_TS_REQ(NULL, &at, (long)request->len);
    BIO *bio = BIO_new(BIO_s_mem());
    struct made own = *made;

    CU_ASSERT_PTR_NOT_NULL_FATAL(parsed);
    TS_REQ_set_cert_req(parsed, !made->without_certificate);
    if (made->with_critical) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, "critical,x");

        TS_REQ_add_ext(parsed, extension, -1);
        X509_EXTENSION_free(extension);
    }
    CU_ASSERT_EQUAL(i2d_TS_REQ_bio(bio, parsed), 1);
    CU_ASSERT_EQUAL_FATAL(TS_RESP_CTX_set_signer_cert(context, a->certificate), 1);
    TS_RESP_CTX_set_signer_key(context, a->key);
    TS_RESP_CTX_set_signer_digest(context, made->digest != NULL ? made->digest : EVP_sha256());
    TS_RESP_CTX_set_ess_cert_id_digest(context, EVP_sha256());
    TS_RESP_CTX_set_def_policy(context, policy);
    TS_RESP_CTX_add_policy(context, other);
    TS_RESP_CTX_add_md(context, EVP_sha256());
    TS_RESP_CTX_set_accuracy(context, 2, 500, 250);
    TS_RESP_CTX_set_clock_precision_digits(context, made->precision);
    TS_RESP_CTX_set_serial_cb(context, give_serial, NULL);
    TS_RESP_CTX_set_time_cb(context, give_time, &own);

    TS_RESP *made_reply = TS_RESP_create_response(context, bio);

    CU_ASSERT_PTR_NOT_NULL_FATAL(made_reply);

    int len = i2d_TS_RESP(made_reply, &bytes);

    CU_ASSERT_TRUE_FATAL(len > 0 && dk_buf_append(der, bytes, (size_t)len) == DK_OK);
    OPENSSL_free(bytes);
    TS_RESP_free(made_reply);
    TS_REQ_free(parsed);
    BIO_free(bio);
    ASN1_OBJECT_free(policy);
    ASN1_OBJECT_free(other);
    TS_RESP_CTX_free(context);
    ERR_clear_error();
}

// One authority, one question, one reply.
struct exchange {
    struct authority authority;
    struct dk_tsa *tsa;
    struct dk_time_stamp_query query;
    struct dk_buf der;
};

static struct exchange exchange(const struct made *made, const char *policy)
{
    struct exchange e = {.authority = make_authority(made), .der = dk_buf_make(DK_TIME_STAMP_MAX_BYTES)};
    dk_auto_buf struct dk_buf request = dk_buf_make(1024);

    e.tsa = trust(e.authority.ca);
    snprintf(e.query.policy, sizeof e.query.policy, "%s", policy);
    CU_ASSERT_EQUAL_FATAL(dk_sha256_text(record, sizeof record - 1, e.query.record_sha256), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_time_stamp_ask(&e.query, &request, NULL), DK_OK);
    reply(&e.authority, made, &request, &e.der);
    return e;
}

static void end(struct exchange *e)
{
    free_authority(&e->authority);
    dk_tsa_free(e->tsa);
    dk_buf_free(&e->der);
}

// Checks the reply of `made`; with `words`, it must be refused so.
static void expect(const struct made *made, enum dk_err expected, const char *words)
{
    struct exchange e = exchange(made, "");
    struct dk_time_stamp stamp = {.accuracy_ns = -1};
    struct dk_fault fault = {0};
    enum dk_err err = dk_time_stamp_check(e.tsa, &e.query, e.der.data, e.der.len, &stamp, &fault);

    CU_ASSERT_EQUAL(err, expected);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, words));
    if (strstr(fault.what, words) == NULL || err != expected)
        printf("    %d, \"%s\", not \"%s\"\n", (int)err, fault.what, words);
    if (err != DK_OK)
        CU_ASSERT_EQUAL(stamp.accuracy_ns, -1); // untouched
    CU_ASSERT_EQUAL(ERR_peek_error(), 0);
    end(&e);
}

static void a_good_stamp_is_read(void)
{
    static const struct made made = {.precision = 3};
    struct exchange e = exchange(&made, "");
    struct dk_time_stamp stamp;
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL_FATAL(dk_time_stamp_check(e.tsa, &e.query, e.der.data, e.der.len, &stamp, &fault), DK_OK);
    CU_ASSERT_EQUAL(stamp.time.ns, NOW_S * DK_NS_PER_S + 123 * DK_NS_PER_MS);
    CU_ASSERT_EQUAL(stamp.accuracy_ns, 2'500'250'000);
    CU_ASSERT_STRING_EQUAL(stamp.record_sha256, e.query.record_sha256);
    CU_ASSERT_STRING_EQUAL(stamp.authority, "CN=Tổ chức");
    CU_ASSERT_STRING_EQUAL(stamp.policy, POLICY);
    // Later, nobody knows what was asked.
    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, NULL, e.der.data, e.der.len, &stamp, &fault), DK_OK);

    struct dk_tsa *pinned = trust(e.authority.certificate);

    CU_ASSERT_EQUAL(dk_time_stamp_check(pinned, NULL, e.der.data, e.der.len, &stamp, &fault), DK_OK);
    dk_tsa_free(pinned);
    end(&e);
}

static void certificates_are_judged_at_the_stamped_time(void)
{
    // Each of these certificates has expired by now.
    static const struct {
        int64_t time_s;
        enum dk_err expected;
        const char *words;
    } rows[] = {
        {NOW_S - YEAR_S, DK_OK, ""},
        {NOW_S + YEAR_S - 1, DK_OK, ""},
        {NOW_S - YEAR_S - 1, DK_ERR_DATA, "not yet valid"},
        {NOW_S + YEAR_S + 1, DK_ERR_DATA, "expired"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        expect(&(struct made){.time_s = rows[i].time_s}, rows[i].expected, rows[i].words);
}

static void what_is_wrong_is_told(void)
{
    expect(&(struct made){.without_certificate = true}, DK_ERR_DATA, "does not hold the authority's certificate");
    expect(&(struct made){.digest = EVP_sha1()}, DK_ERR_DATA, "another hash than SHA-256");
    expect(&(struct made){.digest = EVP_sha384()}, DK_OK, "");
    expect(&(struct made){.busy = true}, DK_ERR_NOT_NOW, "timeNotAvailable");
    expect(&(struct made){.with_critical = true}, DK_ERR_DATA, "unacceptedExtension");
}

static void it_must_answer_what_was_asked(void)
{
    static const struct made made = {0};
    struct exchange e = exchange(&made, POLICY ".2");
    struct dk_time_stamp_query other = e.query;
    struct dk_time_stamp stamp;
    struct dk_fault hash = {0}, nonce = {0}, policy = {0}, authority = {0};
    struct authority stranger = make_authority(&made);
    struct dk_tsa *tsa = trust(stranger.ca);

    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, &e.query, e.der.data, e.der.len, &stamp, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(stamp.policy, POLICY ".2");
    other.nonce++;
    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, &other, e.der.data, e.der.len, &stamp, &nonce), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(nonce.what, "nonce"));
    other = e.query;
    other.record_sha256[5] = other.record_sha256[5] == 'A' ? 'B' : 'A';
    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, &other, e.der.data, e.der.len, &stamp, &hash), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(hash.what, "something else"));
    other = e.query;
    snprintf(other.policy, sizeof other.policy, POLICY);
    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, &other, e.der.data, e.der.len, &stamp, &policy), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(policy.what, "policy"));
    CU_ASSERT_EQUAL(dk_time_stamp_check(tsa, &e.query, e.der.data, e.der.len, &stamp, &authority), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(authority.what, "certificate verify error"));
    dk_tsa_free(tsa);
    free_authority(&stranger);
    end(&e);
}

static void a_part_of_it_is_nothing(void)
{
    static const struct made made = {0};
    struct exchange e = exchange(&made, "");
    struct dk_time_stamp stamp;

    for (size_t len = 0; len < e.der.len; len++)
        CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, NULL, e.der.data, len, &stamp, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL_FATAL(dk_buf_append(&e.der, "", 1), DK_OK);
    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, NULL, e.der.data, e.der.len, &stamp, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, NULL, e.der.data, DK_TIME_STAMP_MAX_BYTES + 1, &stamp, NULL),
                    DK_ERR_DATA);
    end(&e);
}

// A bit around the signed parts may mean nothing (the case of a name, the number of a version); then what is said is
// the same to the last byte.
static void no_changed_bit_changes_what_is_said(void)
{
    static const struct made made = {0};
    struct exchange e = exchange(&made, "");
    struct dk_time_stamp said = {0};
    size_t kept = 0;

    CU_ASSERT_EQUAL_FATAL(dk_time_stamp_check(e.tsa, NULL, e.der.data, e.der.len, &said, NULL), DK_OK);
    for (size_t i = 0; i < e.der.len; i++) {
        struct dk_time_stamp stamp = {0};
        int bit = 1 << dk_random() % 8;

        e.der.data[i] = (char)(e.der.data[i] ^ bit);

        enum dk_err err = dk_time_stamp_check(e.tsa, NULL, e.der.data, e.der.len, &stamp, NULL);

        e.der.data[i] = (char)(e.der.data[i] ^ bit);
        kept += err == DK_OK;
        if (err == DK_OK ? memcmp(&stamp, &said, sizeof said) != 0 : err != DK_ERR_DATA && err != DK_ERR_NOT_NOW)
            CU_FAIL("a changed bit changed what is said");
    }
    CU_ASSERT_TRUE(kept * 5 < e.der.len);
    end(&e);
}

static void garbage_is_refused(void)
{
    static const struct made made = {0};
    struct exchange e = exchange(&made, "");
    char copy[4096];

    CU_ASSERT_TRUE_FATAL(e.der.len < sizeof copy);
    for (int round = 0; round < 500; round++) {
        struct dk_time_stamp stamp = {0};
        struct dk_fault fault = {0};

        memcpy(copy, e.der.data, e.der.len);
        for (int i = (int)dk_random_between(2, 20); i > 0; i--)
            copy[dk_random() % e.der.len] = (char)dk_random();

        enum dk_err err = dk_time_stamp_check(e.tsa, &e.query, copy, (size_t)dk_random_between(0, (int64_t)e.der.len),
                                              &stamp, &fault);

        CU_ASSERT_TRUE(err != DK_OK && fault.what[0] != '\0');
        CU_ASSERT_TRUE(dk_text_is_clean(fault.what, strlen(fault.what)));
    }
    end(&e);
}

static void names_are_clean(void)
{
    static const char *const names[] = {
        "a\u202eb", "a\x1b[2Jb", "a\nOK  0000000001.jws", "\u0111\u0111\u0111\u0111\u0111\u0111\u0111\u0111\u0111",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };

    for (size_t i = 0; i < COUNT(names); i++) {
        struct exchange e = exchange(&(struct made){.name = names[i]}, "");
        struct dk_time_stamp stamp = {0};

        CU_ASSERT_EQUAL(dk_time_stamp_check(e.tsa, NULL, e.der.data, e.der.len, &stamp, NULL), DK_OK);
        CU_ASSERT_TRUE(strlen(stamp.authority) > 3 && dk_text_is_clean(stamp.authority, strlen(stamp.authority)));
        end(&e);
    }
}

static void trust_is_read_strictly(void)
{
    static const char *const texts[] = {
        "", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct dk_tsa *tsa = NULL;

        CU_ASSERT_EQUAL(dk_tsa_read_text("x", texts[i], strlen(texts[i]), &tsa, NULL), DK_ERR_DATA);
        CU_ASSERT_PTR_NULL(tsa);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(a_good_stamp_is_read),
        DK_CASE(certificates_are_judged_at_the_stamped_time),
        DK_CASE(what_is_wrong_is_told),
        DK_CASE(it_must_answer_what_was_asked),
        DK_CASE(a_part_of_it_is_nothing),
        DK_CASE(no_changed_bit_changes_what_is_said),
        DK_CASE(garbage_is_refused),
        DK_CASE(names_are_clean),
        DK_CASE(trust_is_read_strictly),
        {0},
    };

    return dk_harness_main(argc, argv, "time_stamp", cases);
}
