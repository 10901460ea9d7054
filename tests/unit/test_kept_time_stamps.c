// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/journal/journal.h"
#include "tests/harness/harness.h"

enum { PATH_SIZE = 200 };

// "folder/name", until the next call.
static const char *join(const char *folder, const char *name)
{
    static char path[2 * PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void time_stamp_lies_beside_the_record(void)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto_buf struct dk_buf text = dk_buf_make(100);
    struct dk_wall when = {0};
    int64_t size = 0;

    CU_ASSERT_EQUAL_FATAL(dk_journal_open(dk_harness_directory(), true, &journal, NULL), DK_OK);
    for (int64_t seq = 1; seq <= 2; seq++)
        CU_ASSERT_EQUAL_FATAL(dk_journal_append(journal, seq, "a.b.c", 5, NULL), DK_OK);
    CU_ASSERT(!dk_journal_time_stamped(journal, 2, &when));
    // Any bytes; the first stay.
    CU_ASSERT_EQUAL(dk_journal_keep_time_stamp(journal, 2, "\0\1\2", 3, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_keep_time_stamp(journal, 2, "other", 5, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_file_read(join(dk_harness_directory(), "journal/0000000002.tsr"), &text, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(text.len, 3);
    CU_ASSERT_EQUAL(memcmp(text.data, "\0\1\2", 3), 0);
    CU_ASSERT(dk_journal_time_stamped(journal, 2, &when) && llabs(when.ns - dk_wall_now().ns) < 3600 * DK_NS_PER_S);
    CU_ASSERT(dk_journal_size(journal, 2, &size));
    CU_ASSERT_EQUAL(size, 5 + 3);
}

// Whatever is stamped, also where gaps are wide, the counts are those of the list.
static void time_stamps_are_counted(void)
{
    for (int round = 0; round < 30; round++) {
        dk_auto(journal) struct dk_journal *journal = NULL;
        struct dk_journal_counts counts, expected = {0};
        struct dk_journal_entry *entries = NULL;
        size_t count = 0;
        char state[PATH_SIZE], folder[PATH_SIZE + 16], name[32];
        bool wide = round % 10 == 9;
        int records = (int)dk_random_between(0, 150), often = (int)dk_random_between(1, 90);

        snprintf(state, sizeof state, "%s/%d", dk_harness_directory(), round);
        snprintf(folder, sizeof folder, "%s/journal", state);
        CU_ASSERT_EQUAL_FATAL(dk_journal_open(state, true, &journal, NULL), DK_OK);
        for (int64_t i = 0, seq = 0; i < records; i++) {
            seq += wide ? dk_random_between(1, 60'000'000) : dk_random_between(1, 3);
            snprintf(name, sizeof name, "%010" PRId64 ".jws", seq);
            close(open(join(folder, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
            snprintf(name, sizeof name, "%010" PRId64 ".tsr", seq);
            if (dk_random_between(1, often) == 1)
                close(open(join(folder, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
        // A stamp without its record, which a power cut may leave, counts for nothing.
        close(open(join(folder, "9999999999.tsr"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
        for (size_t i = 0; i < count; i++) {
            expected.without_time_stamp += expected.time_stamped > 0 && !entries[i].time_stamped;
            expected.time_stamped += entries[i].time_stamped;
            expected.after_time_stamp = entries[i].time_stamped ? 0 : expected.after_time_stamp + 1;
            if (entries[i].time_stamped)
                expected.last_time_stamped_seq = entries[i].seq;
        }
        free(entries);
        CU_ASSERT_EQUAL(dk_journal_count(journal, &counts, NULL), DK_OK);
        CU_ASSERT_EQUAL(count, records);
        CU_ASSERT_EQUAL(counts.time_stamped, expected.time_stamped);
        CU_ASSERT_EQUAL(counts.last_time_stamped_seq, expected.last_time_stamped_seq);
        CU_ASSERT_EQUAL(counts.after_time_stamp, expected.after_time_stamp);
        CU_ASSERT_EQUAL(counts.without_time_stamp, expected.without_time_stamp);
        CU_ASSERT_EQUAL(dk_journal_time_stamps_waiting(&counts, DK_EACH_DAY), expected.after_time_stamp);
        CU_ASSERT_EQUAL(dk_journal_time_stamps_waiting(&counts, DK_EACH_RECORD),
                        expected.time_stamped > 0 ? expected.without_time_stamp : records > 0);
    }
}

static enum dk_err judge(struct dk_journal *journal, int64_t seq, struct dk_journal_worth *out, struct dk_fault *fault)
{
    (void)journal;
    (void)seq;
    (void)out;
    (void)fault;
    return DK_OK;
}

// A record takes its stamp with it; one that a power cut left alone is swept up.
static void a_stamp_goes_with_its_record(void)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    const char *state = dk_harness_directory();

    CU_ASSERT_EQUAL_FATAL(dk_journal_open(state, true, &journal, NULL), DK_OK);
    for (int64_t seq = 1; seq <= 3; seq++) {
        CU_ASSERT_EQUAL_FATAL(dk_journal_append(journal, seq, "a.b.c", 5, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_journal_keep_time_stamp(journal, seq, "x", 1, NULL), DK_OK);
    }
    CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, 2, "r.r.r", 5, NULL), DK_OK);
    CU_ASSERT_EQUAL(unlink(join(state, "journal/0000000001.jws")), 0);
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 0, 0, judge, NULL), DK_OK);
    for (int seq = 1; seq <= 3; seq++) {
        char name[40];

        snprintf(name, sizeof name, "journal/%010d.tsr", seq);
        CU_ASSERT_EQUAL(access(join(state, name), F_OK) == 0, seq == 3);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(time_stamp_lies_beside_the_record),
        DK_CASE(time_stamps_are_counted),
        DK_CASE(a_stamp_goes_with_its_record),
        {0},
    };

    return dk_harness_main(argc, argv, "kept_time_stamps", cases);
}
