// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/record/chain.h"
#include "tests/harness/harness.h"

enum { LINKS_MAX = 64 };

static void note_problem(void *argument, const char *device_id, const struct dk_chain_problem *problem)
{
    CU_ASSERT_EQUAL(dk_buf_printf(argument, "%s: ", device_id), DK_OK);
    CU_ASSERT_EQUAL(dk_chain_tell(problem, dk_chain_words(problem->kind), argument), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_append(argument, "\n", 1), DK_OK);
}

static void note_span(void *argument, const struct dk_chain_span *span)
{
    CU_ASSERT_EQUAL(dk_buf_printf(argument, "%s %" PRId64 "-%" PRId64 " %zu/%zu\n", span->device_id,
                                  span->first, span->last, span->records, span->problems),
                    DK_OK);
}

// Reads links from words like "a1 a2 b1": the device, the seq, and, when it is not the usual record, a letter
// ("a2x"). Each follows the usual record before it, or, written "a3<x", the one of that letter. "a9!2-4" says that 2 to
// 4 were dropped, "a2K" is needed for ever.
static size_t read_links(const char *text, struct dk_chain_link links[static LINKS_MAX])
{
    size_t count = 0;

    for (const char *at = text; *at != '\0' && count < LINKS_MAX; at += strspn(at, " ")) {
        struct dk_chain_link *link = &links[count];
        char *end = NULL;
        char variant = 'o', before = 'o';

        *link = (struct dk_chain_link){.device_id = {at[0]}, .position = count};
        link->seq = strtoll(at + 1, &end, 10);
        if (*end >= 'a' && *end <= 'z')
            variant = *end++;
        if (*end == '<') {
            before = end[1];
            end += 2;
        }
        if (*end == 'K') {
            link->needed = true;
            end++;
        }
        if (*end == '!') {
            link->dropped_first = strtoll(end + 1, &end, 10);
            link->dropped_last = strtoll(end + 1, &end, 10);
        }
        snprintf(link->sha256, sizeof link->sha256, "%c%" PRId64 "%c", at[0], link->seq, variant);
        if (link->seq > 1)
            snprintf(link->prev, sizeof link->prev, "%c%" PRId64 "%c", at[0], link->seq - 1, before);
        count++;
        at = end;
    }
    return count;
}

static void check(const char *text, const char *expected)
{
    struct dk_chain_link links[LINKS_MAX];
    dk_auto_buf struct dk_buf said = dk_buf_make(4096);
    const struct dk_chain_listener listener = {note_problem, note_span, &said};

    dk_chain_check(links, read_links(text, links), &listener);
    if (strcmp(dk_buf_text(&said), expected) != 0)
        printf("    %s gave:\n%s", text, dk_buf_text(&said));
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&said), expected);
}

static void whole_chains_are_whole(void)
{
    check("", "");
    check("a1", "a 1-1 1/0\n");
    check("a1 a2 a3", "a 1-3 3/0\n");
    check("a7 a8", "a 7-8 2/0\n");
    check("a1 b5 a2 b6", "a 1-2 2/0\nb 5-6 2/0\n");
    // What is left of removed records.
    check("a2K a7 a8", "a 7-8 3/0\n");
    check("a2K a4K a6!3-3 a8K a9", "a 8-9 5/0\n");
    check("a2K a3 a5", "a: record 4 is missing\na 2-5 3/1\n");
    check("a2 a4K a6", "a: record 3 is missing\na: record 5 is missing\na 2-6 3/2\n");
}

static void broken_chains_are_told(void)
{
    check("a1 a3", "a: record 2 is missing\na 1-3 2/1\n");
    check("a1 a5", "a: records 2 to 4 are missing\na 1-5 2/1\n");
    check("a1 a2 a2", "a: record 2 was given twice\na 1-2 3/1\n");
    check("a1 a2 a2x", "a: the chain forks: there are different records 2\na 1-2 3/1\n");
    check("a2 a1", "a: record 1 was given after record 2: they are not in order\na 1-2 2/1\n");
    check("a1 a2x a3", "a: record 3 does not follow the record 2 given: its prev names another\na 1-3 3/1\n");
    // After a fork, a record may follow either side, but none other.
    check("a1 a2 a2x a3<x", "a: the chain forks: there are different records 2\na 1-3 4/1\n");
    check("a1 a2 a2x a3<y",
          "a: the chain forks: there are different records 2\n"
          "a: record 3 does not follow the record 2 given: its prev names another\na 1-3 4/2\n");
    check("a1 b1 b3 a2", "a 1-2 2/0\nb: record 2 is missing\nb 1-3 2/1\n");
}

static void explained_gaps_are_no_breaks(void)
{
    static const char tail[] = " were dropped on the device for want of room, as a record of it says\n";
    char expected[400];

    snprintf(expected, sizeof expected, "a: records 2 to 4%sa 1-6 3/0\n", tail);
    check("a1 a5 a6!2-4", expected);
    // Two statements, one after the other; delivered records within the range are there.
    snprintf(expected, sizeof expected, "a: records 2 to 2%sa: records 4 to 7%sa 1-10 5/0\n", tail, tail);
    check("a1 a3 a8 a9!2-5 a10!6-7", expected);
    // What is not said is a gap, and so is what another device says.
    snprintf(expected, sizeof expected, "a: records 2 to 3%sa: record 4 is missing\na 1-6 3/1\n", tail);
    check("a1 a5 a6!2-3", expected);
    check("a1 a4 b9!2-3", "a: records 2 to 3 are missing\na 1-4 2/1\nb 9-9 1/0\n");
    check("a1 a4 a5!3-3", "a: records 2 to 3 are missing\na 1-5 3/1\n");
}

// Of a whole chain, taking out, doubling, exchanging or moving any one record is told.
static void one_change_anywhere_is_told(void)
{
    for (int round = 0; round < 2000; round++) {
        struct dk_chain_link links[LINKS_MAX];
        dk_auto_buf struct dk_buf said = dk_buf_make(4096);
        const struct dk_chain_listener listener = {note_problem, note_span, &said};
        size_t count = read_links("a1 a2 a3 a4 a5 a6 a7 a8 a9 a10", links);
        size_t at = (size_t)dk_random_between(1, (int64_t)count - 2);
        int change = (int)dk_random_between(0, 3);

        if (change == 0) {
            links[at] = links[--count];
            links[at].position = at;
        } else if (change == 1) {
            links[count] = links[at];
            links[count].position = count;
            count++;
        } else if (change == 2) {
            links[at].sha256[0] = 'x';
        } else {
            size_t position = links[at].position;

            links[at].position = links[at + 1].position;
            links[at + 1].position = position;
        }
        dk_chain_check(links, count, &listener);
        CU_ASSERT_PTR_NOT_NULL(strstr(dk_buf_text(&said), "a: "));
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(whole_chains_are_whole),
        DK_CASE(broken_chains_are_told), DK_CASE(explained_gaps_are_no_breaks),
        DK_CASE(one_change_anywhere_is_told),
        {0},
    };

    return dk_harness_main(argc, argv, "chain", cases);
}
