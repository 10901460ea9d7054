// SPDX-License-Identifier: Apache-2.0
#include "probes/choice.h"

#include "agent/base/clock.h"

#include <stdbool.h>

// Connect times of one server differ by that much from run to run.
static const int64_t least_margin_ns = 2 * DK_NS_PER_MS;

static bool is_near(const struct dk_candidate *candidate, int64_t nearest_ns)
{
    int64_t margin_ns = nearest_ns / 4 > least_margin_ns ? nearest_ns / 4 : least_margin_ns;

    return candidate->connect_ns - nearest_ns <= margin_ns;
}

static void move_to_front(size_t order[], size_t from)
{
    size_t place = order[from];

    for (; from > 0; from--)
        order[from] = order[from - 1];
    order[0] = place;
}

size_t dk_choose_servers(const struct dk_candidate *candidates, size_t count, size_t last, size_t avoid,
                         size_t order[static DK_CANDIDATES_MAX])
{
    size_t chosen = 0;

    for (size_t i = 0; i < count; i++) {
        size_t at = chosen;

        if (candidates[i].status != DK_STATUS_OK || i == avoid)
            continue;
        for (; at > 0 && candidates[order[at - 1]].connect_ns > candidates[i].connect_ns; at--)
            order[at] = order[at - 1];
        order[at] = i;
        chosen++;
    }

    int64_t nearest_ns = chosen > 0 ? candidates[order[0]].connect_ns : 0;

    for (size_t at = 1; at < chosen; at++)
        if (order[at] == last && is_near(&candidates[last], nearest_ns))
            move_to_front(order, at);
    if (avoid < count && candidates[avoid].status == DK_STATUS_OK)
        order[chosen++] = avoid;
    if (chosen == 0 && count > 0)
        order[chosen++] = last < count && last != avoid ? last : avoid == 0 && count > 1 ? 1 : 0;
    return chosen;
}
