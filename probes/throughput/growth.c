// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/growth.h"

#include "agent/base/clock.h"

enum {
    FIRST_ROUND_TRIPS = 12, // by then TCP has found the rate that it will have
    QUEUE_SHARE = 8,        // a line that is full makes a round trip longer by at least an eighth
    RAISED_PERCENT = 105,   // of the rate before is what more streams must bring
};
static const int64_t least_duration_ns = 4 * DK_NS_PER_S;
static const int64_t queue_ns = DK_NS_PER_MS; // … and by at least this
static const int64_t settle_ns = 250 * DK_NS_PER_MS;

struct dk_growth dk_growth_make(int64_t streams_max, int64_t duration_ns)
{
    return (struct dk_growth){
        .streams_max = streams_max,
        .next_ns = duration_ns >= least_duration_ns ? DK_GROWTH_WINDOW_NS : INT64_MAX,
        .last_ns = duration_ns / 5 * 2,
    };
}

static bool has_queue(const struct dk_tcp_stream *tcp, bool upload)
{
    int64_t rtt_ns = upload ? tcp->rtt_ns : tcp->receive_rtt_ns, least_ns = tcp->rtt_min_ns;

    // Without both there is nothing to go by, and the streams stay as they are.
    return rtt_ns <= 0 || least_ns < 0 || rtt_ns > least_ns + least_ns / QUEUE_SHARE + queue_ns;
}

size_t dk_growth_decide(struct dk_growth *growth, int64_t now_ns, int64_t rate_bps, const struct dk_tcp_stream tcp[],
                        size_t count, bool upload)
{
    int64_t lost = 0, rtt_min_ns = 0;
    size_t full = 0;

    for (size_t s = 0; s < count; s++) {
        int64_t of_stream = upload ? tcp[s].retransmitted_segments : tcp[s].out_of_order_in;

        lost += of_stream > 0 ? of_stream : 0;
        full += has_queue(&tcp[s], upload);
        rtt_min_ns = tcp[s].rtt_min_ns > rtt_min_ns ? tcp[s].rtt_min_ns : rtt_min_ns;
    }
    if (now_ns > growth->last_ns) {
        growth->next_ns = INT64_MAX;
        return 0;
    }
    growth->next_ns = now_ns + DK_GROWTH_WINDOW_NS;
    if (now_ns < FIRST_ROUND_TRIPS * rtt_min_ns)
        return 0;

    bool loses = lost > growth->lost;

    growth->lost = lost;
    if (full > count / 2) {
        growth->rate_bps = 0;
        return 0;
    }
    if (rate_bps / RAISED_PERCENT < growth->rate_bps / 100) {
        // What the first streams had may still have been falling: the second window tells.
        if (growth->missed++ > 0)
            growth->next_ns = INT64_MAX;
        return 0;
    }
    growth->rate_bps = 0;
    if (!loses || (int64_t)count >= growth->streams_max)
        return 0;
    growth->rate_bps = rate_bps > 0 ? rate_bps : 1;
    growth->missed = 0;
    growth->next_ns = INT64_MAX;
    return 2 * (int64_t)count <= growth->streams_max ? count : (size_t)growth->streams_max - count;
}

void dk_growth_joined(struct dk_growth *growth, int64_t now_ns)
{
    growth->next_ns = now_ns + settle_ns + DK_GROWTH_WINDOW_NS;
}
