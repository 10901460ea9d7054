// SPDX-License-Identifier: Apache-2.0
#include "agent/record/chain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct check {
    const struct dk_chain_listener *listener;
    struct dk_chain_span *span;
    const struct dk_chain_link *links; // of the device
    size_t count;
    bool dropped; // one of them says that records were dropped
};

static int compare_positions(const struct dk_chain_link *x, const struct dk_chain_link *y)
{
    return (x->position > y->position) - (x->position < y->position);
}

static int by_position(const void *a, const void *b)
{
    const struct dk_chain_link *x = a, *y = b;
    int device = strcmp(x->device_id, y->device_id);

    return device != 0 ? device : compare_positions(x, y);
}

static int by_seq(const void *a, const void *b)
{
    const struct dk_chain_link *x = a, *y = b;

    return x->seq != y->seq ? (x->seq < y->seq ? -1 : 1) : compare_positions(x, y);
}

const char *dk_chain_code(enum dk_chain_problem_kind kind)
{
    static const char *const codes[] = {
#define X(name, code, words) code,
        DK_CHAIN_PROBLEM_LIST(X)
#undef X
    };

    return codes[kind];
}

const char *dk_chain_words(enum dk_chain_problem_kind kind)
{
    static const char *const all[] = {
#define X(name, code, words) words,
        DK_CHAIN_PROBLEM_LIST(X)
#undef X
    };

    return all[kind];
}

enum dk_err dk_chain_tell(const struct dk_chain_problem *problem, const char *words, struct dk_buf *out)
{
    enum dk_err err = DK_OK;

    while (*words != '\0' && err == DK_OK) {
        bool first = strncmp(words, "{1}", 3) == 0, second = strncmp(words, "{2}", 3) == 0;
        size_t len = first || second ? 3 : strcspn(words + 1, "{") + 1;

        err = first || second ? dk_buf_printf(out, "%" PRId64, first ? problem->first : problem->second)
                              : dk_buf_append(out, words, len);
        words += len;
    }
    return err;
}

static void tell(const struct check *check, enum dk_chain_problem_kind kind, int64_t first, int64_t second)
{
    const struct dk_chain_problem problem = {kind, first, second};

    if (kind >= DK_CHAIN_CLOCK)
        check->span->doubts++;
    else
        check->span->problems++;
    check->listener->problem(check->listener->argument, check->span->device_id, &problem);
}

static void check_order(const struct check *check, const struct dk_chain_link *links, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (links[i].seq < links[i - 1].seq)
            tell(check, DK_CHAIN_ORDER, links[i].seq, links[i - 1].seq);
}

// True when one of the `count` links, which share a seq, is the one that `prev` names.
static bool holds(const struct dk_chain_link *links, size_t count, const char *prev)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(links[i].sha256, prev) == 0)
            return true;
    return false;
}

// The records from `first` to `last` are not there. What statements explain is no gap.
static void check_missing(const struct check *check, int64_t first, int64_t last)
{
    int64_t explained = first; // up to here, not included

    for (size_t i = 0; check->dropped && i < check->count && explained <= last; i++)
        if (check->links[i].dropped_first <= explained && check->links[i].dropped_last >= explained)
            explained = check->links[i].dropped_last + 1;
    if (explained > first)
        tell(check, DK_CHAIN_DROPPED, first, explained <= last ? explained - 1 : last);
    if (explained == last)
        tell(check, DK_CHAIN_MISSING, last, 0);
    else if (explained < last)
        tell(check, DK_CHAIN_MISSING_SEVERAL, explained, last);
}

// `count` links that share one seq; `before` are the `before_count` of the seq found before it.
static void check_seq(const struct check *check, const struct dk_chain_link *links, size_t count,
                      const struct dk_chain_link *before, size_t before_count)
{
    int64_t seq = links[0].seq;
    int64_t missing = before_count > 0 ? seq - before[0].seq - 1 : 0;

    if (missing > 0)
        check_missing(check, seq - missing, seq - 1);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(links[i].sha256, links[0].sha256) == 0)
            tell(check, DK_CHAIN_TWICE, seq, 0);
        else if (i > 0)
            tell(check, DK_CHAIN_FORK, seq, 0);
        if (before_count > 0 && missing == 0 && !holds(before, before_count, links[i].prev))
            tell(check, DK_CHAIN_PREV, seq, seq - 1);
    }
    if (before_count > 0 && links[0].start.ns < before[0].start.ns)
        tell(check, DK_CHAIN_CLOCK, seq, before[0].seq);
}

static void check_device(struct dk_chain_link *links, size_t count, const struct dk_chain_listener *listener)
{
    struct dk_chain_span span = {.records = count};
    struct check check = {.listener = listener, .span = &span, .links = links, .count = count};
    size_t before = 0, before_count = 0;
    bool only_kept = true;

    memcpy(span.device_id, links[0].device_id, sizeof span.device_id);
    check_order(&check, links, count);
    qsort(links, count, sizeof *links, by_seq);
    for (size_t i = 0; i < count && !check.dropped; i++)
        check.dropped = links[i].dropped_last > 0;
    span.first = links[0].seq;
    span.last = links[count - 1].seq;
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && links[next].seq == links[i].seq;)
            next++;
        // What was kept of records that were removed: the chain that is held begins here.
        if (only_kept && before_count > 0 && links[i].seq > links[before].seq + 1) {
            span.first = links[i].seq;
            before_count = 0;
        }
        check_seq(&check, links + i, next - i, links + before, before_count);
        for (size_t at = i; at < next; at++)
            only_kept = only_kept && (links[at].needed || links[at].dropped_last > 0);
        before = i;
        before_count = next - i;
    }
    listener->span(listener->argument, &span);
}

void dk_chain_check(struct dk_chain_link *links, size_t count, const struct dk_chain_listener *listener)
{
    if (count == 0)
        return;
    qsort(links, count, sizeof *links, by_position);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && strcmp(links[next].device_id, links[i].device_id) == 0;)
            next++;
        check_device(links + i, next - i, listener);
    }
}
