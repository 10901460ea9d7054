// SPDX-License-Identifier: Apache-2.0
//
// Where packets were lost: on the way to a stateful reflector or back. Its own sequence numbers say how many requests
// it has seen (RFC 8762 section 4.3.1); loss itself is that of RFC 6673.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dk_stamp_loss {
    bool stateful;      // set by the owner: the reflector has shown that it counts by itself
    bool contradictory; // what it counts cannot be: it began anew, or requests were doubled on the way
    int64_t sender_last, reflector_last; // the highest sequence numbers that were answered; −1
};

// Before the first answer.
void dk_stamp_loss_begin(struct dk_stamp_loss *loss);

// Request `sender_sequence` was answered as the reflector's `reflector_sequence`; `again` when it was not for the
// first time.
void dk_stamp_loss_answered(struct dk_stamp_loss *loss, uint32_t sender_sequence, uint32_t reflector_sequence,
                            bool again);

// Splits what was lost of `sent` packets of which `answered` came back, late ones included. Of those after the last
// answered one nobody knows. False, with 0 in both: cannot be told. Never is forward + back > sent − answered.
bool dk_stamp_loss_split(const struct dk_stamp_loss *loss, int64_t sent, int64_t answered, int64_t *forward,
                         int64_t *back);
