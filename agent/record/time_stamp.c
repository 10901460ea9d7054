// SPDX-License-Identifier: Apache-2.0
#include "agent/record/time_stamp.h"

#if DK_TIME_STAMP
#include <inttypes.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/base64url.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"

enum { CERTIFICATES_MAX_BYTES = 1 << 20, TIME_DIGITS = 14 };

struct dk_tsa {
    X509_STORE *store; // owned
};

static const char where[] = "time stamp";

DK_DEFINE_FREE(bio, BIO, BIO_free_all)
DK_DEFINE_FREE(certificate, X509, X509_free)
DK_DEFINE_FREE(request, TS_REQ, TS_REQ_free)
DK_DEFINE_FREE(reply, TS_RESP, TS_RESP_free)
DK_DEFINE_FREE(imprint, TS_MSG_IMPRINT, TS_MSG_IMPRINT_free)
DK_DEFINE_FREE(algorithm, X509_ALGOR, X509_ALGOR_free)
DK_DEFINE_FREE(object, ASN1_OBJECT, ASN1_OBJECT_free)
DK_DEFINE_FREE(integer, ASN1_INTEGER, ASN1_INTEGER_free)

bool dk_time_stamp_is_built(void)
{
    return true;
}

static enum dk_err out_of_memory(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
}

// --- certificates ---------------------------------------------------------------------------------------------------

void dk_tsa_free(struct dk_tsa *tsa)
{
    if (tsa == NULL)
        return;
    X509_STORE_free(tsa->store);
    free(tsa);
}

enum dk_err dk_tsa_read_text(const char *name, const char *pem, size_t len, struct dk_tsa **out,
                             struct dk_fault *fault)
{
    dk_auto(tsa) struct dk_tsa *tsa = calloc(1, sizeof *tsa);
    dk_auto(bio) BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    int count = 0;

    if (tsa != NULL)
        tsa->store = X509_STORE_new();
    if (tsa == NULL || bio == NULL || tsa->store == NULL)
        return out_of_memory(fault);
    for (;; count++) {
        dk_auto(certificate) X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

        if (certificate == NULL)
            break;
        if (X509_STORE_add_cert(tsa->store, certificate) != 1)
            return out_of_memory(fault);
    }

    // It ends with "no start line"; anything else is a certificate that cannot be read.
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

    ERR_clear_error();
    if (!at_end)
        return dk_fail(fault, DK_ERR_DATA, name,
                       "give the certificate of the authority, or of the one above it, as PEM",
                       "holds a certificate that cannot be read");
    if (count == 0)
        return dk_fail(fault, DK_ERR_DATA, name,
                       "give the certificate of the authority, or of the one above it, as PEM",
                       "holds no certificate");
    // A TSA's own certificate is enough: it pins that one.
    if (X509_STORE_set_flags(tsa->store, X509_V_FLAG_PARTIAL_CHAIN) != 1)
        return out_of_memory(fault);
    *out = tsa;
    tsa = NULL;
    return DK_OK;
}

enum dk_err dk_tsa_read(const char *path, struct dk_tsa **out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(CERTIFICATES_MAX_BYTES);
    enum dk_err err = dk_file_read(path, &text, fault);

    return err == DK_OK ? dk_tsa_read_text(path, dk_buf_text(&text), text.len, out, fault) : err;
}

// --- request --------------------------------------------------------------------------------------------------------

static bool fill_request(TS_REQ *request, const uint8_t hash[static DK_SHA256_SIZE], uint64_t nonce,
                         const ASN1_OBJECT *policy)
{
    dk_auto(imprint) TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
    dk_auto(algorithm) X509_ALGOR *algorithm = X509_ALGOR_new();
    dk_auto(integer) ASN1_INTEGER *number = ASN1_INTEGER_new();
    uint8_t copy[DK_SHA256_SIZE];

    memcpy(copy, hash, sizeof copy); // the library takes it as writable
    return imprint != NULL && algorithm != NULL && number != NULL && TS_REQ_set_version(request, 1) == 1 &&
           X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1 &&
           TS_MSG_IMPRINT_set_algo(imprint, algorithm) == 1 &&
           TS_MSG_IMPRINT_set_msg(imprint, copy, sizeof copy) == 1 && TS_REQ_set_msg_imprint(request, imprint) == 1 &&
           ASN1_INTEGER_set_uint64(number, nonce) == 1 && TS_REQ_set_nonce(request, number) == 1 &&
           (policy == NULL || TS_REQ_set_policy_id(request, policy) == 1) && TS_REQ_set_cert_req(request, 1) == 1;
}

enum dk_err dk_time_stamp_ask(struct dk_time_stamp_query *query, struct dk_buf *der, struct dk_fault *fault)
{
    dk_auto(request) TS_REQ *request = TS_REQ_new();
    dk_auto(object) ASN1_OBJECT *policy = query->policy[0] != '\0' ? OBJ_txt2obj(query->policy, 1) : NULL;
    uint8_t hash[DK_SHA256_SIZE], *bytes = NULL;

    ERR_clear_error();
    if (query->policy[0] != '\0' && policy == NULL)
        return dk_fail(fault, DK_ERR_CONFIG, "[time_stamp] policy", "write it as numbers with dots, or remove it",
                       "'%s' is no object identifier", query->policy);
    if (!dk_base64url_decode_exact(query->record_sha256, strlen(query->record_sha256), hash, sizeof hash))
        return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "what is to be stamped is no hash");
    if (RAND_bytes((unsigned char *)&query->nonce, sizeof query->nonce) != 1)
        return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "no randomness for the request of a time stamp");
    if (request == NULL || !fill_request(request, hash, query->nonce, policy))
        return out_of_memory(fault);

    int len = i2d_TS_REQ(request, &bytes);
    enum dk_err err = len > 0 ? dk_buf_append(der, bytes, (size_t)len) : DK_ERR_MEMORY;

    OPENSSL_free(bytes);
    return err == DK_OK ? DK_OK : out_of_memory(fault);
}

// --- reply ----------------------------------------------------------------------------------------------------------

// What the library has against it, in its own words.
static enum dk_err bad_signature(struct dk_fault *fault)
{
    const char *data = "";
    int flags = 0;
    unsigned long code = ERR_peek_last_error_data(&data, &flags);
    const char *reason = ERR_reason_error_string(code);

    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return out_of_memory(fault);
    return dk_fail(fault, DK_ERR_DATA, where, NULL, "its signature is not valid: %s%s%s",
                   reason != NULL ? reason : "no reason given", (flags & ERR_TXT_STRING) != 0 ? ": " : "",
                   (flags & ERR_TXT_STRING) != 0 ? data : "");
}

// The authority's own words, and its reasons by RFC 3161 section 2.4.2.
static enum dk_err refused(const TS_STATUS_INFO *info, int64_t status, struct dk_fault *fault)
{
    static const struct {
        int bit;
        const char *text;
    } reasons[] = {
        {TS_INFO_BAD_ALG, "badAlg"},
        {TS_INFO_BAD_REQUEST, "badRequest"},
        {TS_INFO_BAD_DATA_FORMAT, "badDataFormat"},
        {TS_INFO_TIME_NOT_AVAILABLE, "timeNotAvailable"},
        {TS_INFO_UNACCEPTED_POLICY, "unacceptedPolicy"},
        {TS_INFO_UNACCEPTED_EXTENSION, "unacceptedExtension"},
        {TS_INFO_ADD_INFO_NOT_AVAILABLE, "addInfoNotAvailable"},
        {TS_INFO_SYSTEM_FAILURE, "systemFailure"},
    };
    const ASN1_BIT_STRING *bits = TS_STATUS_INFO_get0_failure_info(info);
    const STACK_OF(ASN1_UTF8STRING) *texts = TS_STATUS_INFO_get0_text(info);
    const ASN1_UTF8STRING *text = texts != NULL && sk_ASN1_UTF8STRING_num(texts) > 0
                                      ? sk_ASN1_UTF8STRING_value(texts, 0)
                                      : NULL,
                          *words = NULL;
    const char *reason = "no reason given";
    bool later = status == TS_STATUS_WAITING;

    for (size_t i = 0; bits != NULL && i < sizeof reasons / sizeof reasons[0]; i++)
        if (ASN1_BIT_STRING_get_bit(bits, reasons[i].bit) == 1) {
            reason = reasons[i].text;
            later = later || reasons[i].bit == TS_INFO_TIME_NOT_AVAILABLE || reasons[i].bit == TS_INFO_SYSTEM_FAILURE;
        }
    // What the authority says goes to a person's terminal.
    if (text != NULL && dk_text_is_clean((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)))
        words = text;
    return dk_fail(fault, later ? DK_ERR_NOT_NOW : DK_ERR_DATA, where, NULL,
                   "the authority did not give one (status %d, %s): %.*s", (int)status, reason,
                   words != NULL ? ASN1_STRING_length(words) : 0,
                   words != NULL ? (const char *)ASN1_STRING_get0_data(words) : "");
}

// GeneralizedTime as RFC 3161 section 2.4.2 has it, YYYYMMDDhhmmss[.s…]Z, to the millisecond.
static bool read_time(const ASN1_GENERALIZEDTIME *from, struct dk_wall *out)
{
    const char *text = (const char *)ASN1_STRING_get0_data(from);
    int len = ASN1_STRING_length(from);
    char milliseconds[] = "000", rfc3339[DK_RFC3339_SIZE];
    bool fraction = len > TIME_DIGITS + 2 && text[TIME_DIGITS] == '.';

    if (len < TIME_DIGITS + 1 || text[len - 1] != 'Z' || (len > TIME_DIGITS + 1 && !fraction))
        return false;
    for (int i = 0; i < len - 1; i++) {
        if (i == TIME_DIGITS)
            continue;
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (i > TIME_DIGITS && i <= TIME_DIGITS + 3)
            milliseconds[i - TIME_DIGITS - 1] = text[i];
    }
    snprintf(rfc3339, sizeof rfc3339, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2s.%sZ", text, text + 4, text + 6, text + 8,
             text + 10, text + 12, milliseconds);
    return dk_wall_parse(rfc3339, out);
}

// Parts of an accuracy are at most a day here; 0 for what is absent or larger.
static int64_t read_part(const ASN1_INTEGER *from)
{
    uint64_t value = 0;

    return from != NULL && ASN1_INTEGER_get_uint64(&value, from) == 1 && value <= 86400 ? (int64_t)value : 0;
}

static int64_t read_accuracy(const TS_ACCURACY *from)
{
    return from == NULL ? 0
                        : read_part(TS_ACCURACY_get_seconds(from)) * DK_NS_PER_S +
                              read_part(TS_ACCURACY_get_millis(from)) * DK_NS_PER_MS +
                              read_part(TS_ACCURACY_get_micros(from)) * DK_NS_PER_US;
}

static bool read_imprint(TS_TST_INFO *info, char sha256[static DK_SHA256_TEXT_SIZE])
{
    TS_MSG_IMPRINT *imprint = TS_TST_INFO_get_msg_imprint(info);
    const ASN1_OBJECT *algorithm = NULL;
    const ASN1_OCTET_STRING *hash = TS_MSG_IMPRINT_get_msg(imprint);
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_SHA256_TEXT_SIZE - 1);

    X509_ALGOR_get0(&algorithm, NULL, NULL, TS_MSG_IMPRINT_get_algo(imprint));
    if (OBJ_obj2nid(algorithm) != NID_sha256 || ASN1_STRING_length(hash) != DK_SHA256_SIZE ||
        dk_base64url_encode(ASN1_STRING_get0_data(hash), DK_SHA256_SIZE, &text) != DK_OK)
        return false;
    memcpy(sha256, dk_buf_text(&text), DK_SHA256_TEXT_SIZE);
    return true;
}

// Who signed. What is no clean UTF-8 is written as escapes; a name that is too long ends early.
static enum dk_err read_name(X509 *certificate, char out[static DK_TIME_STAMP_NAME_SIZE])
{
    static const unsigned long utf8 = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB, ascii = XN_FLAG_RFC2253;
    unsigned long flags = utf8;

    for (;;) {
        dk_auto(bio) BIO *bio = BIO_new(BIO_s_mem());
        char *text = NULL;

        if (bio == NULL || X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, flags) < 0)
            return DK_ERR_MEMORY;

        size_t len = (size_t)BIO_get_mem_data(bio, &text);

        if (len >= DK_TIME_STAMP_NAME_SIZE)
            for (len = DK_TIME_STAMP_NAME_SIZE - 1; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
                len--; // not in the middle of a character
        snprintf(out, DK_TIME_STAMP_NAME_SIZE, "%.*s", (int)len, len > 0 ? text : "");
        if (flags == ascii || dk_text_is_clean(out, strlen(out)))
            return DK_OK;
        flags = ascii;
    }
}

// The signature, and what the certificate may be used for, at the stamped time: three years later the certificate may
// have expired, and that takes nothing from the stamp.
static enum dk_err check_signature(const struct dk_tsa *tsa, PKCS7 *token, struct dk_time_stamp *stamp,
                                   struct dk_fault *fault)
{
    dk_auto(certificate) X509 *signer = NULL;
    STACK_OF(PKCS7_SIGNER_INFO) *signers = PKCS7_get_signer_info(token);
    X509_ALGOR *digest = NULL;
    const ASN1_OBJECT *algorithm = NULL;

    if (sk_PKCS7_SIGNER_INFO_num(signers) != 1)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it must have one signature");
    PKCS7_SIGNER_INFO_get0_algs(sk_PKCS7_SIGNER_INFO_value(signers, 0), NULL, &digest, NULL);
    X509_ALGOR_get0(&algorithm, NULL, NULL, digest);

    int nid = OBJ_obj2nid(algorithm);

    if (nid != NID_sha256 && nid != NID_sha384 && nid != NID_sha512)
        return dk_fail(fault, DK_ERR_DATA, where, NULL,
                       "it is signed with another hash than SHA-256, SHA-384 or SHA-512");
    if (token->d.sign->cert == NULL || sk_X509_num(token->d.sign->cert) == 0)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it does not hold the authority's certificate");
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(tsa->store), stamp->time.ns / DK_NS_PER_S);
    if (TS_RESP_verify_signature(token, NULL, tsa->store, &signer) != 1 || signer == NULL)
        return bad_signature(fault);
    return read_name(signer, stamp->authority) == DK_OK ? DK_OK : out_of_memory(fault);
}

static enum dk_err check_query(const struct dk_time_stamp_query *query, TS_TST_INFO *info,
                               const struct dk_time_stamp *stamp, struct dk_fault *fault)
{
    const ASN1_INTEGER *number = TS_TST_INFO_get_nonce(info);
    uint64_t nonce = 0;

    if (strcmp(stamp->record_sha256, query->record_sha256) != 0)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it is about something else than was asked");
    if (number == NULL || ASN1_INTEGER_get_uint64(&nonce, number) != 1 || nonce != query->nonce)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it answers another request: its nonce is not the one sent");
    if (query->policy[0] != '\0' && strcmp(stamp->policy, query->policy) != 0)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it is by another policy than was asked");
    return DK_OK;
}

static enum dk_err check_info(const struct dk_time_stamp_query *query, TS_TST_INFO *info, struct dk_time_stamp *stamp,
                              struct dk_fault *fault)
{
    if (TS_TST_INFO_get_version(info) != 1)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "its version is not 1");
    if (TS_TST_INFO_get_ext_by_critical(info, 1, -1) >= 0)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it has a critical extension that nobody here understands");
    if (!read_imprint(info, stamp->record_sha256))
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "what it stamps is no SHA-256");
    if (!read_time(TS_TST_INFO_get_time(info), &stamp->time))
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "its time is not of the form that RFC 3161 asks for");
    stamp->accuracy_ns = read_accuracy(TS_TST_INFO_get_accuracy(info));

    int len = OBJ_obj2txt(stamp->policy, sizeof stamp->policy, TS_TST_INFO_get_policy_id(info), 1);

    if (len <= 0 || len >= (int)sizeof stamp->policy)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "its policy is too long");
    return query != NULL ? check_query(query, info, stamp, fault) : DK_OK;
}

static enum dk_err check_reply(const struct dk_tsa *tsa, const struct dk_time_stamp_query *query,
                               const unsigned char *der, size_t len, struct dk_time_stamp *out, struct dk_fault *fault)
{
    const unsigned char *at = der;
    struct dk_time_stamp stamp = {0};
    int64_t status = -1;
    dk_auto(reply) TS_RESP *reply = d2i_TS_RESP(NULL, &at, (long)len);

    if (reply == NULL && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
        return out_of_memory(fault);
    if (reply == NULL || at != der + len)
        return dk_fail(fault, DK_ERR_DATA, where, NULL,
                       "it is not one reply of a time-stamping authority and nothing else (RFC 3161)");

    const TS_STATUS_INFO *info = TS_RESP_get_status_info(reply);

    if (ASN1_INTEGER_get_int64(&status, TS_STATUS_INFO_get0_status(info)) != 1 ||
        (status != TS_STATUS_GRANTED && status != TS_STATUS_GRANTED_WITH_MODS))
        return refused(info, status, fault);
    if (TS_RESP_get_token(reply) == NULL || TS_RESP_get_tst_info(reply) == NULL)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it holds no time stamp");

    enum dk_err err = check_info(query, TS_RESP_get_tst_info(reply), &stamp, fault);

    if (err == DK_OK)
        err = check_signature(tsa, TS_RESP_get_token(reply), &stamp, fault);
    if (err == DK_OK)
        *out = stamp;
    return err;
}

enum dk_err dk_time_stamp_check(const struct dk_tsa *tsa, const struct dk_time_stamp_query *query, const void *der,
                                size_t len, struct dk_time_stamp *out, struct dk_fault *fault)
{
    if (len > DK_TIME_STAMP_MAX_BYTES)
        return dk_fail(fault, DK_ERR_DATA, where, NULL, "it is longer than any time stamp");
    // The library's queue of errors belongs to the thread: nothing of before is in it, and nothing stays.
    ERR_clear_error();

    enum dk_err err = check_reply(tsa, query, der, len, out, fault);

    ERR_clear_error();
    return err;
}

#else

static enum dk_err fail_absent(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_CONFIG, "[time_stamp]", "build with OpenSSL's time stamps (-Dtime_stamp=enabled)",
                   "this dokiem was built without time stamps");
}

bool dk_time_stamp_is_built(void)
{
    return false;
}

enum dk_err dk_tsa_read(const char *path, struct dk_tsa **out, struct dk_fault *fault)
{
    (void)path;
    (void)out;
    return fail_absent(fault);
}

enum dk_err dk_tsa_read_text(const char *name, const char *pem, size_t len, struct dk_tsa **out,
                             struct dk_fault *fault)
{
    (void)name;
    (void)pem;
    (void)len;
    (void)out;
    return fail_absent(fault);
}

void dk_tsa_free(struct dk_tsa *tsa)
{
    (void)tsa;
}

enum dk_err dk_time_stamp_ask(struct dk_time_stamp_query *query, struct dk_buf *der, struct dk_fault *fault)
{
    (void)query;
    (void)der;
    return fail_absent(fault);
}

enum dk_err dk_time_stamp_check(const struct dk_tsa *tsa, const struct dk_time_stamp_query *query, const void *der,
                                size_t len, struct dk_time_stamp *out, struct dk_fault *fault)
{
    (void)tsa;
    (void)query;
    (void)der;
    (void)len;
    (void)out;
    return fail_absent(fault);
}
#endif
