// SPDX-License-Identifier: Apache-2.0
#include "probes/rounds.h"

#include "probes/gap.h"
#include "probes/stats.h"

#include <stdio.h>
#include <stdlib.h>

// An optional far end that has not answered by now is not there.
static const int64_t give_up_ns = 600 * DK_NS_PER_MS;

enum dk_err dk_rounds_init(struct dk_rounds *rounds, struct dk_loop *loop, const struct dk_plan *plan,
                           enum dk_method method, const struct dk_rounds_carrier *carrier, void *argument)
{
    *rounds = (struct dk_rounds){
        .loop = loop,
        .plan = plan,
        .carrier = carrier,
        .argument = argument,
        .wanted = (size_t)plan->latency_count,
        .interval_ns = plan->latency_interval_ns,
        .highest = -1,
        .result = {.method = method, .timeout_ns = plan->latency_timeout_ns, .sampling = plan->latency_sampling},
    };
    rounds->rounds = calloc(rounds->wanted + 1, sizeof *rounds->rounds);
    rounds->rtt_ns = malloc((rounds->wanted + 1) * sizeof *rounds->rtt_ns);
    if (rounds->rounds == NULL || rounds->rtt_ns == NULL) {
        dk_rounds_free(rounds);
        return DK_ERR_MEMORY;
    }
    for (size_t i = 0; i <= rounds->wanted; i++)
        rounds->rtt_ns[i] = -1;
    return DK_OK;
}

void dk_rounds_free(struct dk_rounds *rounds)
{
    free(rounds->rounds);
    free(rounds->rtt_ns);
    rounds->rounds = NULL;
    rounds->rtt_ns = NULL;
}

void dk_rounds_fill(struct dk_rounds *rounds, struct dk_measurement *out)
{
    rounds->result.series_ns = rounds->rtt_ns;
    rounds->rtt_ns = NULL;
    dk_measurement_take_latency(out, rounds->plan->phase, &rounds->result);
}

static enum dk_err fill_lateness(struct dk_rounds *rounds)
{
    int64_t *late_ns = malloc((rounds->sent + 1) * sizeof *late_ns);

    if (late_ns == NULL)
        return DK_ERR_MEMORY;
    for (size_t i = 0; i < rounds->sent; i++)
        late_ns[i] = rounds->rounds[i].send_late_ns;
    dk_stats_send_late(late_ns, rounds->sent, &rounds->result);
    free(late_ns);
    return DK_OK;
}

void dk_rounds_finish(struct dk_rounds *rounds, enum dk_status status, const char *reason)
{
    struct dk_latency *result = &rounds->result;

    if (rounds->done)
        return;
    rounds->done = true;
    dk_loop_clear_timer(rounds->loop, rounds);
    rounds->carrier->stop(rounds->argument);
    result->interval_ns = rounds->interval_ns;
    if (rounds->answered > 0)
        result->timestamps = rounds->kernel_stamps == rounds->answered ? DK_TIMESTAMPS_KERNEL
                             : rounds->user_stamps == rounds->answered ? DK_TIMESTAMPS_USER
                                                                       : DK_TIMESTAMPS_MIXED;
    if (dk_stats_latency(rounds->rtt_ns, rounds->sent, result) != DK_OK || fill_lateness(rounds) != DK_OK) {
        status = DK_STATUS_FAILED;
        reason = "out of memory";
    }
    result->status = status;
    snprintf(result->reason, sizeof result->reason, "%s", reason);
}

void dk_rounds_check(struct dk_rounds *rounds)
{
    if (rounds->sent == rounds->wanted && rounds->answered == (int64_t)rounds->wanted)
        dk_rounds_finish(rounds, DK_STATUS_OK, "");
}

void dk_rounds_sent_at(struct dk_rounds *rounds, size_t number, struct dk_mono at, bool kernel)
{
    rounds->rounds[number].sent_at = at;
    rounds->rounds[number].kernel = kernel;
}

// False when the answer to `number` is not the one that counts.
static bool is_first_in_time(struct dk_rounds *rounds, size_t number, int64_t waited_ns)
{
    struct dk_round *round = &rounds->rounds[number];

    if (rounds->rtt_ns[number] >= 0 || round->late) {
        rounds->result.duplicate++;
        return false;
    }
    if (waited_ns > rounds->plan->latency_timeout_ns) {
        round->late = true;
        rounds->result.late++;
        return false;
    }
    return true;
}

static void count_answer(struct dk_rounds *rounds, size_t number, int64_t rtt_ns)
{
    // RFC 4737 section 3: of the first answers, one with a lower number than one before.
    if ((int64_t)number < rounds->highest)
        rounds->result.reordered++;
    else
        rounds->highest = (int64_t)number;
    rounds->rtt_ns[number] = rtt_ns;
    rounds->answered++;
}

void dk_rounds_answered(struct dk_rounds *rounds, size_t number, struct dk_mono at, bool kernel, int64_t held_ns)
{
    const struct dk_round *round = &rounds->rounds[number];
    int64_t whole_ns = dk_mono_diff_ns(at, round->sent_at);

    if (!is_first_in_time(rounds, number, whole_ns))
        return;
    if (whole_ns < 0) // the two moments may come from two clocks, which are compared to about 1 µs
        whole_ns = 0;
    count_answer(rounds, number, held_ns >= 0 && held_ns <= whole_ns ? whole_ns - held_ns : whole_ns);
    rounds->kernel_stamps += kernel && round->kernel;
    rounds->user_stamps += !kernel && !round->kernel;
}

void dk_rounds_held_longer(struct dk_rounds *rounds, size_t number, int64_t more_ns)
{
    if (rounds->rtt_ns[number] >= 0 && more_ns > 0 && more_ns <= rounds->rtt_ns[number])
        rounds->rtt_ns[number] -= more_ns;
}

void dk_rounds_answered_after(struct dk_rounds *rounds, size_t number, int64_t rtt_ns)
{
    if (!is_first_in_time(rounds, number, rtt_ns))
        return;
    count_answer(rounds, number, rtt_ns);
    rounds->kernel_stamps++;
}

// When the timer has work: the next sending, the end of waiting, or giving up.
static struct dk_mono next_moment(const struct dk_rounds *rounds)
{
    struct dk_mono next = rounds->next_send;

    if (rounds->sent == rounds->wanted)
        next = dk_mono_add_ns(rounds->rounds[rounds->sent - 1].sent_at, rounds->plan->latency_timeout_ns);
    if (rounds->optional && rounds->answered == 0 && rounds->sent > 0) {
        struct dk_mono give_up = dk_mono_add_ns(rounds->rounds[0].sent_at, give_up_ns);

        if (give_up.ns < next.ns)
            next = give_up;
    }
    return next;
}

// True when there is nothing left to send or to wait for.
static bool is_over(const struct dk_rounds *rounds, struct dk_mono now)
{
    if (rounds->sent == 0 || dk_mono_diff_ns(now, next_moment(rounds)) < 0)
        return false;
    return rounds->sent == rounds->wanted ||
           (rounds->optional && rounds->answered == 0 &&
            dk_mono_diff_ns(now, rounds->rounds[0].sent_at) >= give_up_ns);
}

static void send_one(struct dk_rounds *rounds)
{
    struct dk_mono now = dk_mono_now();
    size_t number = rounds->sent++;

    rounds->rounds[number].sent_at = now;
    rounds->rounds[number].send_late_ns = dk_mono_diff_ns(now, rounds->next_send);
    // A loop that was late by more than an interval does not send a burst to catch up. Of random ones two may be close.
    int64_t gap_ns = dk_gap_ns(rounds->plan->latency_sampling, rounds->interval_ns);
    int64_t late_ns = rounds->plan->latency_sampling == DK_SAMPLING_POISSON ? rounds->interval_ns : 0;

    rounds->next_send = dk_mono_add_ns(rounds->next_send, gap_ns);
    if (dk_mono_diff_ns(now, rounds->next_send) >= late_ns)
        rounds->next_send = dk_mono_add_ns(now, gap_ns);
    rounds->carrier->send(rounds->argument, number);
}

static void on_timer(void *argument, struct dk_mono now)
{
    struct dk_rounds *rounds = argument;

    // Answers that are already here count, however late the loop is.
    if (rounds->carrier->receive != NULL)
        rounds->carrier->receive(rounds->argument);
    if (rounds->done)
        return;
    if (is_over(rounds, now)) {
        if (rounds->answered > 0)
            dk_rounds_finish(rounds, DK_STATUS_OK, "");
        else
            rounds->carrier->unanswered(rounds->argument);
        return;
    }
    if (rounds->sent < rounds->wanted && dk_mono_diff_ns(now, rounds->next_send) >= 0)
        send_one(rounds);
    if (!rounds->done && dk_loop_set_timer(rounds->loop, next_moment(rounds), on_timer, rounds) != DK_OK)
        dk_rounds_finish(rounds, DK_STATUS_FAILED, "the loop is full");
}

void dk_rounds_begin(struct dk_rounds *rounds)
{
    rounds->next_send = dk_mono_now();
    if (dk_loop_set_timer(rounds->loop, rounds->next_send, on_timer, rounds) != DK_OK)
        dk_rounds_finish(rounds, DK_STATUS_FAILED, "the loop is full");
}

void dk_rounds_conclude(struct dk_rounds *rounds)
{
    if (rounds->done)
        return;
    rounds->wanted = rounds->sent;
    if (rounds->sent == 0)
        dk_rounds_finish(rounds, DK_STATUS_NOT_MEASURED, "there was no time to send anything");
    else if (rounds->answered == (int64_t)rounds->sent)
        dk_rounds_finish(rounds, DK_STATUS_OK, "");
    else if (dk_loop_set_timer(rounds->loop, next_moment(rounds), on_timer, rounds) != DK_OK)
        dk_rounds_finish(rounds, DK_STATUS_FAILED, "the loop is full");
}

int64_t dk_rounds_max_duration_ns(const struct dk_plan *plan)
{
    // A late loop may stretch the intervals, and so may chance: the sum of n random ones is above 2 n + 30 times their
    // mean in fewer than one of 10^9 tests.
    int64_t intervals = 2 * plan->latency_count + (plan->latency_sampling == DK_SAMPLING_POISSON ? 30 : 0);

    return intervals * plan->latency_interval_ns + plan->latency_timeout_ns;
}
