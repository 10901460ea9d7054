// SPDX-License-Identifier: Apache-2.0
//
// What a verifier reads from anybody. The first byte says what the rest is: 'k' a set of keys, 'f' a payload for the
// form, 'r' the payload of a receipt, 'c' that of a change of key, else a stream of lines, of which those that begin
// with '{' are signed first, '{"receipt' as receipts: so the fuzzer gets behind the signature.
#include "agent/record/receipt.h"
#include "agent/record/rotation.h"
#include "agent/record/seal.h"
#include "agent/record/verifier.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum { TEXT_MAX = 1 << 20 };

static struct dk_key *key; // made once: the fuzzer runs millions of inputs
static struct dk_form *form;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void read_keys(const char *text, size_t len)
{
    dk_auto_keys struct dk_keys ring = {0}, other = {0};

    if (dk_keys_read_public("fuzz", text, len, &ring, NULL) != DK_OK)
        return;
    check(ring.count > 0);
    for (size_t i = 0; i < ring.count; i++)
        check(strlen(ring.keys[i].device) == DK_SHA256_TEXT_SIZE - 1 && ring.keys[i].from_seq >= 1 &&
              dk_ring_find(&ring, dk_key_id(ring.keys[i].key)) == &ring.keys[i]);
    // What agrees with itself once does so twice.
    check(dk_keys_read_public("fuzz", text, len, &other, NULL) == DK_OK && other.count == ring.count);

    size_t count = ring.count;

    check(dk_ring_merge("fuzz", &ring, &other, NULL) == DK_OK && ring.count == count && other.count == 0);
}

static void read_receipt(const char *text, size_t len)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(TEXT_MAX);
    struct dk_receipt receipt;

    if (dk_seal(key, DK_TYP_RECEIPT, text, len, &jws, NULL) == DK_OK &&
        dk_receipt_open(key, dk_buf_text(&jws), jws.len, &receipt, NULL) == DK_OK)
        check(strlen(receipt.record_sha256) == DK_SHA256_TEXT_SIZE - 1 && receipt.seq >= 1 && receipt.last_seq >= 1 &&
              strlen(receipt.device) == DK_SHA256_TEXT_SIZE - 1);
}

static void read_rotation(const char *text, size_t len)
{
    const char *hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const struct dk_rotation_place place = {hash, dk_key_id(key), 2, hash};
    dk_auto(key) struct dk_key *next = NULL;

    // Nobody has signed such a word.
    check(dk_rotation_read(text, len, &place, &next, NULL) != DK_OK && next == NULL);
}

static void take(struct dk_verifier *verifier, int64_t number, const char *line, size_t len)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(TEXT_MAX);
    bool receipt = len > 9 && memcmp(line, "{\"receipt", 9) == 0;

    if (len > 0 && line[0] == '{' &&
        dk_seal(key, receipt ? DK_TYP_RECEIPT : DK_TYP_RECORD, line, len, &jws, NULL) != DK_OK)
        return;

    bool sealed = jws.len > 0;
    enum dk_err err = dk_verifier_take(verifier, "fuzz", number, sealed ? dk_buf_text(&jws) : line,
                                       sealed ? jws.len : len, false, NULL);

    check(err == DK_OK || err == DK_ERR_MEMORY);
}

static void problem(void *argument, const char *device_id, const struct dk_chain_problem *what)
{
    (void)argument;
    check(strlen(device_id) == DK_SHA256_TEXT_SIZE - 1 && what->first >= 1);
}

static void span(void *argument, const struct dk_chain_span *what)
{
    *(size_t *)argument += what->records;
    check(what->first >= 1 && what->first <= what->last);
}

static void read_stream(const char *text, size_t len)
{
    dk_auto_keys struct dk_keys ring = {0};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(1024);
    struct dk_verifier verifier = {.ring = &ring, .form = form};
    size_t told = 0;
    const struct dk_chain_listener listener = {problem, span, &told};

    check(dk_key_public_jwk(key, &jwk) == DK_OK &&
          dk_keys_read_public("own", dk_buf_text(&jwk), jwk.len, &ring, NULL) == DK_OK);
    for (int64_t number = 1; len > 0; number++) {
        const char *end = memchr(text, '\n', len);
        size_t part = end != NULL ? (size_t)(end - text) : len;
        dk_auto_buf struct dk_buf line = dk_buf_make(TEXT_MAX);

        if (dk_buf_append(&line, text, part) == DK_OK)
            take(&verifier, number, dk_buf_text(&line), part);
        part += end != NULL;
        text += part;
        len -= part;
    }
    check(dk_verifier_finish(&verifier, NULL) == DK_OK && verifier.good + verifier.bad <= verifier.count);
    check(dk_verifier_chains(&verifier, &listener, NULL) == DK_OK && told == verifier.records);
    dk_verifier_free(&verifier);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(TEXT_MAX);

    if (key == NULL)
        check(dk_key_generate(&key, NULL) == DK_OK && dk_form_open(&form, NULL) == DK_OK);
    if (size == 0 || dk_buf_append(&text, data + 1, size - 1) != DK_OK)
        return 0;
    switch (data[0]) {
    case 'k': read_keys(dk_buf_text(&text), text.len); break;
    case 'f': (void)!dk_form_check(form, dk_buf_text(&text), text.len, NULL); break;
    case 'r': read_receipt(dk_buf_text(&text), text.len); break;
    case 'c': read_rotation(dk_buf_text(&text), text.len); break;
    default: read_stream(dk_buf_text(&text), text.len);
    }
    return 0;
}
