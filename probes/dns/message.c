// SPDX-License-Identifier: Apache-2.0
#include "probes/dns/message.h"

#include "agent/base/bytes.h"

#include <string.h>

enum {
    HEADER_BYTES = 12,
    FLAG_RESPONSE = 0x8000,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSE = 0x0100,
    FLAG_AUTHENTICATED = 0x0020,
    MASK_OPCODE = 0x7800,
    MASK_RCODE = 0x000f,
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_AAAA = 28,
    TYPE_OPT = 41,
    CLASS_IN = 1,
    LABEL_MAX = 63,
};

struct name {
    uint8_t wire[DK_DNS_NAME_MAX];
    size_t len;
};

struct record {
    size_t owner_at, data_at, data_len;
    uint16_t type, class;
    uint32_t ttl;
};

struct message {
    const uint8_t *data;
    size_t len, at;
    const struct dk_dns_question *question;
    uint16_t flags, counts[4];
    struct record answers[DK_DNS_RECORDS_MAX];
    size_t answer_count;
    int64_t extended_rcode;
    int opts;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool dk_dns_question_make(const char *name, uint16_t type, uint16_t id, struct dk_dns_question *out)
{
    struct dk_dns_question question = {.id = id, .type = type};
    size_t label_at = 0, len = 1;

    for (;; name++) {
        uint8_t c = lower((uint8_t)*name);

        if (c == '.' || c == '\0') {
            size_t label = len - label_at - 1;

            if (label == 0 && c == '\0' && len > 1)
                break; // after the dot at the end
            if (label == 0 || label > LABEL_MAX)
                return false;
            question.name[label_at] = (uint8_t)label;
            label_at = len;
            if (len == DK_DNS_NAME_MAX)
                return false;
            question.name[len++] = 0;
            if (c == '\0')
                break;
            continue;
        }
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
        if (len == DK_DNS_NAME_MAX)
            return false;
        question.name[len++] = c;
    }
    question.name_len = len;
    *out = question;
    return true;
}

size_t dk_dns_put_query(const struct dk_dns_question *question, uint8_t out[static DK_DNS_QUERY_MAX])
{
    struct dk_writer w = {out, DK_DNS_QUERY_MAX, false};

    dk_put_u16(&w, question->id);
    dk_put_u16(&w, FLAG_RECURSE);
    dk_put_u16(&w, 1);
    dk_put_zero(&w, 4);
    dk_put_u16(&w, 1);
    for (size_t i = 0; i < question->name_len; i++)
        dk_put_u8(&w, question->name[i]);
    dk_put_u16(&w, question->type);
    dk_put_u16(&w, CLASS_IN);
    // OPT: the root's name, type, size of a datagram in place of the class, extended flags with DO in place of the TTL.
    dk_put_u8(&w, 0);
    dk_put_u16(&w, TYPE_OPT);
    dk_put_u16(&w, DK_DNS_UDP_BYTES);
    dk_put_u32(&w, 0x8000);
    dk_put_u16(&w, 0);
    return DK_DNS_QUERY_MAX - w.left;
}

// Reads the name at *at, in lower case, and goes on behind it. A pointer must go back, each one further than the one
// before: so it ends.
static bool read_name(const struct message *m, size_t *at, struct name *out)
{
    size_t position = *at, limit = *at;
    bool followed = false;

    out->len = 0;
    while (position < m->len) {
        uint8_t c = m->data[position];

        if (c >= 0xc0) {
            if (position + 1 >= m->len)
                return false;

            size_t target = (size_t)(c & 0x3f) << 8 | m->data[position + 1];

            if (target >= limit || target < HEADER_BYTES)
                return false;
            if (!followed)
                *at = position + 2;
            followed = true;
            position = limit = target;
            continue;
        }
        // Of the other two kinds of label there are none in use (RFC 6891 section 5).
        if (c > LABEL_MAX || position + 1 + c > m->len || out->len + 1 + c > DK_DNS_NAME_MAX - (c > 0))
            return false;
        out->wire[out->len++] = c;
        for (size_t i = 1; i <= c; i++)
            out->wire[out->len++] = lower(m->data[position + i]);
        position += 1 + (size_t)c;
        if (c == 0) {
            if (!followed)
                *at = position;
            return true;
        }
    }
    return false;
}

static bool same_name(const struct name *a, const uint8_t *wire, size_t len)
{
    return a->len == len && memcmp(a->wire, wire, len) == 0;
}

// Reads one resource record, and goes on behind it.
static bool read_record(struct message *m, struct record *out)
{
    struct name owner;

    out->owner_at = m->at;
    if (!read_name(m, &m->at, &owner))
        return false;

    struct dk_reader r = {m->data + m->at, m->len - m->at, false};

    out->type = dk_get_u16(&r);
    out->class = dk_get_u16(&r);
    out->ttl = dk_get_u32(&r);
    out->data_len = dk_get_u16(&r);
    if (r.failed || r.left < out->data_len)
        return false;
    out->data_at = (size_t)(r.at - m->data);
    m->at = out->data_at + out->data_len;
    if (out->class == CLASS_IN && ((out->type == TYPE_A && out->data_len != 4) ||
                                   (out->type == TYPE_AAAA && out->data_len != 16)))
        return false;
    // The root's, and one only (RFC 6891 section 6.1.1).
    if (out->type == TYPE_OPT && (owner.len != 1 || m->opts++ > 0))
        return false;
    if (out->type == TYPE_OPT)
        m->extended_rcode = out->ttl >> 24;
    return true;
}

// All sections behind the question, to the last byte.
static bool read_sections(struct message *m)
{
    struct record record;

    if (m->counts[1] > DK_DNS_RECORDS_MAX)
        return false;
    for (size_t i = 0; i < m->counts[1]; i++) {
        if (!read_record(m, &m->answers[i]) || m->answers[i].type == TYPE_OPT)
            return false;
        m->answer_count = i + 1;
    }
    for (size_t i = 0; i < (size_t)m->counts[2] + m->counts[3]; i++)
        if (!read_record(m, &record) || (record.type == TYPE_OPT && i < m->counts[2]))
            return false;
    return m->at == m->len;
}

static bool owner_is(const struct message *m, const struct record *record, const struct name *name)
{
    size_t at = record->owner_at;
    struct name owner;

    return read_name(m, &at, &owner) && same_name(&owner, name->wire, name->len);
}

// Follows the aliases from the name of the question. `names` gets it and all that it is an alias of; the last has no
// alias. False when there is no end, or an alias is no name.
static bool follow_aliases(const struct message *m, struct name names[static DK_DNS_ALIASES_MAX + 1], size_t *count)
{
    memcpy(names[0].wire, m->question->name, m->question->name_len);
    names[0].len = m->question->name_len;
    for (*count = 1;; ++*count) {
        const struct record *alias = NULL;

        for (size_t i = 0; i < m->answer_count && alias == NULL; i++)
            if (m->answers[i].type == TYPE_CNAME && m->answers[i].class == CLASS_IN &&
                owner_is(m, &m->answers[i], &names[*count - 1]))
                alias = &m->answers[i];
        if (alias == NULL)
            return true;

        size_t at = alias->data_at;

        if (*count > DK_DNS_ALIASES_MAX || !read_name(m, &at, &names[*count]) || at != alias->data_at + alias->data_len)
            return false;
    }
}

static bool count_answers(const struct message *m, struct dk_dns_answer *out)
{
    struct name names[DK_DNS_ALIASES_MAX + 1];
    size_t count = 0;

    if (!follow_aliases(m, names, &count))
        return false;
    for (size_t i = 0; i < m->answer_count; i++) {
        const struct record *record = &m->answers[i];
        size_t n = 0;

        while (n < count && !owner_is(m, record, &names[n]))
            n++;
        if (n == count || record->class != CLASS_IN)
            out->unrelated++;
        else if (n + 1 == count && record->type == m->question->type)
            out->answers++;
    }
    return true;
}

enum dk_dns_reading dk_dns_read(const void *data, size_t len, const struct dk_dns_question *question,
                                struct dk_dns_answer *out)
{
    struct message m = {.data = data, .len = len, .at = HEADER_BYTES, .question = question};
    struct dk_reader r = {data, len, false};
    struct dk_dns_answer answer = {0};
    struct name name;
    uint16_t id = dk_get_u16(&r);

    m.flags = dk_get_u16(&r);
    for (size_t i = 0; i < 4; i++)
        m.counts[i] = dk_get_u16(&r);
    if (r.failed)
        return DK_DNS_MALFORMED;
    if (id != question->id || (m.flags & FLAG_RESPONSE) == 0 || (m.flags & MASK_OPCODE) != 0 || m.counts[0] != 1)
        return DK_DNS_MISMATCHED;
    if (!read_name(&m, &m.at, &name) || m.len - m.at < 4)
        return DK_DNS_MALFORMED;
    r = (struct dk_reader){m.data + m.at, m.len - m.at, false};
    if (!same_name(&name, question->name, question->name_len) || dk_get_u16(&r) != question->type ||
        dk_get_u16(&r) != CLASS_IN)
        return DK_DNS_MISMATCHED;
    m.at += 4;
    answer.truncated = (m.flags & FLAG_TRUNCATED) != 0;
    if ((!read_sections(&m) && !answer.truncated) || !count_answers(&m, &answer))
        return DK_DNS_MALFORMED;
    answer.rcode = m.extended_rcode << 4 | (m.flags & MASK_RCODE);
    answer.authenticated = (m.flags & FLAG_AUTHENTICATED) != 0;
    *out = answer;
    return DK_DNS_ANSWER;
}
