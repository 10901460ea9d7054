// SPDX-License-Identifier: Apache-2.0
//
// DNS messages (RFC 1035, with EDNS of RFC 6891): the question that is asked, and what an answer to it says. An answer
// is hostile until it has been read to its end. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DK_DNS_NAME_MAX = 255,                            // bytes of a name on the wire
    DK_DNS_QUERY_MAX = 12 + DK_DNS_NAME_MAX + 4 + 11, // header, question, OPT record
    DK_DNS_UDP_BYTES = 1232,                          // of an answer over UDP: what needs no fragments, even in IPv6
    DK_DNS_RECORDS_MAX = 256,                         // of the answer section
    DK_DNS_ALIASES_MAX = 16,                          // CNAMEs in a row
};

struct dk_dns_question {
    uint16_t id;
    uint16_t type;                  // 1: A, 28: AAAA
    uint8_t name[DK_DNS_NAME_MAX];  // as on the wire, in lower case
    size_t name_len;
};

// What an answer says.
struct dk_dns_answer {
    int64_t rcode;      // with the upper bits of EDNS: 0 … 4095
    bool truncated;     // TC
    bool authenticated; // AD: the resolver has validated it
    int64_t answers;    // addresses of the type that was asked for, of the name or what it is an alias of
    int64_t unrelated;  // records of the answer section that are about other names, or another class: not believed
};

enum dk_dns_reading {
    DK_DNS_ANSWER,
    DK_DNS_MALFORMED,  // no message, or one that contradicts itself
    DK_DNS_MISMATCHED, // a message, but no answer to this question
};

// Makes the question about `name`, "www.example.vn" with letters, digits, '-' and '_', with a dot at its end or not.
// False, with *out untouched, when it is no such name or does not fit.
bool dk_dns_question_make(const char *name, uint16_t type, uint16_t id, struct dk_dns_question *out);

// Writes the query: recursion desired, an OPT record with DK_DNS_UDP_BYTES and DO (RFC 3225), so that AD has a meaning
// (RFC 6840 section 5.8). Returns its length.
size_t dk_dns_put_query(const struct dk_dns_question *question, uint8_t out[static DK_DNS_QUERY_MAX]);

// Reads `len` bytes as an answer to `question`. *out is set for DK_DNS_ANSWER only.
// MISMATCHED: another id, no response, another opcode, or another question (RFC 5452 section 9.1).
// MALFORMED: a name that points forward or to itself, or is too long; sections shorter than their counts, or followed
// by more; an address of another size; aliases in a circle, or more than DK_DNS_ALIASES_MAX; more records than
// DK_DNS_RECORDS_MAX; two OPT records. With TC the sections may be shorter than their counts.
enum dk_dns_reading dk_dns_read(const void *data, size_t len, const struct dk_dns_question *question,
                                struct dk_dns_answer *out);
