// SPDX-License-Identifier: Apache-2.0
#include "agent/record/seal.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/base64url.h"
#include "agent/base/parse.h"
#include "agent/record/json.h"

enum { HEADER_MAX_BYTES = 1024, SHOWN_SIZE = 80 };

struct part {
    const char *text;
    size_t len;
};

struct parts {
    struct part header, payload, signature;
    size_t signed_len; // of header, dot and payload
};

DK_DEFINE_FREE(json, json_t, json_decref)

static enum dk_err fail_data(struct dk_fault *fault, const char *what)
{
    return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "%s", what);
}

static enum dk_err out_of_memory(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
}

static enum dk_err split(const char *jws, size_t len, struct parts *out, struct dk_fault *fault)
{
    size_t dots = 0;

    if (len == 0)
        return fail_data(fault, "is empty: there is no JWS");
    if (len > DK_JWS_MAX_BYTES)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "is longer than the %d bytes a JWS may have here",
                       DK_JWS_MAX_BYTES);
    for (size_t i = 0; i < len; i++)
        dots += jws[i] == '.';
    if (dots >= 4)
        return dk_fail(fault, DK_ERR_DATA, NULL, "put each on a line of its own",
                       "more than one JWS stands here (%zu parts; one JWS has 3)", dots + 1);
    if (dots != 2)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "is not a JWS: it has %zu parts with dots between, not 3", dots + 1);

    const char *first = memchr(jws, '.', len);
    const char *second = memchr(first + 1, '.', len - (size_t)(first + 1 - jws));

    out->signed_len = (size_t)(second - jws);
    out->header = (struct part){jws, (size_t)(first - jws)};
    out->payload = (struct part){first + 1, (size_t)(second - first - 1)};
    out->signature = (struct part){second + 1, len - out->signed_len - 1};
    return DK_OK;
}

static enum dk_err decode_part(const char *which, struct part part, struct dk_buf *out,
                               struct dk_fault *fault)
{
    enum dk_err err = dk_base64url_decode(part.text, part.len, out);

    if (err == DK_ERR_MEMORY)
        return out_of_memory(fault);
    if (err == DK_OK)
        return DK_OK;
    if (DK_BASE64URL_LEN(out->max) < part.len)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "the %s is longer than %zu bytes", which, out->max);
    return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                   "the %s is not base64url (letters, digits, - and _, no padding, no spaces)", which);
}

// The one header there is for this kid and typ.
static enum dk_err write_header(const char *kid, const char *typ, struct dk_buf *out)
{
    return dk_buf_printf(out, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"%s\"}", kid, typ);
}

// A member as it may be shown to a person.
static const char *shown(const json_t *value, char out[static SHOWN_SIZE])
{
    if (value == NULL)
        return "missing";
    if (!json_is_string(value))
        return "not a string";
    if (json_string_length(value) > SHOWN_SIZE - 3 ||
        !dk_text_is_clean(json_string_value(value), json_string_length(value)))
        return "too long or unprintable";
    snprintf(out, SHOWN_SIZE, "\"%s\"", json_string_value(value));
    return out;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

// Says why `header` is not the one that belongs to `kid` (NULL: any) and `typ`.
static enum dk_err diagnose(const json_t *header, const char *kid, const char *typ, struct dk_fault *fault)
{
    const json_t *alg = json_object_get(header, "alg");
    const json_t *its_kid = json_object_get(header, "kid");
    const json_t *its_typ = json_object_get(header, "typ");
    char text[SHOWN_SIZE];

    if (!json_is_object(header))
        return fail_data(fault, "the header is not a JSON object with each member once");
    if (is_text(alg, "none"))
        return fail_data(fault, "alg is \"none\": it is not signed; only ES256 is accepted");
    if (json_is_string(alg) && strncmp(json_string_value(alg), "HS", 2) == 0)
        return dk_fail(
            fault, DK_ERR_DATA, NULL, NULL,
            "alg is %s, a shared secret anyone with the public key could fake; only \"ES256\" is accepted",
            shown(alg, text));
    if (!is_text(alg, "ES256"))
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "alg is %s; only \"ES256\" is accepted",
                       shown(alg, text));
    if (!is_text(its_typ, typ))
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "typ is %s; here it must be \"%s\"",
                       shown(its_typ, text), typ);
    if (!json_is_string(its_kid))
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "kid is %s; it names the key that signed",
                       shown(its_kid, text));
    if (kid == NULL)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "kid is %s; it must be a SHA-256 in base64url, 43 characters", shown(its_kid, text));
    if (!is_text(its_kid, kid))
        return dk_fail(fault, DK_ERR_DATA, NULL, "give the key it was signed with (--key)",
                       "signed by another key: kid is %s, the key at hand is \"%s\"", shown(its_kid, text),
                       kid);
    if (json_object_get(header, "crit") != NULL)
        return fail_data(fault, "the header has \"crit\", which dokiem never writes");
    if (json_object_size(header) != 3)
        return fail_data(fault, "the header has other members than alg, kid and typ");
    return fail_data(fault, "the header is not written as dokiem writes it (order, spaces or escapes)");
}

// True when `header` is, byte for byte, the one of this kid and typ. Errors: MEMORY.
static enum dk_err is_header_of(const struct dk_buf *header, const char *kid, const char *typ, bool *same)
{
    dk_auto_buf struct dk_buf expected = dk_buf_make(HEADER_MAX_BYTES);
    enum dk_err err = write_header(kid, typ, &expected);

    if (err == DK_OK)
        *same = expected.len == header->len && memcmp(expected.data, header->data, header->len) == 0;
    return err;
}

enum dk_err dk_jws_beginning(const struct dk_key *key, const char *typ, struct dk_buf *out)
{
    dk_auto_buf struct dk_buf header = dk_buf_make(HEADER_MAX_BYTES);
    enum dk_err err = write_header(dk_key_id(key), typ, &header);

    if (err == DK_OK)
        err = dk_base64url_encode(header.data, header.len, out);
    return err == DK_OK ? dk_buf_append(out, ".", 1) : err;
}

enum dk_err dk_seal(const struct dk_key *key, const char *typ, const void *payload, size_t len,
                    struct dk_buf *out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    dk_auto_buf struct dk_buf back = dk_buf_make(len);
    uint8_t signature[DK_SIGNATURE_SIZE] = {0};
    enum dk_err err = dk_jws_beginning(key, typ, &jws);

    if (err == DK_OK)
        err = dk_base64url_encode(payload, len, &jws);
    if (err == DK_OK)
        err = dk_key_sign(key, jws.data, jws.len, signature, fault);
    if (err == DK_OK)
        err = dk_buf_append(&jws, ".", 1);
    if (err == DK_OK)
        err = dk_base64url_encode(signature, sizeof signature, &jws);
    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "%zu bytes cannot be sealed: %s", len,
                       err == DK_ERR_DATA ? "too long" : dk_err_text(err));

    // What our own verifier refuses must not become evidence.
    err = dk_open(key, typ, jws.data, jws.len, &back, fault);
    if (err != DK_OK || back.len != len || (len > 0 && memcmp(back.data, payload, len) != 0))
        return dk_fail(fault, err == DK_ERR_MEMORY ? err : DK_ERR_INTERNAL, NULL, NULL,
                       "a fresh signature does not verify");
    err = dk_buf_append(out, jws.data, jws.len);
    return err == DK_OK ? DK_OK
                        : dk_fail(fault, err, NULL, NULL, "the JWS does not fit: %s", dk_err_text(err));
}

enum dk_err dk_jws_key_id(const char *jws, size_t len, const char *typ, char out[static DK_SHA256_TEXT_SIZE],
                          struct dk_fault *fault)
{
    struct parts parts;
    dk_auto_buf struct dk_buf header = dk_buf_make(HEADER_MAX_BYTES);
    enum dk_err err = split(jws, len, &parts, fault);

    if (err == DK_OK)
        err = decode_part("header", parts.header, &header, fault);
    if (err != DK_OK)
        return err;

    dk_auto(json) json_t *json = dk_json_load(dk_buf_text(&header), header.len, NULL, &err);

    if (err == DK_ERR_MEMORY)
        return out_of_memory(fault);

    const json_t *kid = json_object_get(json, "kid");
    uint8_t hash[DK_SHA256_SIZE];

    if (!json_is_string(kid) ||
        !dk_base64url_decode_exact(json_string_value(kid), json_string_length(kid), hash, sizeof hash))
        return diagnose(json, NULL, typ, fault);

    bool same = false;

    if (is_header_of(&header, json_string_value(kid), typ, &same) != DK_OK)
        return out_of_memory(fault);
    if (!same)
        return diagnose(json, json_string_value(kid), typ, fault);
    memcpy(out, json_string_value(kid), DK_SHA256_TEXT_SIZE);
    return DK_OK;
}

enum dk_err dk_jws_payload(const char *jws, size_t len, struct dk_buf *out, struct dk_fault *fault)
{
    struct parts parts;
    enum dk_err err = split(jws, len, &parts, fault);

    return err != DK_OK ? err : decode_part("payload", parts.payload, out, fault);
}

enum dk_err dk_open(const struct dk_key *key, const char *typ, const char *jws, size_t len,
                    struct dk_buf *out, struct dk_fault *fault)
{
    struct parts parts;
    dk_auto_buf struct dk_buf header = dk_buf_make(HEADER_MAX_BYTES);
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);
    uint8_t signature[DK_SIGNATURE_SIZE];
    bool same = false;
    enum dk_err err = split(jws, len, &parts, fault);

    if (err == DK_OK)
        err = decode_part("header", parts.header, &header, fault);
    if (err != DK_OK)
        return err;
    if (is_header_of(&header, dk_key_id(key), typ, &same) != DK_OK)
        return out_of_memory(fault);
    if (!same) {
        dk_auto(json) json_t *json =
            dk_json_load(dk_buf_text(&header), header.len, NULL, &err);

        if (err == DK_ERR_MEMORY)
            return out_of_memory(fault);

        return diagnose(json, dk_key_id(key), typ, fault);
    }
    if (!dk_base64url_decode_exact(parts.signature.text, parts.signature.len, signature, sizeof signature))
        return fail_data(fault, "the signature is not 64 bytes in base64url");
    err = dk_key_verify(key, jws, parts.signed_len, signature, fault);
    if (err == DK_OK)
        err = decode_part("payload", parts.payload, &payload, fault);
    if (err != DK_OK)
        return err;
    err = dk_buf_append(out, dk_buf_text(&payload), payload.len);
    return err == DK_OK ? DK_OK
                        : dk_fail(fault, err, NULL, NULL, "the payload is longer than %zu bytes", out->max);
}
