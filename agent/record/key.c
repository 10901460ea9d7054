// SPDX-License-Identifier: Apache-2.0
#include "agent/record/key.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/base64url.h"
#include "agent/base/file.h"
#include "agent/record/json.h"

enum { FIELD_SIZE = 32, FIELD_TEXT_SIZE = 44, KEY_FILE_MAX_BYTES = 1 << 16, JWK_MAX_BYTES = 256 };

struct dk_key {
    EVP_PKEY *pkey; // owned
    bool has_private;
    struct dk_key_keeper keeper; // when the private part is elsewhere
    char x[FIELD_TEXT_SIZE], y[FIELD_TEXT_SIZE]; // the public point, base64url
    char id[DK_SHA256_TEXT_SIZE];
};

// The order n of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3) and n/2, rounded down.
static const uint8_t order[FIELD_SIZE] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                          0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
static const uint8_t half_order[FIELD_SIZE] = {
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

static void free_bio(BIO **p)
{
    BIO_free(*p);
}
static void free_decoder(OSSL_DECODER_CTX **p)
{
    OSSL_DECODER_CTX_free(*p);
}
static void free_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static void free_pkey_context(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}
static void free_digest_context(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}
static void free_bignum(BIGNUM **p)
{
    BN_free(*p);
}
static void free_signature(ECDSA_SIG **p)
{
    ECDSA_SIG_free(*p);
}
static void free_der(unsigned char **p)
{
    OPENSSL_free(*p);
}
#define auto_with(function) __attribute__((cleanup(function)))
DK_DEFINE_FREE(json, json_t, json_decref)

// OpenSSL keeps its errors in a queue of the thread; left there, they would turn up in somebody else's
// report.
static enum dk_err fail_crypto(struct dk_fault *fault, const char *action)
{
    ERR_clear_error();
    return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "OpenSSL cannot %s", action);
}

static bool point_text(EVP_PKEY *pkey, const char *parameter, char out[static FIELD_TEXT_SIZE])
{
    auto_with(free_bignum) BIGNUM *value = NULL;
    dk_auto_buf struct dk_buf text = dk_buf_make(FIELD_TEXT_SIZE - 1);
    uint8_t bytes[FIELD_SIZE];

    if (EVP_PKEY_get_bn_param(pkey, parameter, &value) != 1 ||
        BN_bn2binpad(value, bytes, sizeof bytes) != (int)sizeof bytes ||
        dk_base64url_encode(bytes, sizeof bytes, &text) != DK_OK)
        return false;
    memcpy(out, text.data, FIELD_TEXT_SIZE);
    return true;
}

static bool is_p256(EVP_PKEY *pkey)
{
    char group[64] = "";

    return EVP_PKEY_is_a(pkey, "EC") == 1 &&
           EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

// Makes a key of *pkey, which it takes over on success.
static enum dk_err wrap(const char *name, EVP_PKEY **pkey, bool has_private, struct dk_key **out,
                        struct dk_fault *fault)
{
    auto_with(free_pkey_context) EVP_PKEY_CTX *context = NULL;
    dk_auto_buf struct dk_buf jwk = dk_buf_make(JWK_MAX_BYTES);

    if (!is_p256(*pkey)) {
        ERR_clear_error();
        return dk_fail(fault, DK_ERR_DATA, name, "dokiem keygen makes one", "is not an ECDSA P-256 key");
    }
    context = EVP_PKEY_CTX_new_from_pkey(NULL, *pkey, NULL);
    if (context == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, name, NULL, "out of memory");
    if ((has_private ? EVP_PKEY_check(context) : EVP_PKEY_public_check(context)) != 1) {
        ERR_clear_error();
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "is damaged: its parts do not make a P-256 key");
    }

    dk_auto(key) struct dk_key *key = calloc(1, sizeof *key);

    if (key == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, name, NULL, "out of memory");
    key->has_private = has_private;
    if (!point_text(*pkey, OSSL_PKEY_PARAM_EC_PUB_X, key->x) ||
        !point_text(*pkey, OSSL_PKEY_PARAM_EC_PUB_Y, key->y) || dk_key_public_jwk(key, &jwk) != DK_OK ||
        dk_sha256_text(jwk.data, jwk.len, key->id) != DK_OK)
        return fail_crypto(fault, "tell the public part of a key");
    key->pkey = *pkey;
    *pkey = NULL;
    *out = key;
    key = NULL;
    return DK_OK;
}

enum dk_err dk_key_generate(struct dk_key **out, struct dk_fault *fault)
{
    auto_with(free_pkey) EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", SN_X9_62_prime256v1);

    if (pkey == NULL)
        return fail_crypto(fault, "make a key");
    return wrap("the new key", &pkey, true, out, fault);
}

static EVP_PKEY *decode_pem(const char *structure, int selection, const char *text, size_t len)
{
    EVP_PKEY *pkey = NULL;
    const unsigned char *at = (const unsigned char *)text;
    // No passphrase callback is set, so an encrypted key fails instead of asking on the terminal.
    auto_with(free_decoder) OSSL_DECODER_CTX *decoder =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", structure, "EC", selection, NULL, NULL);

    if (decoder == NULL || OSSL_DECODER_from_data(decoder, &at, &len) != 1) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    ERR_clear_error();
    return pkey;
}

// OpenSSL tells most shortages of memory as a bad key, as in dk_key_verify. Set errno to 0 before.
static enum dk_err data_or_memory(enum dk_err err, const char *name, struct dk_fault *fault)
{
    return err == DK_ERR_DATA && errno == ENOMEM ? dk_fail(fault, DK_ERR_MEMORY, name, NULL, "out of memory") : err;
}

enum dk_err dk_key_read_private(const char *path, struct dk_key **out, struct dk_fault *fault)
{
    struct stat status;
    dk_auto_buf struct dk_buf pem = dk_buf_make(KEY_FILE_MAX_BYTES);

    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) != 0)
        return dk_fail(fault, DK_ERR_PERMISSION, path, "chmod 600 it, and think whether it was copied",
                       "others than its owner may use the key (mode %04o; 0600 is allowed)",
                       (unsigned)status.st_mode & 07777U);

    enum dk_err err = dk_file_read(path, &pem, fault);

    if (err != DK_OK)
        return err;

    errno = 0;

    auto_with(free_pkey) EVP_PKEY *pkey =
        decode_pem("PrivateKeyInfo", EVP_PKEY_KEYPAIR, dk_buf_text(&pem), pem.len);

    if (pem.data != NULL)
        OPENSSL_cleanse(pem.data, pem.capacity);
    err = pkey != NULL ? wrap(path, &pkey, true, out, fault)
                       : dk_fail(fault, DK_ERR_DATA, path, "dokiem keygen makes one",
                                 "is not a private ECDSA P-256 key (PKCS#8 PEM, not encrypted)");
    return data_or_memory(err, path, fault);
}

static enum dk_err write_private(const struct dk_key *key, const char *directory, const char *name,
                                 enum dk_write_mode mode, struct dk_fault *fault)
{
    auto_with(free_bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (bio == NULL || !key->has_private ||
        PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        return fail_crypto(fault, "write the private key");

    long len = BIO_get_mem_data(bio, &text);
    enum dk_err err = dk_file_write(directory, name, text, (size_t)len, mode, fault);

    OPENSSL_cleanse(text, (size_t)len);
    return err;
}

enum dk_err dk_key_write_private(const struct dk_key *key, const char *directory, const char *name,
                                 struct dk_fault *fault)
{
    return write_private(key, directory, name, DK_WRITE_NEW, fault);
}

enum dk_err dk_key_replace_private(const struct dk_key *key, const char *directory, const char *name,
                                   struct dk_fault *fault)
{
    return write_private(key, directory, name, DK_WRITE_REPLACE, fault);
}

static EVP_PKEY *from_point(const uint8_t x[static FIELD_SIZE], const uint8_t y[static FIELD_SIZE])
{
    uint8_t point[1 + 2 * FIELD_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[] = SN_X9_62_prime256v1;
    EVP_PKEY *pkey = NULL;
    auto_with(free_pkey_context) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    memcpy(point + 1, x, FIELD_SIZE);
    memcpy(point + 1 + FIELD_SIZE, y, FIELD_SIZE);

    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end(),
    };

    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    ERR_clear_error();
    return pkey;
}

static bool is_p256_jwk(const json_t *jwk)
{
    const char *kty = json_string_value(json_object_get(jwk, "kty"));
    const char *crv = json_string_value(json_object_get(jwk, "crv"));

    return kty != NULL && crv != NULL && strcmp(kty, "EC") == 0 && strcmp(crv, "P-256") == 0;
}

static bool coordinate(const json_t *jwk, const char *member, uint8_t out[static FIELD_SIZE])
{
    const json_t *value = json_object_get(jwk, member);

    return json_is_string(value) &&
           dk_base64url_decode_exact(json_string_value(value), json_string_length(value), out, FIELD_SIZE);
}

static enum dk_err from_jwk(const char *name, const json_t *jwk, struct dk_key **out, struct dk_fault *fault)
{
    uint8_t x[FIELD_SIZE], y[FIELD_SIZE];

    if (json_object_get(jwk, "d") != NULL)
        return dk_fail(fault, DK_ERR_DATA, name,
                       "give the public key: jose jwk pub, or dokiem keygen --public",
                       "holds a private key (member \"d\")");
    if (!is_p256_jwk(jwk))
        return dk_fail(fault, DK_ERR_DATA, name, NULL,
                       "is not a JWK with \"kty\":\"EC\" and \"crv\":\"P-256\"");
    if (!coordinate(jwk, "x", x) || !coordinate(jwk, "y", y))
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "\"x\" and \"y\" must be 32 bytes in base64url each");

    auto_with(free_pkey) EVP_PKEY *pkey = from_point(x, y);

    if (pkey == NULL)
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "\"x\" and \"y\" are not a point of P-256");
    return wrap(name, &pkey, false, out, fault);
}

static enum dk_err from_pem(const char *name, const char *text, size_t len, struct dk_key **out,
                            struct dk_fault *fault)
{
    if (memmem(text, len, "PRIVATE KEY", strlen("PRIVATE KEY")) != NULL)
        return dk_fail(fault, DK_ERR_DATA, name, "give the public key: openssl pkey -pubout",
                       "holds a private key");

    auto_with(free_pkey) EVP_PKEY *pkey = decode_pem("SubjectPublicKeyInfo", EVP_PKEY_PUBLIC_KEY, text, len);

    if (pkey == NULL)
        return dk_fail(fault, DK_ERR_DATA, name, NULL,
                       "is not a public ECDSA P-256 key (PEM \"PUBLIC KEY\")");
    return wrap(name, &pkey, false, out, fault);
}

static bool is_pem(const char *text, size_t len)
{
    static const char begin[] = "-----BEGIN ";

    return len >= sizeof begin - 1 && memcmp(text, begin, sizeof begin - 1) == 0;
}

static enum dk_err load_json(const char *name, const char *text, size_t len, json_t **out,
                             struct dk_fault *fault)
{
    json_error_t error;
    enum dk_err err = DK_OK;
    json_t *json = dk_json_load(text, len, &error, &err);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, name, NULL, "out of memory");
    if (json == NULL)
        return dk_fail(fault, DK_ERR_DATA, name, NULL,
                       "is neither a JWK nor a PEM public key (line %d, column %d: %s)", error.line,
                       error.column, error.text);
    if (!json_is_object(json)) {
        json_decref(json);
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "is not a JWK: not a JSON object");
    }
    *out = json;
    return DK_OK;
}

enum dk_err dk_key_read_public(const char *name, const char *text, size_t len, struct dk_key **out,
                               struct dk_fault *fault)
{
    errno = 0;
    if (is_pem(text, len))
        return data_or_memory(from_pem(name, text, len, out, fault), name, fault);

    dk_auto(json) json_t *json = NULL;
    enum dk_err err = load_json(name, text, len, &json, fault);

    return err != DK_OK ? err : data_or_memory(from_jwk(name, json, out, fault), name, fault);
}

void dk_key_keep_elsewhere(struct dk_key *key, const struct dk_key_keeper *keeper)
{
    key->keeper = *keeper;
}

bool dk_key_is_elsewhere(const struct dk_key *key)
{
    return key->keeper.sign != NULL;
}

enum dk_err dk_key_public_jwk(const struct dk_key *key, struct dk_buf *out)
{
    // RFC 7638 section 3 hashes exactly these bytes: no spaces, members in this order.
    return dk_buf_printf(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", key->x, key->y);
}

const char *dk_key_id(const struct dk_key *key)
{
    return key->id;
}

// (r, n − s) verifies as well as (r, s): the lower s is the one we use, so that one record has one signature.
enum dk_err dk_signature_from_der(const uint8_t *der, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                                  struct dk_fault *fault)
{
    auto_with(free_signature) ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);
    auto_with(free_bignum) BIGNUM *n = BN_bin2bn(order, sizeof order, NULL);
    auto_with(free_bignum) BIGNUM *low = BN_new();

    if (signature == NULL || n == NULL || low == NULL ||
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, FIELD_SIZE) != FIELD_SIZE ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + FIELD_SIZE, FIELD_SIZE) != FIELD_SIZE)
        return fail_crypto(fault, "sign");
    if (memcmp(out + FIELD_SIZE, half_order, FIELD_SIZE) <= 0 ||
        (BN_sub(low, n, ECDSA_SIG_get0_s(signature)) == 1 &&
         BN_bn2binpad(low, out + FIELD_SIZE, FIELD_SIZE) == FIELD_SIZE))
        return DK_OK;
    return fail_crypto(fault, "sign");
}

static enum dk_err sign_here(const struct dk_key *key, const void *data, size_t len,
                             uint8_t out[static DK_SIGNATURE_SIZE], struct dk_fault *fault)
{
    uint8_t der[DK_SIGNATURE_DER_MAX];
    size_t der_len = sizeof der;
    auto_with(free_digest_context) EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    if (!key->has_private ||
        EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key->pkey, NULL) != 1 ||
        EVP_DigestSign(context, der, &der_len, data, len) != 1)
        return fail_crypto(fault, "sign");
    return dk_signature_from_der(der, der_len, out, fault);
}

enum dk_err dk_key_sign(const struct dk_key *key, const void *data, size_t len,
                        uint8_t out[static DK_SIGNATURE_SIZE], struct dk_fault *fault)
{
    return dk_key_is_elsewhere(key) ? key->keeper.sign(key->keeper.self, data, len, out, fault)
                                    : sign_here(key, data, len, out, fault);
}

static int raw_to_der(const uint8_t raw[static DK_SIGNATURE_SIZE], unsigned char **der)
{
    auto_with(free_signature) ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, FIELD_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(raw + FIELD_SIZE, FIELD_SIZE, NULL);

    if (signature == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(signature, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return -1;
    }
    return i2d_ECDSA_SIG(signature, der);
}

enum dk_err dk_key_verify(const struct dk_key *key, const void *data, size_t len,
                          const uint8_t signature[static DK_SIGNATURE_SIZE], struct dk_fault *fault)
{
    auto_with(free_der) unsigned char *der = NULL;
    auto_with(free_digest_context) EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (memcmp(signature + FIELD_SIZE, half_order, FIELD_SIZE) > 0)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "the signature was altered: its s is above n/2, which dokiem never writes");

    int der_len = raw_to_der(signature, &der);

    if (context == NULL || der_len < 0 ||
        EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key->pkey, NULL) != 1) {
        ERR_clear_error();
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "OpenSSL cannot verify: out of memory");
    }
    // OpenSSL tells most shortages of memory as a wrong signature: errno knows better, and bad luck must not pass for
    // a forgery.
    errno = 0;

    int verified = EVP_DigestVerify(context, der, (size_t)der_len, data, len), error_number = errno;

    ERR_clear_error();
    if (verified == 1)
        return DK_OK;
    if (error_number == ENOMEM)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "OpenSSL cannot verify: out of memory");
    return dk_fail(
        fault, DK_ERR_DATA, NULL, NULL,
        "the signature does not fit: the text was changed after it was signed, or was never signed "
        "with this key");
}

void dk_key_free(struct dk_key *key)
{
    if (key == NULL)
        return;
    if (dk_key_is_elsewhere(key))
        key->keeper.free(key->keeper.self);
    EVP_PKEY_free(key->pkey);
    free(key);
}
