// SPDX-License-Identifier: Apache-2.0
#include "tests/netlab/emulator/account.h"

#include <inttypes.h>

#include "agent/base/clock.h"

void dk_account_offer(struct dk_account *account, enum dk_fate fate)
{
    account->offered++;
    account->lost += fate == DK_FATE_LOST;
    account->queue_full += fate == DK_FATE_QUEUE_FULL;
    account->emulator += fate == DK_FATE_NO_ROOM;
}

void dk_account_delivery(struct dk_account *account, const struct dk_delivery *delivery, int copy,
                         int64_t now_ns)
{
    int64_t late_ns = now_ns - delivery->due_ns;
    int64_t late_us = late_ns / DK_NS_PER_US;

    account->delivered++;
    account->ip_bytes += delivery->packet.ip_bytes;
    account->tcp_bytes += delivery->packet.payload_bytes;
    account->duplicated += copy > 0;
    account->moments += copy == 0 ? delivery->moments : 0;
    if (late_ns > account->late_max_ns)
        account->late_max_ns = late_ns;
    account->late[late_us < 0 ? 0 : late_us < DK_LATE_BUCKETS ? late_us : DK_LATE_BUCKETS - 1]++;
}

int64_t dk_account_late_us(const struct dk_account *account, int64_t ppm)
{
    int64_t before = 0;

    if (account->delivered == 0)
        return 0;
    for (int64_t us = 0; us < DK_LATE_BUCKETS; us++) {
        before += account->late[us];
        if (before * 1000000 >= account->delivered * ppm)
            return us;
    }
    return DK_LATE_BUCKETS - 1;
}

void dk_account_add(struct dk_account *sum, const struct dk_account *part)
{
    sum->offered += part->offered;
    sum->delivered += part->delivered;
    sum->ip_bytes += part->ip_bytes;
    sum->tcp_bytes += part->tcp_bytes;
    sum->duplicated += part->duplicated;
    sum->lost += part->lost;
    sum->queue_full += part->queue_full;
    sum->emulator += part->emulator;
    sum->moments += part->moments;
    if (part->late_max_ns > sum->late_max_ns)
        sum->late_max_ns = part->late_max_ns;
    if (part->delivered > 0)
        for (int us = 0; us < DK_LATE_BUCKETS; us++)
            sum->late[us] += part->late[us];
}

enum dk_err dk_account_header(struct dk_buf *out)
{
    return dk_buf_printf(out,
                         "time_ns,direction,offered,packets,ip_bytes,tcp_bytes,duplicated,lost,queue_full,"
                         "emulator,moments,queue_bytes,late_max_us,late_median_us\n");
}

enum dk_err dk_account_row(const struct dk_account *a, int64_t time_ns, const char *direction,
                           int64_t queue_bytes, struct dk_buf *out)
{
    return dk_buf_printf(out,
                         "%" PRId64 ",%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                         ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "\n",
                         time_ns, direction, a->offered, a->delivered, a->ip_bytes, a->tcp_bytes,
                         a->duplicated, a->lost, a->queue_full, a->emulator, a->moments, queue_bytes,
                         a->late_max_ns / DK_NS_PER_US, dk_account_late_us(a, 500000));
}
