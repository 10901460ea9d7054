// SPDX-License-Identifier: Apache-2.0
//
// Counts what arrives on a TCP connection without reading it: the kernel discards the payload (MSG_TRUNC, tcp(7)), and
// TLS records are counted by their headers, not decrypted. Nobody reads a test's payload; copying and decrypting it
// would measure the device instead of the line.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum dk_drain_state {
    DK_DRAIN_WAITING, // all there was is counted
    DK_DRAIN_WHOLE,   // the whole body has arrived
    DK_DRAIN_CLOSED,  // the peer ended the connection, or its TLS, before that
    DK_DRAIN_FAILED,  // the connection broke
    DK_DRAIN_LOST,    // what arrives are not the TLS records of a body
};

struct dk_drain {
    int fd;                    // borrowed
    int64_t body_left_bytes;   // payload still to come
    int64_t payload_bytes;     // payload counted so far, TLS overhead subtracted
    int64_t tls_overhead_bytes; // of one record, its header included; 0 for a connection without TLS
    int64_t record_bytes;      // size of the last record whose header was read, its header included; 0 before that
    int64_t records_equal;     // in a row of that size: how far to trust that the next ones are alike
    int64_t hop_bytes;         // wire bytes of the records that are being discarded
    int64_t hop_left_bytes;    // of them still to come
    int low_water_bytes;       // SO_RCVLOWAT as set
};

// Begins at the first byte of a body of which `body_bytes` are still to come on `fd` (not blocking). With TLS
// (`tls_overhead_bytes` > 0) the next byte must be the first of a record.
void dk_drain_begin(struct dk_drain *drain, int fd, int64_t body_bytes, int64_t tls_overhead_bytes);

// Counts and discards what has arrived. Never reads past the body.
enum dk_drain_state dk_drain_read(struct dk_drain *drain);

// Payload counted so far, the part of unfinished TLS records included in proportion.
int64_t dk_drain_payload_bytes(const struct dk_drain *drain);

// Asks to be woken only when an eighth of the receive buffer is full: the window never suffers, and as the kernel lets
// the buffer grow, the mark has to be set again. What arrives below the mark waits for dk_drain_read().
void dk_drain_set_low_water(struct dk_drain *drain);
