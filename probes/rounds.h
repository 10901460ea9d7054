// SPDX-License-Identifier: Apache-2.0
//
// Round trips, one after another at the moments of the plan's sampling, whatever carries them: when each is sent, which
// answer counts, and when it is over. A probe sends, reads, and says what it sent and read.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "probes/loop.h"
#include "probes/measurement.h"
#include "probes/probe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the probe does. `argument` is that of dk_rounds_init().
struct dk_rounds_carrier {
    void (*send)(void *argument, size_t number); // sends it, and calls dk_rounds_sent_at()
    void (*receive)(void *argument);             // takes what has been answered; does not wait. May be NULL.
    void (*unanswered)(void *argument);          // nobody answered anything: ends it by dk_rounds_finish()
    void (*stop)(void *argument);                // takes all that is its own off the loop; called once
};

struct dk_round {
    struct dk_mono sent_at;
    int64_t send_late_ns; // how much later than it should have been sent
    bool kernel;          // sent_at is the kernel's
    bool late;            // an answer came after the timeout
    uint64_t mark;        // the carrier's own
};

struct dk_rounds {
    struct dk_loop *loop;
    const struct dk_plan *plan;
    const struct dk_rounds_carrier *carrier;
    void *argument;
    bool optional; // set by the carrier: without any answer 600 ms after the first sending it is over
    bool done;
    size_t wanted, sent;
    int64_t interval_ns;
    int64_t answered;
    int64_t highest;       // number answered so far; −1
    int64_t kernel_stamps; // of the answered: both moments are the kernel's
    int64_t user_stamps;   // of the answered: neither is
    struct dk_mono next_send;
    struct dk_latency result;
    struct dk_round *rounds; // [wanted]
    int64_t *rtt_ns;         // [wanted], −1 = lost
};

// Makes ready for plan->latency_count round trips with `method`. `plan` and `loop` outlive it, and `rounds` must not
// move. Errors: MEMORY.
enum dk_err dk_rounds_init(struct dk_rounds *rounds, struct dk_loop *loop, const struct dk_plan *plan,
                           enum dk_method method, const struct dk_rounds_carrier *carrier, void *argument);

// Sends the first one in the next turn of the loop. What goes wrong is the result.
void dk_rounds_begin(struct dk_rounds *rounds);

// Round trip `number` was sent at that moment, by the kernel's word or by our own.
void dk_rounds_sent_at(struct dk_rounds *rounds, size_t number, struct dk_mono at, bool kernel);

// An answer to `number`, which was sent, came at that moment. `held_ns` is how long the far end kept it, as it says;
// what cannot be is not believed.
void dk_rounds_answered(struct dk_rounds *rounds, size_t number, struct dk_mono at, bool kernel, int64_t held_ns);

// The far end kept `number`, which was answered in time, for so much longer than it had said. What cannot be is not
// believed.
void dk_rounds_held_longer(struct dk_rounds *rounds, size_t number, int64_t more_ns);

// An answer to `number` where the kernel has measured the round trip itself.
void dk_rounds_answered_after(struct dk_rounds *rounds, size_t number, int64_t rtt_ns);

// Ends it when all were answered. To be called when what had come was read.
void dk_rounds_check(struct dk_rounds *rounds);

// Ends it now. `reason` is "" for OK.
void dk_rounds_finish(struct dk_rounds *rounds, enum dk_status status, const char *reason);

// Moves the result of a finished one, and its series, into the plan's phase.
void dk_rounds_fill(struct dk_rounds *rounds, struct dk_measurement *out);

// Sends nothing further, and ends when what is under way was answered or is lost.
void dk_rounds_conclude(struct dk_rounds *rounds);

// An upper bound of the time that a plan's round trips take, from the first sending.
int64_t dk_rounds_max_duration_ns(const struct dk_plan *plan);

// Frees what it holds; it must have been finished, or never begun.
void dk_rounds_free(struct dk_rounds *rounds);
