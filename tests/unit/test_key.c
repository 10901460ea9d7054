// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/base64url.h"
#include "agent/base/file.h"
#include "agent/record/key.h"
#include "agent/record/ring.h"
#include "tests/harness/harness.h"

// The key and the signature of RFC 7515 appendix A.3.
#define RFC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
static const char rfc_jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\",\"use\":\"sig\"}";
static const char rfc_signed[] =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
    "cnVlfQ";
static const char rfc_signature[] =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                  0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

// s becomes n − s: the other value that plain ECDSA takes.
static void negate_s(uint8_t *signature)
{
    int borrow = 0;

    for (int i = 31; i >= 0; i--) {
        int difference = order[i] - signature[32 + i] - borrow;

        borrow = difference < 0;
        signature[32 + i] = (uint8_t)(difference + 256 * borrow);
    }
}

static void signature_of_the_rfc_verifies_with_low_s_only(void)
{
    uint8_t signature[DK_SIGNATURE_SIZE];
    struct dk_fault fault = {0}, high = {0};
    dk_auto(key) struct dk_key *key = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_key_read_public("rfc", rfc_jwk, strlen(rfc_jwk), &key, &fault), DK_OK);
    CU_ASSERT_TRUE_FATAL(
        dk_base64url_decode_exact(rfc_signature, strlen(rfc_signature), signature, sizeof signature));
    CU_ASSERT_EQUAL(dk_key_verify(key, rfc_signed, strlen(rfc_signed), signature, &high), DK_ERR_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(high.what, "above n/2"));
    negate_s(signature);
    CU_ASSERT_EQUAL(dk_key_verify(key, rfc_signed, strlen(rfc_signed), signature, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_key_verify(key, rfc_signed, strlen(rfc_signed) - 1, signature, NULL), DK_ERR_DATA);
}

static void odd_signatures_are_refused(void)
{
    dk_auto(key) struct dk_key *key = NULL;
    uint8_t values[3][32] = {0};

    memcpy(values[1], order, sizeof order);
    memset(values[2], 0xff, sizeof values[2]);
    CU_ASSERT_EQUAL_FATAL(dk_key_read_public("rfc", rfc_jwk, strlen(rfc_jwk), &key, NULL), DK_OK);
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++) {
            uint8_t signature[DK_SIGNATURE_SIZE];

            // Each of 0, n and 2^256 − 1 in both places.
            memcpy(signature, values[r], 32);
            memcpy(signature + 32, values[s], 32);
            CU_ASSERT_EQUAL(dk_key_verify(key, "x", 1, signature, NULL), DK_ERR_DATA);
        }
}

static void every_signature_is_low_and_has_one_form(void)
{
    dk_auto(key) struct dk_key *key = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, NULL), DK_OK);
    for (int i = 0; i < 100; i++) {
        uint8_t data[40], signature[DK_SIGNATURE_SIZE];

        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (uint8_t)dk_random();
        CU_ASSERT_EQUAL_FATAL(dk_key_sign(key, data, sizeof data, signature, NULL), DK_OK);
        CU_ASSERT_TRUE(signature[32] <= 0x7f);
        CU_ASSERT_EQUAL(dk_key_verify(key, data, sizeof data, signature, NULL), DK_OK);
        negate_s(signature);
        CU_ASSERT_EQUAL(dk_key_verify(key, data, sizeof data, signature, NULL), DK_ERR_DATA);
    }
}

// A keeper in place of a token: signs with OpenSSL, or says what it is told to.
struct keeper {
    EVP_PKEY *pkey;
    enum dk_err err;
    bool nonsense;
    int signed_count, freed_count;
};

static enum dk_err keeper_sign(void *self, const void *data, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                               struct dk_fault *fault)
{
    struct keeper *keeper = self;
    uint8_t der[DK_SIGNATURE_DER_MAX];
    size_t der_len = sizeof der;
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    keeper->signed_count++;
    CU_ASSERT_TRUE(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, keeper->pkey, NULL) == 1 &&
                   EVP_DigestSign(context, der, &der_len, data, len) == 1);
    EVP_MD_CTX_free(context);
    if (keeper->nonsense)
        der[0] = 0;
    return keeper->err == DK_OK ? dk_signature_from_der(der, der_len, out, fault)
                                : dk_fail(fault, keeper->err, "token", NULL, "gone");
}

static void keeper_free(void *self)
{
    struct keeper *keeper = self;

    keeper->freed_count++;
}

static void key_that_is_elsewhere_is_asked_there(void)
{
    struct keeper keeper = {.pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")};
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    struct dk_key *key = NULL;
    struct dk_fault fault = {0};
    uint8_t signature[DK_SIGNATURE_SIZE];

    CU_ASSERT_EQUAL_FATAL(PEM_write_bio_PUBKEY(bio, keeper.pkey), 1);

    long len = BIO_get_mem_data(bio, &pem);

    CU_ASSERT_EQUAL_FATAL(dk_key_read_public("token", pem, (size_t)len, &key, &fault), DK_OK);
    BIO_free(bio);
    CU_ASSERT_FALSE(dk_key_is_elsewhere(key));
    CU_ASSERT_EQUAL(dk_key_sign(key, "x", 1, signature, NULL), DK_ERR_INTERNAL);
    dk_key_keep_elsewhere(key, &(struct dk_key_keeper){&keeper, keeper_sign, keeper_free});
    CU_ASSERT_TRUE(dk_key_is_elsewhere(key));
    for (int i = 0; i < 40; i++) { // about half of what it signs has the higher s
        CU_ASSERT_EQUAL(dk_key_sign(key, "x", 1, signature, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_key_verify(key, "x", 1, signature, NULL), DK_OK);
    }
    CU_ASSERT_EQUAL(keeper.signed_count, 40);
    CU_ASSERT_EQUAL(dk_key_write_private(key, dk_harness_directory(), "device.pem", NULL), DK_ERR_INTERNAL);
    keeper.nonsense = true;
    CU_ASSERT_EQUAL(dk_key_sign(key, "x", 1, signature, NULL), DK_ERR_INTERNAL);
    keeper.err = DK_ERR_IO;
    CU_ASSERT_EQUAL(dk_key_sign(key, "x", 1, signature, &fault), DK_ERR_IO);
    CU_ASSERT_STRING_EQUAL(fault.what, "gone");
    CU_ASSERT_EQUAL(keeper.freed_count, 0);
    dk_key_free(key);
    CU_ASSERT_EQUAL(keeper.freed_count, 1);
    EVP_PKEY_free(keeper.pkey);
}

static void private_key_is_kept_private(void)
{
    const char *folder = dk_harness_directory();
    char path[160];
    struct stat status;
    struct dk_fault fault = {0};
    dk_auto(key) struct dk_key *key = NULL, *again = NULL, *refused = NULL;

    snprintf(path, sizeof path, "%s/device.pem", folder);
    CU_ASSERT_EQUAL(dk_key_read_private(path, &again, NULL), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, &fault), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_write_private(key, folder, "device.pem", &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_key_write_private(key, folder, "device.pem", NULL), DK_ERR_NOT_NOW);
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL_FATAL(dk_key_read_private(path, &again, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_key_id(key), dk_key_id(again));
    CU_ASSERT_EQUAL(strlen(dk_key_id(key)), 43);

    static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0610, 0644, 0777};

    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        struct dk_fault words = {0};

        CU_ASSERT_EQUAL(chmod(path, open_modes[i]), 0);
        CU_ASSERT_EQUAL(dk_key_read_private(path, &refused, &words), DK_ERR_PERMISSION);
        CU_ASSERT_PTR_NULL(refused);
        CU_ASSERT_PTR_NOT_NULL(strstr(words.what, "others"));
    }
    CU_ASSERT_EQUAL(chmod(path, 0400), 0);
    CU_ASSERT_EQUAL(dk_key_read_private(path, &refused, &fault), DK_OK);
}

// The PEM text of a private key; `cipher` NULL for a plain one.
static void pem_of(EVP_PKEY *pkey, const EVP_CIPHER *cipher, struct dk_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    CU_ASSERT_EQUAL_FATAL(
        PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, "secret", cipher != NULL ? 6 : 0, NULL, NULL), 1);
    CU_ASSERT_EQUAL(
        dk_buf_append(out, BIO_get_mem_data(bio, &text) > 0 ? text : "", (size_t)BIO_pending(bio)), DK_OK);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void other_private_keys_are_refused(void)
{
    const char *folder = dk_harness_directory();
    char path[160];

    snprintf(path, sizeof path, "%s/k", folder);
    for (int i = 0; i < 7; i++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(100000);
        dk_auto(key) struct dk_key *key = NULL;
        struct dk_fault fault = {0};

        if (i == 0) {
            pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), NULL, &text);
        } else if (i == 1) {
            pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"), NULL, &text);
        } else if (i == 2) {
            pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, &text);
        } else if (i == 3) {
            pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), EVP_aes_128_cbc(), &text);
        } else if (i == 4) {
            CU_ASSERT_EQUAL(
                dk_buf_printf(&text, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                DK_OK);
        } else if (i == 5) {
            CU_ASSERT_EQUAL(dk_buf_append(&text, "\0\1\2", 3), DK_OK);
        }
        CU_ASSERT_EQUAL_FATAL(
            dk_file_write(folder, "k", dk_buf_text(&text), text.len, DK_WRITE_REPLACE, &fault), DK_OK);
        CU_ASSERT_EQUAL(dk_key_read_private(path, &key, &fault), DK_ERR_DATA);
        CU_ASSERT_PTR_NULL(key);
        CU_ASSERT_STRING_EQUAL(fault.where, path);
    }
}

static void jwk_reads_what_it_writes(void)
{
    for (int i = 0; i < 50; i++) {
        dk_auto(key) struct dk_key *key = NULL, *back = NULL;
        dk_auto_buf struct dk_buf jwk = dk_buf_make(300), again = dk_buf_make(300);
        struct dk_fault fault = {0};
        char id[DK_SHA256_TEXT_SIZE];

        CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, &fault), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_key_public_jwk(key, &jwk), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_key_read_public("jwk", jwk.data, jwk.len, &back, &fault), DK_OK);
        CU_ASSERT_EQUAL_FATAL(dk_key_public_jwk(back, &again), DK_OK);
        CU_ASSERT_STRING_EQUAL(jwk.data, again.data);
        CU_ASSERT_EQUAL(dk_sha256_text(jwk.data, jwk.len, id), DK_OK);
        CU_ASSERT_STRING_EQUAL(dk_key_id(key), id);
        CU_ASSERT_STRING_EQUAL(dk_key_id(back), id);
        CU_ASSERT_EQUAL(dk_key_sign(back, "x", 1, (uint8_t[DK_SIGNATURE_SIZE]){0}, NULL), DK_ERR_INTERNAL);
        CU_ASSERT_EQUAL(dk_key_write_private(back, dk_harness_directory(), "p", NULL), DK_ERR_INTERNAL);
    }
}

static void bad_public_keys_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}",
        "{\"kty\":\"RSA\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_Y "\",\"y\":\"" RFC_X "\"}", // not on the curve
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "=\",\"y\":\"" RFC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" RFC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":1,\"y\":\"" RFC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\",\"d\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}x",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "{\"keys\":[]}",
        "{\"keys\":1}",
        "{\"keys\":[{\"kty\":\"RSA\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" RFC_Y "\"}]}",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dk_key *key = NULL;
        dk_auto_keys struct dk_keys ring = {0};
        struct dk_fault fault = {0};

        CU_ASSERT_EQUAL(dk_key_read_public("name", bad[i], strlen(bad[i]), &key, &fault), DK_ERR_DATA);
        CU_ASSERT_PTR_NULL(key);
        CU_ASSERT_STRING_EQUAL(fault.where, "name");
        CU_ASSERT_EQUAL(dk_keys_read_public("name", bad[i], strlen(bad[i]), &ring, NULL), DK_ERR_DATA);
        CU_ASSERT_EQUAL(ring.count, 0);
    }
}

static void public_pem_and_sets_are_read(void)
{
    static const char set[] = "{\"keys\":[{\"kty\":\"OKP\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X
                              "\",\"y\":\"" RFC_Y "\"}]}";
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto_keys struct dk_keys ring = {0}, one = {0};
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(PEM_write_bio_PUBKEY(bio, pkey), 1);

    size_t len = (size_t)BIO_get_mem_data(bio, &text);

    CU_ASSERT_EQUAL_FATAL(dk_key_read_public("pem", text, len, &key, &fault), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_keys_read_public("pem", text, len, &one, &fault), DK_OK);
    CU_ASSERT_PTR_NOT_NULL(dk_ring_find(&one, dk_key_id(key)));
    CU_ASSERT_EQUAL_FATAL(dk_keys_read_public("set", set, strlen(set), &ring, &fault), DK_OK);
    CU_ASSERT_EQUAL(ring.count, 1);
    CU_ASSERT_PTR_NULL(dk_ring_find(&ring, dk_key_id(key)));
    CU_ASSERT_PTR_NOT_NULL(dk_ring_find(&ring, dk_key_id(ring.keys[0].key)));
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

// What a ring says of the RFC's key once `members` was read beside it.
static enum dk_err read_member(const char *members, struct dk_keys *ring)
{
    char text[1024];

    snprintf(text, sizeof text, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"%s}",
             members);
    return dk_keys_read_public("jwk", text, strlen(text), ring, NULL);
}

static void validity_of_keys_is_read_strictly(void)
{
    static const char *const bad[] = {
        ",\"dokiem_role\":\"king\"",     ",\"dokiem_role\":1",       ",\"dokiem_device\":\"AAAA\"",
        ",\"dokiem_from_seq\":0",         ",\"dokiem_from_seq\":\"1\"", ",\"dokiem_until_seq\":10000000000",
        ",\"dokiem_revoked\":\"2026-11\"", ",\"dokiem_revoked\":null",
    };
    dk_auto_keys struct dk_keys ring = {0};
    struct dk_wall first = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dk_auto_keys struct dk_keys none = {0};

        CU_ASSERT_EQUAL(read_member(bad[i], &none), DK_ERR_DATA);
        CU_ASSERT_EQUAL(none.count, 0);
    }
    CU_ASSERT_EQUAL_FATAL(read_member("", &ring), DK_OK);
    CU_ASSERT_STRING_EQUAL(ring.keys[0].device, dk_key_id(ring.keys[0].key));
    CU_ASSERT_EQUAL(read_member(",\"dokiem_revoked\":\"2026-11-20T04:05:06.789Z\"", &ring), DK_OK);
    CU_ASSERT_EQUAL(read_member(",\"dokiem_revoked\":\"2027-11-20T04:05:06.789Z\"", &ring), DK_OK);
    CU_ASSERT_EQUAL(read_member(",\"dokiem_from_seq\":5,\"dokiem_role\":\"device\"", &ring), DK_OK);
    CU_ASSERT_EQUAL(read_member(",\"dokiem_until_seq\":9,\"dokiem_from_seq\":2", &ring), DK_OK);
    CU_ASSERT_EQUAL(read_member(",\"dokiem_role\":\"collector\"", &ring), DK_ERR_DATA);
    CU_ASSERT_EQUAL(ring.count, 1);
    CU_ASSERT(dk_wall_parse("2026-11-20T04:05:06.789Z", &first));
    CU_ASSERT(ring.keys[0].revoked && ring.keys[0].revoked_since.ns == first.ns);
    CU_ASSERT(ring.keys[0].from_seq == 5 && ring.keys[0].until_seq == 9 && ring.keys[0].role == DK_ROLE_DEVICE);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(signature_of_the_rfc_verifies_with_low_s_only),
        DK_CASE(odd_signatures_are_refused),
        DK_CASE(every_signature_is_low_and_has_one_form),
        DK_CASE(key_that_is_elsewhere_is_asked_there),
        DK_CASE(private_key_is_kept_private),
        DK_CASE(other_private_keys_are_refused),
        DK_CASE(jwk_reads_what_it_writes),
        DK_CASE(bad_public_keys_are_refused),
        DK_CASE(validity_of_keys_is_read_strictly),
        DK_CASE(public_pem_and_sets_are_read),
        {0},
    };

    return dk_harness_main(argc, argv, "key", cases);
}
