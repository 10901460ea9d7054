// SPDX-License-Identifier: Apache-2.0
//
// The process that has the key: it signs what it was started for, as often as it was told, and nothing else.
#include "agent/record/signer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/record/seal.h"
#include "tests/harness/harness.h"

static char key_path[4200];

static void make_key(struct dk_key **out)
{
    struct dk_fault fault = {0};

    snprintf(key_path, sizeof key_path, "%s/device.pem", dk_harness_directory());
    (void)unlink(key_path);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(out, &fault), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_write_private(*out, dk_harness_directory(), "device.pem", &fault), DK_OK);
}

static enum dk_err start(const char *typ, int64_t max, struct dk_key **out, struct dk_fault *fault)
{
    const struct dk_signer_plan plan = {.get = dk_signer_get_file, .argument = key_path, .typ = typ, .max = max};

    return dk_signer_start(&plan, out, fault);
}

static enum dk_err seal(const struct dk_key *key, const char *typ, struct dk_buf *out)
{
    struct dk_fault fault = {0};

    out->len = 0;
    return dk_seal(key, typ, "{\"a\":1}", 7, out, &fault);
}

// What it seals is what the key itself would have, and its private key is not there.
static void test_signs(void)
{
    dk_auto(key) struct dk_key *own = NULL, *key = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(4096), payload = dk_buf_make(4096);
    struct dk_fault fault = {0};

    make_key(&own);
    CU_ASSERT_EQUAL_FATAL(start(DK_TYP_RECORD, 0, &key, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_key_id(key), dk_key_id(own));
    for (int i = 0; i < 20; i++) {
        payload.len = 0;
        CU_ASSERT_EQUAL(seal(key, DK_TYP_RECORD, &jws), DK_OK);
        CU_ASSERT_EQUAL(dk_open(own, DK_TYP_RECORD, jws.data, jws.len, &payload, &fault), DK_OK);
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&payload), "{\"a\":1}");
    }
    CU_ASSERT_EQUAL(dk_key_write_private(key, dk_harness_directory(), "stolen.pem", NULL), DK_ERR_INTERNAL);
}

static void test_signs_a_long_one(void)
{
    dk_auto(key) struct dk_key *own = NULL, *key = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES), payload = dk_buf_make(DK_JWS_MAX_BYTES);
    size_t len = DK_JWS_MAX_BYTES / 2;
    char *text = malloc(len);
    struct dk_fault fault = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'x', len);
    make_key(&own);
    CU_ASSERT_EQUAL_FATAL(start(DK_TYP_RECORD, 0, &key, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_RECORD, text, len, &jws, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_open(own, DK_TYP_RECORD, jws.data, jws.len, &payload, &fault), DK_OK);
    CU_ASSERT_EQUAL(payload.len, len);
    free(text);
}

static void test_signs_nothing_else(void)
{
    static const char *const others[] = {DK_TYP_RECEIPT, DK_TYP_ENROL, DK_TYP_ROTATION, DK_TYP_PROFILE, DK_TYP_WORD};
    dk_auto(key) struct dk_key *own = NULL, *key = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(4096);
    uint8_t signature[DK_SIGNATURE_SIZE];
    struct dk_fault fault = {0};

    make_key(&own);
    CU_ASSERT_EQUAL_FATAL(start(DK_TYP_RECORD, 0, &key, &fault), DK_OK);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CU_ASSERT_EQUAL(seal(key, others[i], &jws), DK_ERR_INTERNAL);
    CU_ASSERT_EQUAL(dk_key_sign(key, "anything", 8, signature, &fault), DK_ERR_INTERNAL);
    CU_ASSERT_EQUAL(dk_key_sign(key, "", 0, signature, NULL), DK_ERR_INTERNAL);
    // It goes on all the same.
    CU_ASSERT_EQUAL(seal(key, DK_TYP_RECORD, &jws), DK_OK);
}

static void test_signs_only_so_often(void)
{
    dk_auto(key) struct dk_key *own = NULL, *key = NULL, *none = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(4096);
    struct dk_fault fault = {0};

    make_key(&own);
    CU_ASSERT_EQUAL_FATAL(start(DK_TYP_RECORD, 2, &key, &fault), DK_OK);
    CU_ASSERT_EQUAL(seal(key, DK_TYP_RECORD, &jws), DK_OK);
    CU_ASSERT_EQUAL(seal(key, DK_TYP_RECORD, &jws), DK_OK);
    CU_ASSERT_EQUAL(seal(key, DK_TYP_RECORD, &jws), DK_ERR_IO);
    CU_ASSERT_EQUAL_FATAL(start(NULL, 0, &none, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_key_id(none), dk_key_id(own));
    CU_ASSERT_EQUAL(seal(none, DK_TYP_RECORD, &jws), DK_ERR_IO);
}

// In place of a token: signs once, and is gone then.
struct once {
    struct dk_key *own;
    int signed_count;
};

static enum dk_err sign_once(void *self, const void *data, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                             struct dk_fault *fault)
{
    struct once *once = self;

    return once->signed_count++ == 0 ? dk_key_sign(once->own, data, len, out, fault)
                                     : dk_fail(fault, DK_ERR_IO, "the token", "plug it in", "is gone");
}

static void free_once(void *self)
{
    struct once *once = self;

    dk_key_free(once->own);
    free(once);
}

static enum dk_err get_once(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault)
{
    struct once *once = calloc(1, sizeof *once);
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1024);
    enum dk_err err = dk_key_read_private(argument, &once->own, fault);

    (void)told;
    if (err == DK_OK)
        err = dk_key_public_jwk(once->own, &jwk);
    if (err == DK_OK)
        err = dk_key_read_public("token", dk_buf_text(&jwk), jwk.len, out, fault);
    if (err == DK_OK)
        dk_key_keep_elsewhere(*out, &(struct dk_key_keeper){once, sign_once, free_once});
    return err;
}

// The key of the process is elsewhere itself. It is not asked before somebody wants a signature, and what it says comes
// back whole.
static void test_signs_with_a_key_that_is_elsewhere(void)
{
    const struct dk_signer_plan plan = {.get = get_once, .argument = key_path, .typ = DK_TYP_RECORD};
    dk_auto(key) struct dk_key *own = NULL, *key = NULL;
    dk_auto_buf struct dk_buf jws = dk_buf_make(4096), payload = dk_buf_make(4096);
    struct dk_fault fault = {0};

    make_key(&own);
    CU_ASSERT_EQUAL_FATAL(dk_signer_start(&plan, &key, &fault), DK_OK);
    CU_ASSERT_TRUE(dk_key_is_elsewhere(key));
    CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_RECORD, "{}", 2, &jws, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_open(own, DK_TYP_RECORD, jws.data, jws.len, &payload, &fault), DK_OK);
    for (int i = 0; i < 2; i++) {
        fault = (struct dk_fault){0};
        CU_ASSERT_EQUAL(dk_seal(key, DK_TYP_RECORD, "{}", 2, &jws, &fault), DK_ERR_IO);
        CU_ASSERT_STRING_EQUAL(fault.where, "the token");
        CU_ASSERT_STRING_EQUAL(fault.what, "is gone");
        CU_ASSERT_STRING_EQUAL(fault.todo, "plug it in");
    }
}

static void test_hands_on_what_is_wrong(void)
{
    struct dk_key *key = NULL;
    dk_auto(key) struct dk_key *own = NULL;
    struct dk_fault fault = {0};

    snprintf(key_path, sizeof key_path, "%s/missing.pem", dk_harness_directory());
    CU_ASSERT_EQUAL(start(DK_TYP_RECORD, 0, &key, &fault), DK_ERR_NO_INPUT);
    CU_ASSERT_STRING_EQUAL(fault.where, key_path);
    CU_ASSERT_PTR_NULL(key);
    make_key(&own);
    CU_ASSERT_EQUAL(chmod(key_path, 0644), 0);
    fault = (struct dk_fault){0};
    CU_ASSERT_EQUAL(start(DK_TYP_RECORD, 0, &key, &fault), DK_ERR_PERMISSION);
    CU_ASSERT_PTR_NULL(key);
    // No process of it is left.
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
}

static enum dk_err get_and_tell(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault)
{
    int64_t number = 42;

    memcpy(told, &number, sizeof number);
    return dk_key_read_private(argument, out, fault);
}

static void test_tells(void)
{
    int64_t told = 0;
    const struct dk_signer_plan plan = {
        .get = get_and_tell, .argument = key_path, .typ = DK_TYP_RECORD, .told = &told, .told_size = sizeof told};
    dk_auto(key) struct dk_key *own = NULL, *key = NULL;

    make_key(&own);
    CU_ASSERT_EQUAL(dk_signer_start(&plan, &key, NULL), DK_OK);
    CU_ASSERT_EQUAL(told, 42);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_signs),
                                           DK_CASE(test_signs_a_long_one),
                                           DK_CASE(test_signs_nothing_else),
                                           DK_CASE(test_signs_only_so_often),
                                           DK_CASE(test_signs_with_a_key_that_is_elsewhere),
                                           DK_CASE(test_hands_on_what_is_wrong),
                                           DK_CASE(test_tells),
                                           {0}};

    return dk_harness_main(argc, argv, "signer", cases);
}
