// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/tlv.h"

#include "agent/base/bytes.h"

#include <string.h>

// RFC 8972 section 4.1: a sender sets U, and what a reflector knew comes back without it.
enum { UNRECOGNIZED = 0x80, MALFORMED = 0x40, UNGENUINE = 0x20 };

enum { PADDING = 1, TIMESTAMP_INFORMATION = 3, FOLLOW_UP = 7, SEAL = 8 };

enum { HEADER = 4, CLOCKS_LENGTH = 4, FOLLOW_UP_LENGTH = 16, SEAL_LENGTH = DK_STAMP_MAC_SIZE };

_Static_assert(DK_STAMP_QUESTION_SIZE == 2 * HEADER + CLOCKS_LENGTH + FOLLOW_UP_LENGTH, "what a sender asks");
_Static_assert(DK_STAMP_SEALED_QUESTION_SIZE == DK_STAMP_QUESTION_SIZE + HEADER + SEAL_LENGTH, "and its HMAC");

struct tlv {
    uint8_t flags, type;
    const uint8_t *value;
    size_t length; // of the value
};

// The TLV at `at` of `len` bytes. False: there is no whole one.
static bool read_tlv(const uint8_t *data, size_t len, size_t at, struct tlv *out)
{
    struct dk_reader r = {data + at, len - at, false};

    out->flags = dk_get_u8(&r);
    out->type = dk_get_u8(&r);
    out->length = dk_get_u16(&r);
    out->value = r.at;
    return !r.failed && out->length <= r.left;
}

static void put_header(struct dk_writer *w, uint8_t flags, uint8_t type, size_t length)
{
    dk_put_u8(w, flags);
    dk_put_u8(w, type);
    dk_put_u16(w, (uint16_t)length);
}

bool dk_stamp_ask(uint32_t sequence, const struct dk_stamp_key *key, uint8_t *out)
{
    struct dk_writer w = {out, DK_STAMP_SEALED_QUESTION_SIZE, false};

    put_header(&w, UNRECOGNIZED, TIMESTAMP_INFORMATION, CLOCKS_LENGTH);
    dk_put_zero(&w, CLOCKS_LENGTH);
    put_header(&w, UNRECOGNIZED, FOLLOW_UP, FOLLOW_UP_LENGTH);
    dk_put_zero(&w, FOLLOW_UP_LENGTH);
    if (key == NULL)
        return true;
    put_header(&w, UNRECOGNIZED, SEAL, SEAL_LENGTH);
    return dk_stamp_tlv_mac(sequence, out, DK_STAMP_QUESTION_SIZE, key, w.at);
}

bool dk_stamp_asks_follow_up(const uint8_t *data, size_t len)
{
    struct tlv tlv;

    for (size_t at = 0; read_tlv(data, len, at, &tlv); at += HEADER + tlv.length)
        if (tlv.type == FOLLOW_UP)
            return true;
    return false;
}

// Where the TLV that seals those before it begins; `len` when there is none.
static size_t find_seal(const uint8_t *data, size_t len)
{
    struct tlv tlv;

    for (size_t at = 0; read_tlv(data, len, at, &tlv); at += HEADER + tlv.length)
        if (tlv.type == SEAL)
            return tlv.length == SEAL_LENGTH ? at : len;
    return len;
}

static bool is_genuine(const uint8_t *data, size_t len, uint32_t sequence, const struct dk_stamp_key *key)
{
    size_t at = find_seal(data, len);
    uint8_t expected[SEAL_LENGTH];

    return at < len && dk_stamp_tlv_mac(sequence, data, at, key, expected) &&
           dk_stamp_mac_equal(expected, data + at + HEADER);
}

// Writes the answer to one TLV over its copy at `out`.
static void answer_tlv(const struct tlv *tlv, const struct dk_stamp_tlvs *facts, uint8_t *out)
{
    const struct dk_stamp_follow_up *last = &facts->follow_up;
    struct dk_writer w = {out + HEADER, tlv->length, false};
    bool clocks = tlv->type == TIMESTAMP_INFORMATION, follow_up = tlv->type == FOLLOW_UP;

    if ((clocks && tlv->length != CLOCKS_LENGTH) || (follow_up && tlv->length != FOLLOW_UP_LENGTH)) {
        out[0] = MALFORMED;
        dk_put_zero(&w, w.left);
        return;
    }
    out[0] = clocks || follow_up || tlv->type == PADDING ? 0 : UNRECOGNIZED;
    if (clocks) {
        dk_put_u8(&w, facts->clocks.source_in);
        dk_put_u8(&w, facts->clocks.how_in);
        dk_put_u8(&w, facts->clocks.source_out);
        dk_put_u8(&w, facts->clocks.how_out);
    } else if (follow_up) {
        dk_put_u32(&w, last->known ? last->sequence : 0);
        dk_put_u64(&w, last->known ? last->timestamp : 0);
        dk_put_u8(&w, last->known ? facts->clocks.how_out : 0);
        dk_put_zero(&w, w.left);
    }
}

bool dk_stamp_reflect_tlvs(const uint8_t *data, size_t len, uint32_t request_sequence, uint32_t answer_sequence,
                           const struct dk_stamp_tlvs *facts, const struct dk_stamp_key *key, uint8_t *out)
{
    bool genuine = key == NULL || is_genuine(data, len, request_sequence, key);
    struct tlv tlv;
    size_t at = 0;

    memcpy(out, data, len);
    for (; at < len && read_tlv(data, len, at, &tlv); at += HEADER + tlv.length) {
        if (!genuine) {
            out[at] = UNRECOGNIZED | UNGENUINE;
        } else if (key != NULL && tlv.type == SEAL) {
            out[at] = 0;
            return dk_stamp_tlv_mac(answer_sequence, out, at, key, out + at + HEADER);
        } else {
            answer_tlv(&tlv, facts, out + at);
        }
    }
    if (at < len)
        out[at] |= MALFORMED;
    return true;
}

void dk_stamp_read_tlvs(const uint8_t *data, size_t len, uint32_t sequence, const struct dk_stamp_key *key,
                        struct dk_stamp_tlvs *out)
{
    struct tlv tlv;

    *out = (struct dk_stamp_tlvs){0};
    if (key != NULL && !is_genuine(data, len, sequence, key))
        return;
    for (size_t at = 0; read_tlv(data, len, at, &tlv); at += HEADER + tlv.length) {
        struct dk_reader r = {tlv.value, tlv.length, false};

        if ((tlv.flags & (UNRECOGNIZED | MALFORMED | UNGENUINE)) != 0)
            continue;
        if (tlv.type == TIMESTAMP_INFORMATION && tlv.length == CLOCKS_LENGTH) {
            out->clocks.source_in = dk_get_u8(&r);
            out->clocks.how_in = dk_get_u8(&r);
            out->clocks.source_out = dk_get_u8(&r);
            out->clocks.how_out = dk_get_u8(&r);
        } else if (tlv.type == FOLLOW_UP && tlv.length == FOLLOW_UP_LENGTH) {
            out->follow_up.sequence = dk_get_u32(&r);
            out->follow_up.timestamp = dk_get_u64(&r);
            out->follow_up.known = out->follow_up.timestamp != 0;
        }
    }
}
