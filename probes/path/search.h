// SPDX-License-Identifier: Apache-2.0
//
// The search for the path MTU: which lengths to try next, and what follows from what came of them. Pure.
#pragma once

#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_SEARCH_SIZES_MAX = 8 };

struct dk_search {
    int64_t top;      // bytes of an IP packet that the link can carry
    bool refine;      // where nobody says what fits, try until it is known
    int64_t answered; // the longest that was; 0: none
    int64_t too_long; // the shortest that was refused or vanished; 0: none
    bool vanished;    // too_long did, and nobody said why
    bool told;        // somebody has said so of some packet
    int64_t hint;     // what a router says that fits; 0: nothing that is not tried yet
    int64_t followed; // the last hint that was tried
    int64_t sizes[DK_SEARCH_SIZES_MAX]; // to be tried now, `count` of them, each one length
    size_t count;                       // 0: it is over
};

// Begins with `top`, and with `floor`, that every way can carry, to know whether anybody answers.
struct dk_search dk_search_make(int64_t top, int64_t floor, bool refine);

// A packet of that length was answered; was refused by a router, which says that `mtu` fits; vanished each time it was
// sent.
void dk_search_answered(struct dk_search *search, int64_t size);
void dk_search_refused(struct dk_search *search, int64_t size, int64_t mtu);
void dk_search_vanished(struct dk_search *search, int64_t size);

// True when nothing is left to know of `size`: it, or a longer one, was answered; or it, or a shorter one, is too long.
bool dk_search_knows(const struct dk_search *search, int64_t size);

// All of `sizes` has come to an end: the next ones.
void dk_search_next(struct dk_search *search);

// What is known now, into `out`: all but its status, its reason and kernel_bytes.
void dk_search_fill(const struct dk_search *search, struct dk_path_mtu *out);
