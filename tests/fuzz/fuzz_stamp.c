// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "probes/datagram.h"
#include "probes/stamp/reflector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A datagram as both ends read it: no byte outside it is touched, an answer is as long as the question, and
// what was read is written again as it was, but for what must be zero.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dk_stamp_reflection reflection = {.stateful = true,
                                                          .sequence = 9,
                                                          .received = UINT64_MAX,
                                                          .error_estimate = UINT16_MAX,
                                                          .ttl = UINT8_MAX,
                                                          .tlvs = {{true, 8, UINT64_MAX}, {1, 2, 1, 2}}};
    uint8_t out[DK_DATAGRAM_MAX], again[DK_STAMP_SIZE];
    struct dk_stamp_tlvs tlvs;
    struct dk_stamp_request request;
    struct dk_stamp_answer answer;

    if (size > sizeof out)
        return 0;
    if (dk_stamp_accept(data, size, NULL, &request) != (size >= DK_STAMP_SIZE))
        abort();
    if (size < DK_STAMP_SIZE)
        return 0;
    if (!dk_stamp_reflect(&request, data, size, NULL, &reflection, out))
        abort();
    dk_stamp_read_tlvs(out + DK_STAMP_SIZE, size - DK_STAMP_SIZE, 9, NULL, &tlvs);
    if (tlvs.follow_up.known && tlvs.follow_up.sequence != 8)
        abort(); // what a reflector of ours wrote is read as it was meant
    dk_stamp_read_tlvs(data + DK_STAMP_SIZE, size - DK_STAMP_SIZE, 9, NULL, &tlvs);
    if (!dk_stamp_get_request(data, size, &request) || !dk_stamp_get_answer(data, size, &answer))
        abort();
    dk_stamp_put_request(&request, again);
    if (memcmp(again, data, 16) != 0)
        abort();
    dk_stamp_put_answer(&answer, again);
    if (memcmp(again, data, 38) != 0 || again[40] != data[40])
        abort();
    // Any two timestamps have a difference.
    (void)dk_stamp_between_ns(answer.timestamp, answer.received, answer.error_estimate);
    (void)dk_stamp_between_ns(answer.received, answer.timestamp, request.error_estimate);
    return 0;
}
