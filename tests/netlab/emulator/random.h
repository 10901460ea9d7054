// SPDX-License-Identifier: Apache-2.0
//
// Seeded random numbers: the same seed gives the same link.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dk_dice {
    uint64_t state;
};

// The next number (splitmix64).
static inline uint64_t dk_dice_next(struct dk_dice *dice)
{
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

// A stream of its own for each `purpose`, so that asking for jitter does not change which packets are lost.
static inline struct dk_dice dk_dice_make(uint64_t seed, uint64_t purpose)
{
    struct dk_dice dice = {seed};

    dice.state = dk_dice_next(&dice) ^ purpose;
    dice.state = dk_dice_next(&dice);
    return dice;
}

// True `ppm` times in a million.
static inline bool dk_dice_chance(struct dk_dice *dice, int64_t ppm)
{
    return ppm > 0 && (int64_t)(dk_dice_next(dice) % 1000000) < ppm;
}

// A number from `low` to `high`, both included.
static inline int64_t dk_dice_between(struct dk_dice *dice, int64_t low, int64_t high)
{
    return low + (int64_t)(dk_dice_next(dice) % ((uint64_t)(high - low) + 1));
}
