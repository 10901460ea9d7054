// SPDX-License-Identifier: Apache-2.0
//
// What one direction really did, per 10 ms and in all.
#pragma once

#include <stdint.h>

#include "agent/base/buf.h"
#include "tests/netlab/emulator/link.h"

enum { DK_LATE_BUCKETS = 5001 }; // one per µs of lateness; the last holds all from 5 ms on

struct dk_account {
    int64_t offered;     // packets that came
    int64_t delivered;   // packets that were handed on; a duplicate counts
    int64_t ip_bytes;    // of those
    int64_t tcp_bytes;   // TCP payload of those
    int64_t duplicated;  // packets handed on twice
    int64_t lost;        // by chance
    int64_t queue_full;  // dropped at the tail
    int64_t emulator;    // dropped by the emulator's own limits or by the kernel: not part of the model
    int64_t moments;     // of the recording that were used
    int64_t late_max_ns; // handed on so much after the due time
    uint32_t late[DK_LATE_BUCKETS];
};

// Counts an offered packet by its fate.
void dk_account_offer(struct dk_account *account, enum dk_fate fate);

// Counts one copy of a packet that was handed on at `now_ns`; `copy` is 0 for the first.
void dk_account_delivery(struct dk_account *account, const struct dk_delivery *delivery, int copy,
                         int64_t now_ns);

// The lateness, in µs rounded down, that `ppm` of the packets did not pass; 0 when there were none.
int64_t dk_account_late_us(const struct dk_account *account, int64_t ppm);

// Adds `part` to `sum`.
void dk_account_add(struct dk_account *sum, const struct dk_account *part);

// Appends the names of the columns, or the row of the 10 ms that began at `time_ns`. Errors: as
// dk_buf_append.
enum dk_err dk_account_header(struct dk_buf *out);
enum dk_err dk_account_row(const struct dk_account *account, int64_t time_ns, const char *direction,
                           int64_t queue_bytes, struct dk_buf *out);
