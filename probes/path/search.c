// SPDX-License-Identifier: Apache-2.0
#include "probes/path/search.h"

struct dk_search dk_search_make(int64_t top, int64_t floor, bool refine)
{
    struct dk_search search = {.top = top, .refine = refine, .sizes = {top}, .count = 1};

    if (floor < top)
        search.sizes[search.count++] = floor;
    return search;
}

void dk_search_answered(struct dk_search *search, int64_t size)
{
    if (size > search->answered)
        search->answered = size;
    // What was thought lost has come, or the way has changed.
    if (search->too_long > 0 && size >= search->too_long) {
        search->too_long = 0;
        search->vanished = false;
    }
}

static void note_too_long(struct dk_search *search, int64_t size, bool vanished)
{
    if (size <= search->answered || (search->too_long > 0 && size >= search->too_long))
        return;
    search->too_long = size;
    search->vanished = vanished;
}

void dk_search_refused(struct dk_search *search, int64_t size, int64_t mtu)
{
    search->told = true;
    note_too_long(search, size, false);
    if (mtu >= search->answered && mtu < size)
        search->hint = mtu;
}

void dk_search_vanished(struct dk_search *search, int64_t size)
{
    note_too_long(search, size, true);
}

bool dk_search_knows(const struct dk_search *search, int64_t size)
{
    return size <= search->answered || (search->too_long > 0 && size >= search->too_long);
}

void dk_search_next(struct dk_search *search)
{
    int64_t low = search->answered, high = search->too_long;

    search->count = 0;
    if (search->answered == search->top)
        return;
    if (search->hint > low && (high == 0 || search->hint < high)) {
        search->sizes[search->count++] = search->followed = search->hint;
        search->hint = 0;
        return;
    }
    // A router has said it, and it is so.
    if (low > 0 && (low == search->followed || low == search->hint) && !search->vanished)
        return;
    // Where not even the shortest one was answered, silence means nothing.
    if (!search->refine || low == 0 || high == 0 || high - low <= 1)
        return;
    for (int64_t i = 1; i <= DK_SEARCH_SIZES_MAX; i++) {
        int64_t size = low + (high - low) * i / (DK_SEARCH_SIZES_MAX + 1);

        if (size > low && (search->count == 0 || size > search->sizes[search->count - 1]))
            search->sizes[search->count++] = size;
    }
}

void dk_search_fill(const struct dk_search *search, struct dk_path_mtu *out)
{
    out->answered_bytes = search->answered;
    out->passed_not_bytes = search->too_long;
    out->told = search->told;
    out->black_hole = search->answered > 0 && search->too_long > 0 && search->vanished;
}
