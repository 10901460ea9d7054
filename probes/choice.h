// SPDX-License-Identifier: Apache-2.0
//
// Which of several reference servers is measured against: pure (docs/methodology.md, "Which server").
#pragma once

#include "probes/measurement.h"

#include <stddef.h>

// Writes into `order` the places, in `candidates`, of the servers to try one after the other; returns how many, at
// least 1 when `count` is (1 … DK_CANDIDATES_MAX). First come those that answered (status OK), nearest first, the
// earlier of two that are as near. `last`, the place of the server of the run before (`count` or more: there is none),
// goes to their front while its connect_ns is above the nearest's by no more than a quarter of that, or 2 ms if that
// is more. `avoid` (`count` or more: none) comes after all others. When nobody answered, the order is `last`, or else
// the first server that is not `avoid`, alone: reaching it will say why.
size_t dk_choose_servers(const struct dk_candidate *candidates, size_t count, size_t last, size_t avoid,
                         size_t order[static DK_CANDIDATES_MAX]);
