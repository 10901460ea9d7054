// SPDX-License-Identifier: Apache-2.0
#include "probes/stamp/loss.h"

void dk_stamp_loss_begin(struct dk_stamp_loss *loss)
{
    *loss = (struct dk_stamp_loss){.sender_last = -1, .reflector_last = -1};
}

void dk_stamp_loss_answered(struct dk_stamp_loss *loss, uint32_t sender_sequence, uint32_t reflector_sequence,
                            bool again)
{
    if (again)
        loss->contradictory = true;
    if (sender_sequence > loss->sender_last)
        loss->sender_last = sender_sequence;
    if (reflector_sequence > loss->reflector_last)
        loss->reflector_last = reflector_sequence;
}

bool dk_stamp_loss_split(const struct dk_stamp_loss *loss, int64_t sent, int64_t answered, int64_t *forward,
                         int64_t *back)
{
    int64_t reached = loss->reflector_last + 1, tried = loss->sender_last + 1;

    *forward = *back = 0;
    if (!loss->stateful || loss->contradictory || reached > tried || reached < answered || tried > sent)
        return false;
    *forward = tried - reached;
    *back = reached - answered;
    return true;
}
