// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/packet.h"

#include <sys/timex.h>

#include "agent/base/bytes.h"

static const uint64_t ntp_epoch_offset_s = UINT64_C(2208988800); // 1900 to 1970
static const int64_t unknown_error_ns = 16 * DK_NS_PER_S;

void dk_stamp_put_request(const struct dk_stamp_request *request, uint8_t out[static DK_STAMP_SIZE])
{
    struct dk_writer w = {out, DK_STAMP_SIZE, false};

    dk_put_u32(&w, request->sequence);
    dk_put_u64(&w, request->timestamp);
    dk_put_u16(&w, request->error_estimate);
    dk_put_u16(&w, request->session);
    dk_put_zero(&w, w.left);
}

void dk_stamp_put_answer(const struct dk_stamp_answer *answer, uint8_t out[static DK_STAMP_SIZE])
{
    struct dk_writer w = {out, DK_STAMP_SIZE, false};

    dk_put_u32(&w, answer->sequence);
    dk_put_u64(&w, answer->timestamp);
    dk_put_u16(&w, answer->error_estimate);
    dk_put_u16(&w, answer->session);
    dk_put_u64(&w, answer->received);
    dk_put_u32(&w, answer->sender_sequence);
    dk_put_u64(&w, answer->sender_timestamp);
    dk_put_u16(&w, answer->sender_error_estimate);
    dk_put_zero(&w, 2);
    dk_put_u8(&w, answer->sender_ttl);
    dk_put_zero(&w, w.left);
}

bool dk_stamp_get_request(const void *data, size_t len, struct dk_stamp_request *out)
{
    struct dk_reader r = {data, len, false};
    struct dk_stamp_request request = {
        .sequence = dk_get_u32(&r),
        .timestamp = dk_get_u64(&r),
        .error_estimate = dk_get_u16(&r),
        .session = dk_get_u16(&r),
    };

    if (len < DK_STAMP_SIZE)
        return false;
    *out = request;
    return true;
}

bool dk_stamp_get_answer(const void *data, size_t len, struct dk_stamp_answer *out)
{
    struct dk_reader r = {data, len, false};
    struct dk_stamp_answer answer = {0};

    answer.sequence = dk_get_u32(&r);
    answer.timestamp = dk_get_u64(&r);
    answer.error_estimate = dk_get_u16(&r);
    answer.session = dk_get_u16(&r);
    answer.received = dk_get_u64(&r);
    answer.sender_sequence = dk_get_u32(&r);
    answer.sender_timestamp = dk_get_u64(&r);
    answer.sender_error_estimate = dk_get_u16(&r);
    dk_get_skip(&r, 2);
    answer.sender_ttl = dk_get_u8(&r);
    if (len < DK_STAMP_SIZE)
        return false;
    *out = answer;
    return true;
}

uint64_t dk_stamp_from_wall(struct dk_wall when)
{
    uint64_t seconds = (uint64_t)(when.ns / DK_NS_PER_S) + ntp_epoch_offset_s;
    uint64_t fraction = ((uint64_t)(when.ns % DK_NS_PER_S) << 32) / (uint64_t)DK_NS_PER_S;

    return seconds << 32 | fraction;
}

int64_t dk_stamp_between_ns(uint64_t later, uint64_t earlier, uint16_t error_estimate)
{
    if ((error_estimate & DK_STAMP_PTP) != 0) { // seconds in the upper half, nanoseconds in the lower
        int32_t seconds = (int32_t)((uint32_t)(later >> 32) - (uint32_t)(earlier >> 32));

        return seconds * DK_NS_PER_S + ((int64_t)(uint32_t)later - (int64_t)(uint32_t)earlier);
    }

    uint64_t difference = later - earlier;
    uint64_t fraction_ns = (difference & UINT32_MAX) * (uint64_t)DK_NS_PER_S >> 32;

    return (int32_t)(uint32_t)(difference >> 32) * DK_NS_PER_S + (int64_t)fraction_ns;
}

uint16_t dk_stamp_error_estimate(bool synchronised, int64_t error_ns)
{
    uint64_t ns = (uint64_t)(error_ns < 0 ? unknown_error_ns : error_ns), scale = 0;
    uint64_t billion = (uint64_t)DK_NS_PER_S;

    // In units of 2^-32 s, rounded up; more than 2^31 s is said to be that.
    uint64_t seconds = ns / billion < UINT64_C(1) << 31 ? ns / billion : UINT64_C(1) << 31;
    uint64_t multiplier = (seconds << 32) + ((ns % billion << 32) + billion - 1) / billion;

    for (; multiplier > 255; scale++)
        multiplier = multiplier / 2 + multiplier % 2;
    if (multiplier == 0)
        multiplier = 1;
    return (uint16_t)((synchronised ? DK_STAMP_SYNCHRONISED : 0) | scale << 8 | multiplier);
}

uint16_t dk_stamp_clock_error(void)
{
    struct timex clock = {0};
    int state = adjtimex(&clock);

    if (state < 0)
        return dk_stamp_error_estimate(false, -1);
    return dk_stamp_error_estimate(state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0,
                                   (int64_t)clock.maxerror * DK_NS_PER_US);
}
