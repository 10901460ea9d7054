// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "probes/dns/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A message that comes for the question in it: it is read within its bounds and to an end, an answer is about that very
// question, and says no more than it has records for.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"www.example.vn", "a", "speed.example.vn"};
    struct dk_dns_question question;
    struct dk_dns_answer answer;

    if (size < 1 || size > 65536)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint16_t id = size > 2 ? (uint16_t)(data[1] << 8 | data[2]) : 0;

        if (!dk_dns_question_make(names[i], data[0] % 2 == 0 ? 1 : 28, id, &question))
            abort();
        if (dk_dns_read(data + 1, size - 1, &question, &answer) != DK_DNS_ANSWER)
            continue;
        if (answer.answers + answer.unrelated > DK_DNS_RECORDS_MAX || answer.answers < 0 || answer.unrelated < 0 ||
            (size_t)answer.answers * 15 > size || answer.rcode < 0 || answer.rcode > 4095)
            abort();
        question.id ^= 1;
        if (dk_dns_read(data + 1, size - 1, &question, &answer) != DK_DNS_MISMATCHED)
            abort();
    }
    return 0;
}
