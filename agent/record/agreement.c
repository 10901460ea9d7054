// SPDX-License-Identifier: Apache-2.0
#include "agent/record/agreement.h"

#include "agent/record/json.h"
#include "agent/record/seal.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

// The limits of docs/methodology.md, "The server's word".
static const int64_t slack_stream_bytes = 256 << 10, slack_ns = 250 * DK_NS_PER_MS, rtt_max_ns = 2 * DK_NS_PER_S;
static const int64_t clocks_ns = 600 * DK_NS_PER_S, rate_ppm = 1000;

DK_DEFINE_FREE(json, json_t, json_decref)

const char *dk_witness_text(enum dk_witness witness)
{
    static const char *const texts[] = {
#define X(name, text) text,
        DK_WITNESS_LIST(X)
#undef X
    };

    return texts[witness];
}

// value · part / whole, without overflow; `whole` is above 0.
static int64_t share(int64_t value, int64_t part, int64_t whole)
{
    __extension__ __int128 product = (__int128)value * part / whole;

    return product > INT64_MAX ? INT64_MAX : (int64_t)product;
}

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

static enum dk_err directions_agree(const char *name, const struct dk_claim_direction *claim,
                                    const struct dk_word_direction *word, struct dk_fault *fault)
{
    int64_t seen_bytes = 0, under_way_ns = slack_ns + (word->rtt_ns < rtt_max_ns ? word->rtt_ns : rtt_max_ns);

    if (!claim->measured)
        return DK_OK;
    if (!word->seen)
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "the server saw none");
    for (size_t s = 0; s < word->streams; s++)
        seen_bytes += word->bytes[s];
    if (claim->duration_ns < DK_NS_PER_MS)
        return dk_fail(fault, DK_ERR_DATA, name, NULL, "the device says that it took %" PRId64 " ns",
                       claim->duration_ns);
    if (apart(claim->duration_ns, word->duration_ns) > under_way_ns)
        return dk_fail(fault, DK_ERR_DATA, name, NULL,
                       "the device says that it took %" PRId64 " ms, the server %" PRId64 " ms",
                       claim->duration_ns / DK_NS_PER_MS, word->duration_ns / DK_NS_PER_MS);

    int64_t larger_bytes = seen_bytes > claim->bytes ? seen_bytes : claim->bytes;
    int64_t allowed_bytes =
        (int64_t)word->streams * slack_stream_bytes + share(larger_bytes, under_way_ns, claim->duration_ns);

    if (apart(claim->bytes, seen_bytes) > allowed_bytes)
        return dk_fail(fault, DK_ERR_DATA, name, NULL,
                       "the device says that %" PRId64 " bytes came through, the server %" PRId64, claim->bytes,
                       seen_bytes);

    int64_t rate_bps = share(claim->bytes, 8 * DK_NS_PER_S, claim->duration_ns);

    if (apart(rate_bps, claim->rate_whole_bps) > share(rate_bps, rate_ppm, 1000000) + 8)
        return dk_fail(fault, DK_ERR_DATA, name, NULL,
                       "the device says that the whole rate is %" PRId64 " bit/s; its own bytes and time make %" PRId64,
                       claim->rate_whole_bps, rate_bps);
    return DK_OK;
}

static enum dk_err dates_agree(const char *name, const struct dk_claim *claim, const struct dk_word_direction *word,
                               struct dk_fault *fault)
{
    char theirs[DK_RFC3339_SIZE], ours[DK_RFC3339_SIZE];

    if (!word->seen || !claim->clock_synchronised ||
        (word->start.ns >= claim->start.ns - clocks_ns && word->start.ns <= claim->end.ns + clocks_ns))
        return DK_OK;
    dk_wall_rfc3339(word->start, theirs);
    dk_wall_rfc3339(claim->start, ours);
    return dk_fail(fault, DK_ERR_DATA, name, NULL, "the device dates the run %s, the server %s", ours, theirs);
}

enum dk_err dk_agree(const struct dk_claim *claim, const struct dk_word *word, struct dk_fault *fault)
{
    enum dk_err err = DK_OK;

    if (strcmp(claim->run, word->run) != 0)
        return dk_fail(fault, DK_ERR_DATA, "run", NULL, "the server's word is about another run");
    err = directions_agree("download", &claim->download, &word->download, fault);
    if (err == DK_OK)
        err = directions_agree("upload", &claim->upload, &word->upload, fault);
    if (err == DK_OK)
        err = dates_agree("download", claim, &word->download, fault);
    if (err == DK_OK)
        err = dates_agree("upload", claim, &word->upload, fault);
    return err;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static int64_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void read_direction(const json_t *root, const char *name, struct dk_claim_direction *out)
{
    const json_t *object = json_object_get(root, name);

    *out = (struct dk_claim_direction){
        .measured = strcmp(text_of(object, "status"), "ok") == 0,
        .bytes = integer_of(object, "bytes"),
        .duration_ns = integer_of(object, "duration_ns"),
        .rate_whole_bps = integer_of(object, "rate_whole_bps"),
    };
}

static enum dk_err read_claim(const json_t *root, struct dk_claim *out)
{
    const json_t *time = json_object_get(root, "time");

    *out = (struct dk_claim){
        .clock_synchronised = strcmp(text_of(json_object_get(time, "clock"), "state"), "synchronised") == 0};
    (void)dk_wall_parse(text_of(time, "start"), &out->start);
    (void)dk_wall_parse(text_of(time, "end"), &out->end);
    read_direction(root, "download", &out->download);
    read_direction(root, "upload", &out->upload);
    return dk_run_id(text_of(json_object_get(root, "device"), "id"), text_of(root, "id"), out->run);
}

// Opens the word with the key it names, and compares.
static enum dk_err hear(const char *jws, const struct dk_claim *claim, const struct dk_keys *servers,
                        enum dk_witness *out, struct dk_fault *why)
{
    dk_auto_buf struct dk_buf payload = dk_buf_make(DK_WORD_SIZE);
    char id[DK_SHA256_TEXT_SIZE];
    struct dk_word word;
    enum dk_err err = dk_word_read_unverified(jws, strlen(jws), claim->run, &word, why);

    *out = DK_WITNESS_INVALID;
    if (err == DK_OK)
        err = dk_jws_key_id(jws, strlen(jws), DK_TYP_WORD, id, why);
    if (err != DK_OK)
        return err;

    const struct dk_ring_key *key = servers != NULL ? dk_ring_find(servers, id) : NULL;

    if (key == NULL) {
        *out = DK_WITNESS_UNCHECKED;
        return dk_fail(why, DK_ERR_DATA, NULL, NULL, "the key of its server is not at hand: kid \"%s\"", id);
    }
    err = dk_open(key->key, DK_TYP_WORD, jws, strlen(jws), &payload, why);
    if (err == DK_OK)
        err = dk_word_read(dk_buf_text(&payload), payload.len, claim->run, &word, why);
    if (err != DK_OK)
        return err;
    err = dk_agree(claim, &word, why);
    *out = err == DK_OK ? DK_WITNESS_AGREES : DK_WITNESS_DIFFERS;
    return err;
}

enum dk_err dk_witness_find(const char *payload, size_t len, const struct dk_keys *servers, enum dk_witness *out,
                            struct dk_fault *why)
{
    static const char member[] = "\"word\"";
    enum dk_err err = DK_OK;
    struct dk_claim claim;

    *out = DK_WITNESS_NONE;
    // Most records have none, and reading one takes a while.
    if (memmem(payload, len, member, sizeof member - 1) == NULL)
        return DK_OK;

    dk_auto(json) json_t *root = dk_json_load(payload, len, NULL, &err);
    const char *jws = json_string_value(json_object_get(json_object_get(root, "server"), "word"));

    if (err == DK_OK && jws != NULL)
        err = read_claim(root, &claim);
    if (err == DK_OK && jws != NULL)
        err = hear(jws, &claim, servers, out, why);
    return err == DK_ERR_MEMORY ? err : DK_OK;
}
