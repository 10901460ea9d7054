// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/story.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/journal/journal.h"
#include "agent/journal/profiles.h"
#include "tests/faults/disk.h"
#include "tests/harness/harness.h"

enum { PROMISES_MAX = 200, TEXT_SIZE = 128 };

// `RECORD` also when it was read in order to be sent: then somebody else has it.
enum kind { RECORD, RECEIPT, REFUSAL };

struct promise {
    enum kind kind;
    int64_t seq;
    size_t changes; // on the disk when it was given
    char text[TEXT_SIZE];
};

// SHA-256 of "abc" (FIPS 180-4's example).
static const char profile_text[] = "abc",
                  profile_sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static struct promise promises[PROMISES_MAX];
static size_t promise_count;
static int64_t next_id, stories;
static bool pruned;
static char folder[PATH_MAX], other[PATH_MAX];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

const char *story_begin(void)
{
    promise_count = 0;
    pruned = false;
    snprintf(folder, sizeof folder, "%s/%" PRId64, dk_harness_directory(), ++stories);
    snprintf(other, sizeof other, "%.4000s.cut", folder);
    CU_ASSERT_EQUAL_FATAL(mkdir(folder, 0700), 0);
    return folder;
}

const char *story_other(void)
{
    nftw(other, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    CU_ASSERT_EQUAL_FATAL(mkdir(other, 0700), 0);
    return other;
}

void story_end(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(other, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void promise(enum kind kind, int64_t seq, const char *text)
{
    CU_ASSERT_FATAL(promise_count < PROMISES_MAX);

    struct promise *new = &promises[promise_count++];

    *new = (struct promise){.kind = kind, .seq = seq, .changes = disk_changes()};
    snprintf(new->text, sizeof new->text, "%s", text);
}

// Appends a record to the head; `dropped` is the last one dropped, 0 when it is no statement. Every fourth other one is
// needed for ever.
static enum dk_err append(struct dk_journal *journal, const char *state, int64_t dropped)
{
    char head[DK_SHA256_TEXT_SIZE] = "", jws[TEXT_SIZE], end[32] = "";
    int64_t seq = 0;
    enum dk_err err = dk_journal_head(journal, &seq, head, NULL);

    if (err != DK_OK)
        return err;
    if (dropped > 0)
        snprintf(end, sizeof end, "-%" PRId64, dropped);
    snprintf(jws, sizeof jws, "%s%" PRId64 ".%s.%" PRId64 "%s",
             dropped > 0 ? "d" : seq % 4 == 1 ? "k" : "r", seq + 1, head, ++next_id, end);
    err = dk_profile_keep(state, profile_sha256, profile_text, strlen(profile_text), NULL);
    if (err == DK_OK)
        err = dk_journal_append(journal, seq + 1, jws, strlen(jws), NULL);
    if (err == DK_OK)
        promise(RECORD, seq + 1, jws);
    return err;
}

// The last record that record `seq` says was dropped; 0 when it is no statement, or not there.
static int64_t stated(struct dk_journal *journal, int64_t seq)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(1000);

    if (dk_journal_read(journal, seq, &jws, NULL) != DK_OK || dk_buf_text(&jws)[0] != 'd')
        return 0;
    return strtoll(strrchr(dk_buf_text(&jws), '-') + 1, NULL, 10);
}

// As dk_bounds_worth, of these records.
static enum dk_err judge(struct dk_journal *journal, int64_t seq, struct dk_journal_worth *out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(1000);

    (void)fault;
    out->explains = stated(journal, seq);
    out->needed = dk_journal_read(journal, seq, &jws, NULL) != DK_OK || dk_buf_text(&jws)[0] == 'k';
    return DK_OK;
}

enum dk_err story_run(const char *state, bool prune)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_journal_open(state, true, &journal, NULL);

    if (err == DK_OK)
        err = dk_journal_lock(journal, NULL);
    if (err == DK_OK)
        err = append(journal, state, 0);
    if (err != DK_OK || !prune)
        return err;
    pruned = true;
    return dk_journal_prune(journal, 0, INT64_MAX, judge, NULL);
}

// A receipt that was kept by somebody who died before he could say so.
static void find_receipts(struct dk_journal *journal)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;

    if (dk_journal_list(journal, &entries, &count, NULL) == DK_OK)
        for (size_t i = 0; i < count; i++) {
            char receipt[TEXT_SIZE];

            snprintf(receipt, sizeof receipt, "receipt.%" PRId64 ".x", entries[i].seq);
            if (entries[i].delivery == DK_DELIVERY_DELIVERED)
                promise(RECEIPT, entries[i].seq, receipt);
        }
    free(entries);
}

enum dk_err story_drop(const char *state)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_journal_excess excess = {0};
    char head[DK_SHA256_TEXT_SIZE];
    int64_t seq = 0;
    enum dk_err err = dk_journal_open(state, true, &journal, NULL);

    if (err == DK_OK)
        err = dk_journal_lock(journal, NULL);
    if (err == DK_OK)
        err = dk_journal_head(journal, &seq, head, NULL);
    if (err == DK_OK && stated(journal, seq) > 0)
        err = dk_journal_drop(journal, 1, stated(journal, seq), judge, NULL);
    if (err == DK_OK)
        err = append(journal, state, 0);
    pruned = true;
    if (err == DK_OK) {
        find_receipts(journal);
        err = dk_journal_prune(journal, 0, INT64_MAX, judge, NULL);
    }
    if (err == DK_OK)
        err = dk_journal_excess(journal, 100, 0, judge, &excess, NULL);
    if (err == DK_OK && excess.count > 0)
        err = dk_journal_lock_delivery(journal, NULL);
    if (err == DK_OK && excess.count > 0)
        err = append(journal, state, excess.last_seq);
    if (err == DK_OK && excess.count > 0)
        err = dk_journal_drop(journal, excess.first_seq, excess.last_seq, judge, NULL);
    return err;
}

static enum dk_err deliver_one(struct dk_journal *journal, int64_t seq)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(1000);
    char receipt[TEXT_SIZE];
    enum dk_err err = dk_journal_read(journal, seq, &jws, NULL);

    if (err != DK_OK)
        return err;
    promise(RECORD, seq, dk_buf_text(&jws));
    snprintf(receipt, sizeof receipt, "receipt.%" PRId64 ".x", seq);
    err = seq % 3 == 0 ? dk_journal_refuse(journal, seq, receipt, NULL)
                       : dk_journal_keep_receipt(journal, seq, receipt, strlen(receipt), NULL);
    if (err == DK_OK)
        promise(seq % 3 == 0 ? REFUSAL : RECEIPT, seq, receipt);
    return err;
}

enum dk_err story_deliver(const char *state)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_open(state, false, &journal, NULL);

    if (err == DK_OK)
        err = dk_journal_lock_delivery(journal, NULL);
    if (err == DK_OK)
        err = dk_journal_list(journal, &entries, &count, NULL);
    for (size_t i = 0; i < count && err == DK_OK; i++)
        if (entries[i].delivery == DK_DELIVERY_WAITING)
            err = deliver_one(journal, entries[i].seq);
    free(entries);
    return err;
}

static bool wrong(const char *what, int64_t seq)
{
    printf("    record %" PRId64 ": %s\n", seq, what);
    return false;
}

static bool was_delivered(int64_t seq)
{
    for (size_t i = 0; i < promise_count && pruned; i++)
        if (promises[i].kind == RECEIPT && promises[i].seq == seq)
            return true;
    return false;
}

// True when record `seq` may be gone: it is not needed, and was delivered, and delivered ones were being removed; or
// a statement says so
// that is in the journal, or was delivered itself.
static bool may_be_gone(struct dk_journal *journal, int64_t seq)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    bool dropped = was_delivered(seq);

    for (size_t i = 0; i < promise_count; i++)
        if (promises[i].kind == RECORD && promises[i].seq == seq && promises[i].text[0] == 'k')
            return false;
    if (!dropped && dk_journal_list(journal, &entries, &count, NULL) == DK_OK)
        for (size_t i = 0; i < count; i++)
            dropped = dropped || stated(journal, entries[i].seq) >= seq;
    for (size_t i = 0; i < promise_count && !dropped; i++)
        dropped = promises[i].kind == RECORD && promises[i].text[0] == 'd' &&
                  strtoll(strrchr(promises[i].text, '-') + 1, NULL, 10) >= seq && was_delivered(promises[i].seq);
    free(entries);
    return dropped;
}

static bool promise_holds(struct dk_journal *journal, const struct promise *given)
{
    static enum dk_err (*const read[])(struct dk_journal *, int64_t, struct dk_buf *, struct dk_fault *) = {
        dk_journal_read, dk_journal_read_receipt, dk_journal_read_refusal};
    dk_auto_buf struct dk_buf text = dk_buf_make(1000);
    enum dk_err err = read[given->kind](journal, given->seq, &text, NULL);

    if (err == DK_ERR_NO_INPUT && may_be_gone(journal, given->seq))
        return true;
    return (err == DK_OK && strcmp(dk_buf_text(&text), given->text) == 0) ||
           wrong(given->kind == RECORD ? "was confirmed, and is lost or changed" : "its answer is lost", given->seq);
}

// Record `seq` follows the one whose hash is `hash` ("" when that is not there); `hash` becomes its own.
static bool follows(struct dk_journal *journal, int64_t seq, char hash[static DK_SHA256_TEXT_SIZE], int64_t *last_id)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(1000);
    char prev[DK_SHA256_TEXT_SIZE] = "";

    if (dk_journal_read(journal, seq, &jws, NULL) != DK_OK)
        return wrong("cannot be read", seq);

    const char *text = dk_buf_text(&jws), *first = strchr(text, '.'), *second = strrchr(text, '.');
    int64_t id = strtoll(second + 1, NULL, 10);

    if (second - first - 1 >= (int)sizeof prev || strtoll(text + 1, NULL, 10) != seq)
        return wrong("is another", seq);
    memcpy(prev, first + 1, (size_t)(second - first - 1));
    if ((hash[0] != '\0' && strcmp(hash, prev) != 0) || (seq == 1) != (prev[0] == '\0'))
        return wrong("does not follow the one before", seq);
    if (id <= *last_id)
        return wrong("is doubled", seq);
    *last_id = id;
    return dk_sha256_text(jws.data, jws.len, hash) == DK_OK;
}

static bool chain_holds(struct dk_journal *journal)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    char hash[DK_SHA256_TEXT_SIZE] = "", head[DK_SHA256_TEXT_SIZE] = "";
    int64_t last_id = 0, next = 1, seq = 0;
    bool holds = dk_journal_list(journal, &entries, &count, NULL) == DK_OK;

    for (size_t i = 0; i < count && holds; i++) {
        for (; next < entries[i].seq && holds; next++) {
            hash[0] = '\0';
            holds = may_be_gone(journal, next) || wrong("is missing", next);
        }
        next = entries[i].seq + 1;
        holds = holds && follows(journal, entries[i].seq, hash, &last_id);
    }
    free(entries);
    if (!holds)
        return false;
    return (dk_journal_head(journal, &seq, head, NULL) == DK_OK && strcmp(head, hash) == 0 && seq == next - 1) ||
           wrong("is not the head", next - 1);
}

bool story_holds(const char *state, size_t changes)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_journal_open(state, false, &journal, NULL);
    bool holds = true;
    size_t given = 0;

    for (size_t i = 0; i < promise_count; i++)
        given += promises[i].changes <= changes;
    if (err != DK_OK)
        return (err == DK_ERR_NO_INPUT && given == 0) || wrong("nothing: the journal cannot be opened", 0);
    holds = chain_holds(journal);
    if (given > 0 && holds) {
        dk_auto_buf struct dk_buf profile = dk_buf_make(100);

        holds = dk_profile_read(state, profile_sha256, &profile, NULL) == DK_OK || wrong("its profile is lost", 0);
    }
    for (size_t i = 0; i < promise_count && holds; i++)
        holds = promises[i].changes > changes || promise_holds(journal, &promises[i]);
    return holds;
}

bool story_sweeps(const char *state)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    dk_auto(journal) struct dk_journal *journal = NULL;
    char path[PATH_MAX];
    bool clean = true;

    if (dk_journal_open(state, false, &journal, NULL) != DK_OK)
        return false;
    snprintf(path, sizeof path, "%s/journal", state);
    for (int round = 0; round < 2; round++) {
        DIR *stream = opendir(path);

        for (const struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
            if (entry->d_name[0] != '.' || strlen(entry->d_name) < 3)
                continue;
            clean = round == 0 && utimensat(dirfd(stream), entry->d_name, long_ago, 0) == 0;
        }
        closedir(stream);
        if (round == 0 && dk_journal_prune(journal, INT64_MAX, INT64_MAX, judge, NULL) != DK_OK)
            return false;
    }
    return clean || wrong("a temporary file is left", 0);
}

int story_descriptors(void)
{
    DIR *stream = opendir("/proc/self/fd");
    int count = 0;

    while (stream != NULL && readdir(stream) != NULL)
        count++;
    closedir(stream);
    return count;
}
