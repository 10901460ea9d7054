// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/drain.h"

#include "agent/base/bytes.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
    RECORD_HEADER_BYTES = 5,
    RECORD_MAX_BYTES = 16384 + 2048, // RFC 5246 section 6.2.3; TLS 1.3 allows 16384 + 256
    TYPE_ALERT = 21,
    TYPE_APPLICATION_DATA = 23,
    VERSION_TLS12 = 0x0303, // TLS 1.3 records say the same (RFC 8446 section 5.1)
    CHUNK_BYTES = 8 << 20, // per call
    // A hop over more than one record is only made after this many equal ones, and checked where it lands.
    EQUAL_BEFORE_HOP = 16,
    HOP_RECORDS_MAX = 256,
    LOW_WATER_SHARE = 8, // of the receive buffer
};

void dk_drain_begin(struct dk_drain *drain, int fd, int64_t body_bytes, int64_t tls_overhead_bytes)
{
    *drain = (struct dk_drain){
        .fd = fd, .body_left_bytes = body_bytes, .tls_overhead_bytes = tls_overhead_bytes, .low_water_bytes = 1};
}

static int64_t payload_of(const struct dk_drain *drain, int64_t wire_bytes)
{
    if (drain->tls_overhead_bytes == 0 || drain->record_bytes == 0)
        return wire_bytes;
    return wire_bytes / drain->record_bytes * (drain->record_bytes - drain->tls_overhead_bytes) +
           wire_bytes % drain->record_bytes * (drain->record_bytes - drain->tls_overhead_bytes) / drain->record_bytes;
}

int64_t dk_drain_payload_bytes(const struct dk_drain *drain)
{
    return drain->payload_bytes + payload_of(drain, drain->hop_bytes - drain->hop_left_bytes);
}

static enum dk_drain_state state_of_error(void)
{
    return errno == EAGAIN || errno == EINTR ? DK_DRAIN_WAITING : DK_DRAIN_FAILED;
}

// At the first byte of a record: reads its header, without taking it, and plans the next hop.
static enum dk_drain_state plan_hop(struct dk_drain *drain)
{
    uint8_t header[RECORD_HEADER_BYTES];
    ssize_t got = recv(drain->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT);

    if (got < 0)
        return state_of_error();
    if (got == 0)
        return DK_DRAIN_CLOSED;
    if (got < (ssize_t)sizeof header)
        return DK_DRAIN_WAITING;

    struct dk_reader reader = {header, sizeof header, false};
    uint8_t type = dk_get_u8(&reader);
    uint16_t version = dk_get_u16(&reader);
    int64_t size = RECORD_HEADER_BYTES + dk_get_u16(&reader);

    if (type == TYPE_ALERT && version == VERSION_TLS12)
        return DK_DRAIN_CLOSED;
    if (type != TYPE_APPLICATION_DATA || version != VERSION_TLS12 || size <= drain->tls_overhead_bytes ||
        size > RECORD_MAX_BYTES)
        return DK_DRAIN_LOST;
    drain->records_equal = size == drain->record_bytes ? drain->records_equal + 1 : 0;
    drain->record_bytes = size;

    int64_t payload = size - drain->tls_overhead_bytes, records = 1;

    if (drain->records_equal >= EQUAL_BEFORE_HOP) {
        records = drain->records_equal - EQUAL_BEFORE_HOP + 1;
        records = records < HOP_RECORDS_MAX ? records : HOP_RECORDS_MAX;
        // The last record of a body is shorter as a rule: it is met alone.
        if (records > drain->body_left_bytes / payload)
            records = drain->body_left_bytes / payload;
        records = records > 0 ? records : 1;
    }
    drain->hop_bytes = drain->hop_left_bytes = records * size;
    return DK_DRAIN_WAITING;
}

static void finish_hop(struct dk_drain *drain)
{
    int64_t payload = payload_of(drain, drain->hop_bytes);

    drain->payload_bytes += payload;
    drain->body_left_bytes -= payload < drain->body_left_bytes ? payload : drain->body_left_bytes;
    drain->hop_bytes = 0;
}

enum dk_drain_state dk_drain_read(struct dk_drain *drain)
{
    // Never written to and so never in memory: with MSG_TRUNC a TCP socket counts the bytes and drops them.
    static char unwritten[CHUNK_BYTES];

    for (;;) {
        if (drain->hop_left_bytes == 0) {
            if (drain->hop_bytes > 0)
                finish_hop(drain);
            if (drain->body_left_bytes == 0)
                return DK_DRAIN_WHOLE;
            if (drain->tls_overhead_bytes > 0) {
                enum dk_drain_state state = plan_hop(drain);

                if (drain->hop_left_bytes == 0)
                    return state;
            } else {
                drain->hop_bytes = drain->hop_left_bytes = drain->body_left_bytes;
            }
        }

        int64_t asked = drain->hop_left_bytes < CHUNK_BYTES ? drain->hop_left_bytes : CHUNK_BYTES;
        ssize_t got = recv(drain->fd, unwritten, (size_t)asked, MSG_TRUNC | MSG_DONTWAIT);

        if (got < 0)
            return state_of_error();
        if (got == 0)
            return DK_DRAIN_CLOSED;
        drain->hop_left_bytes -= got;
        // Less than was asked for is all there was; an end or an error will wake the loop again.
        if (got < asked)
            return DK_DRAIN_WAITING;
    }
}

void dk_drain_set_low_water(struct dk_drain *drain)
{
    int buffer_bytes = 0;
    socklen_t len = sizeof buffer_bytes;
    int64_t left_bytes = drain->body_left_bytes - payload_of(drain, drain->hop_bytes - drain->hop_left_bytes);

    if (getsockopt(drain->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, &len) != 0)
        return;

    int low_water_bytes = buffer_bytes / LOW_WATER_SHARE;

    // A rest shorter than the low-water mark would never wake anybody.
    if (low_water_bytes < 1 || low_water_bytes > left_bytes / 2)
        low_water_bytes = 1;
    // Small corrections are not worth a system call.
    if (low_water_bytes > drain->low_water_bytes / 4 * 3 && low_water_bytes < drain->low_water_bytes / 4 * 5)
        return;
    if (setsockopt(drain->fd, SOL_SOCKET, SO_RCVLOWAT, &low_water_bytes, sizeof low_water_bytes) == 0)
        drain->low_water_bytes = low_water_bytes;
}
