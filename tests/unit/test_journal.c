// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/journal/journal.h"
#include "agent/journal/profiles.h"
#include "tests/harness/harness.h"

enum { PATH_SIZE = 200 };

static struct dk_journal *open_journal(void)
{
    struct dk_journal *journal = NULL;

    CU_ASSERT_EQUAL_FATAL(dk_journal_open(dk_harness_directory(), true, &journal, NULL), DK_OK);
    return journal;
}

static void path_of(const char *name, char out[static PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/journal/%s", dk_harness_directory(), name);
}

static void put(const char *name, const char *text)
{
    char folder[PATH_SIZE];

    snprintf(folder, sizeof folder, "%s/journal", dk_harness_directory());
    CU_ASSERT_EQUAL_FATAL(dk_file_write(folder, name, text, strlen(text), DK_WRITE_REPLACE, NULL), DK_OK);
}

// Appends records up to `count`; record n is "aN.b.c".
static void fill(struct dk_journal *journal, int64_t count)
{
    for (int64_t seq = 1; seq <= count; seq++) {
        char jws[40];

        snprintf(jws, sizeof jws, "a%" PRId64 ".b.c", seq);
        CU_ASSERT_EQUAL_FATAL(dk_journal_append(journal, seq, jws, strlen(jws), NULL), DK_OK);
    }
}

static int files(void)
{
    char path[PATH_SIZE];
    int count = 0;

    path_of(".", path);

    DIR *folder = opendir(path);

    while (folder != NULL && readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2;
}

static void assert_head(struct dk_journal *journal, int64_t seq, const char *jws)
{
    int64_t head = -1;
    char hash[DK_SHA256_TEXT_SIZE], expected[DK_SHA256_TEXT_SIZE] = "";

    CU_ASSERT_EQUAL(dk_journal_head(journal, &head, hash, NULL), DK_OK);
    CU_ASSERT_EQUAL(head, seq);
    if (jws != NULL)
        CU_ASSERT_EQUAL(dk_sha256_text(jws, strlen(jws), expected), DK_OK);
    CU_ASSERT_STRING_EQUAL(hash, expected);
}

static void missing_folder_is_said(void)
{
    struct dk_journal *journal = NULL;
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_journal_open(dk_harness_directory(), false, &journal, &fault), DK_ERR_NO_INPUT);
    CU_ASSERT_PTR_NULL(journal);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.todo, "keygen"));
    journal = open_journal();
    dk_journal_free(journal);
    journal = NULL;
    CU_ASSERT_EQUAL(dk_journal_open(dk_harness_directory(), false, &journal, NULL), DK_OK);
    dk_journal_free(journal);
}

static void head_follows_the_appended(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();
    dk_auto_buf struct dk_buf jws = dk_buf_make(100), content = dk_buf_make(100);
    char path[PATH_SIZE];
    struct stat status;

    assert_head(journal, 0, NULL);
    fill(journal, 12);
    assert_head(journal, 12, "a12.b.c");
    CU_ASSERT_EQUAL(dk_journal_read(journal, 7, &jws, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&jws), "a7.b.c");
    path_of("0000000007.jws", path);
    CU_ASSERT_EQUAL(dk_file_read(path, &content, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&content), "a7.b.c");
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(dk_journal_read(journal, 13, &jws, NULL), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL(dk_journal_append(journal, 12, "x.y.z", 5, NULL), DK_ERR_NOT_NOW);
    CU_ASSERT_EQUAL(dk_journal_append(journal, 14, "x.y.z", 5, NULL), DK_ERR_INTERNAL);
    CU_ASSERT_EQUAL(dk_journal_append(journal, 13, "x.y.z\n", 6, NULL), DK_ERR_INTERNAL);
    CU_ASSERT_EQUAL(dk_journal_append(journal, 13, "", 0, NULL), DK_ERR_INTERNAL);
    CU_ASSERT_EQUAL(files(), 12);
    assert_head(journal, 12, "a12.b.c");
}

static void foreign_names_are_ignored(void)
{
    static const char *const names[] = {
        "0000000009.jws.bak",     "000000009.jws",  "00000000099.jws", "README",     "0000000000.jws",
        ".0000000009.jws.77.tmp", "0000000009.JWS", "+000000009.jws",  "0000000009", "0000000009.receipt"};
    dk_auto(journal) struct dk_journal *journal = open_journal();
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;

    fill(journal, 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        put(names[i], "nonsense");
    assert_head(journal, 2, "a2.b.c");
    CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
    CU_ASSERT_EQUAL(count, 2);
    free(entries);
}

static void damaged_head_stops_the_chain(void)
{
    static const char *const damaged[] = {"",    "\n",     "a.b.c\n", "a.b.c\nd.e.f",
                                          "a.b", "a.b.c ", "a.b.c\r", "a.b.c.d"};
    dk_auto(journal) struct dk_journal *journal = open_journal();
    char path[PATH_SIZE];
    int64_t seq = -1;
    char hash[DK_SHA256_TEXT_SIZE] = "untouched";

    fill(journal, 3);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct dk_fault fault = {0};

        put("0000000003.jws", damaged[i]);
        CU_ASSERT_EQUAL(dk_journal_head(journal, &seq, hash, &fault), DK_ERR_DATA);
        CU_ASSERT_EQUAL(fault.err, DK_ERR_DATA);
        CU_ASSERT_EQUAL(seq, -1);
        CU_ASSERT_STRING_EQUAL(hash, "untouched");
        CU_ASSERT_PTR_NOT_NULL(strstr(fault.where, "0000000003.jws"));
        CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "chain cannot go on"));
    }
    path_of("0000000003.jws", path);
    CU_ASSERT_EQUAL(truncate(path, 3 << 20), 0);
    CU_ASSERT_EQUAL(dk_journal_head(journal, &seq, hash, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    CU_ASSERT_EQUAL(dk_journal_head(journal, &seq, hash, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(rmdir(path), 0);
    CU_ASSERT_EQUAL(symlink("/nonexistent", path), 0);
    CU_ASSERT_EQUAL(dk_journal_head(journal, &seq, hash, NULL), DK_ERR_DATA);
}

static void delivery_state_lies_beside_the_record(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();
    dk_auto_buf struct dk_buf receipt = dk_buf_make(100), words = dk_buf_make(DK_REFUSAL_MAX);
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    char long_words[DK_REFUSAL_MAX + 100];

    fill(journal, 4);
    CU_ASSERT_EQUAL(dk_journal_read_receipt(journal, 2, &receipt, NULL), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, 2, "r.r.r", 5, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, 2, "s.s.s", 5, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, 4, "not a JWS", 9, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(dk_journal_read_receipt(journal, 2, &receipt, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&receipt), "r.r.r");
    CU_ASSERT_EQUAL(dk_journal_read_refusal(journal, 3, &words, NULL), DK_ERR_NO_INPUT);
    CU_ASSERT_EQUAL(dk_journal_refuse(journal, 3, "no such site", NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_read_refusal(journal, 3, &words, NULL), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&words), "no such site");
    CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
    CU_ASSERT_EQUAL_FATAL(count, 4);

    static const enum dk_delivery expected[] = {DK_DELIVERY_WAITING, DK_DELIVERY_DELIVERED,
                                                DK_DELIVERY_REFUSED, DK_DELIVERY_WAITING};
    static const int64_t bytes[] = {6, 6 + 5, 6 + 12, 6};
    int64_t size = 0;

    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(entries[i].seq, (int64_t)i + 1);
        CU_ASSERT_EQUAL(entries[i].delivery, expected[i]);
        CU_ASSERT(dk_journal_size(journal, entries[i].seq, &size));
        CU_ASSERT_EQUAL(size, bytes[i]);
    }
    CU_ASSERT(!dk_journal_size(journal, 5, &size));
    free(entries);
    // Refused once, taken later.
    CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, 3, "r.r.r", 5, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
    CU_ASSERT_EQUAL(entries[2].delivery, DK_DELIVERY_DELIVERED);
    free(entries);
    memset(long_words, 'w', sizeof long_words);
    long_words[sizeof long_words - 1] = '\0';
    CU_ASSERT_EQUAL(dk_journal_refuse(journal, 4, long_words, NULL), DK_OK);
    dk_buf_free(&words);
    CU_ASSERT_EQUAL(dk_journal_read_refusal(journal, 4, &words, NULL), DK_OK);
    CU_ASSERT_EQUAL(words.len, DK_REFUSAL_MAX);
}

static void set_age(const char *name, int64_t age_s)
{
    char path[PATH_SIZE];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = dk_wall_now().ns / DK_NS_PER_S - age_s}};

    path_of(name, path);
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, path, times, 0), 0);
}

// The seqs that are there, as text.
static void assert_left(struct dk_journal *journal, const char *expected)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    dk_auto_buf struct dk_buf text = dk_buf_make(1000);

    CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(dk_buf_printf(&text, "%" PRId64 " ", entries[i].seq), DK_OK);
    CU_ASSERT_STRING_EQUAL(dk_buf_text(&text), expected);
    free(entries);
}

// "kN.b.c" is needed, "dN.b.c" explains a gap up to record 3.
static enum dk_err judge(struct dk_journal *journal, int64_t seq, struct dk_journal_worth *out, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(100);
    enum dk_err err = dk_journal_read(journal, seq, &jws, fault);

    out->needed = dk_buf_text(&jws)[0] == 'k';
    out->explains = dk_buf_text(&jws)[0] == 'd' ? 3 : 0;
    return err;
}

static void pruning_takes_the_oldest_delivered(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();

    fill(journal, 8); // 7 bytes each, 6 more with a receipt
    for (int64_t seq = 1; seq <= 8; seq++)
        if (seq != 3)
            CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, seq, "r.r.r", 5, NULL), DK_OK);
    put("0000000009.receipt.jws", "orphan");
    put(".0000000001.jws.9.tmp", "old");
    put(".0000000002.jws.9.tmp", "young");
    set_age(".0000000001.jws.9.tmp", 2 * 86400);
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 8 * 11 - 5, 100 * DK_NS_PER_S, judge, NULL), DK_OK);
    assert_left(journal, "1 2 3 4 5 6 7 8 ");
    CU_ASSERT_EQUAL(files(), 8 + 7 + 1);
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 8 * 11 - 6, 100 * DK_NS_PER_S, judge, NULL), DK_OK);
    assert_left(journal, "2 3 4 5 6 7 8 ");
    set_age("0000000003.jws", 500);
    set_age("0000000006.jws", 500);
    set_age("0000000008.jws", 500);
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 1000, 100 * DK_NS_PER_S, judge, NULL), DK_OK);
    assert_left(journal, "2 3 4 5 7 8 ");
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 0, 0, judge, NULL), DK_OK);
    assert_left(journal, "3 8 ");
    CU_ASSERT_EQUAL(files(), 3 + 1);
    assert_head(journal, 8, "a8.b.c");
    CU_ASSERT_EQUAL(dk_journal_append(journal, 9, "x.y.z", 5, NULL), DK_OK);
}

static void append_words(struct dk_journal *journal, const char *letters)
{
    for (int64_t seq = 1; letters[seq - 1] != '\0'; seq++) {
        char jws[] = {letters[seq - 1], '.', 'b', '.', 'c'};

        CU_ASSERT_EQUAL(dk_journal_append(journal, seq, jws, sizeof jws, NULL), DK_OK);
    }
}

static void what_others_need_stays(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();
    struct dk_journal_excess excess = {0};

    append_words(journal, "akkadaka");
    for (int64_t seq = 2; seq <= 7; seq++)
        CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, seq, "r.r.r", 5, NULL), DK_OK);
    // Record 1 is left, so that 5 explains what is missing behind it.
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 0, 0, judge, NULL), DK_OK);
    assert_left(journal, "1 2 3 5 7 8 ");
    CU_ASSERT_EQUAL(dk_journal_keep_receipt(journal, 1, "r.r.r", 5, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_prune(journal, 0, 0, judge, NULL), DK_OK);
    assert_left(journal, "2 3 7 8 ");
    CU_ASSERT_EQUAL(dk_journal_excess(journal, 0, 0, judge, &excess, NULL), DK_OK);
    CU_ASSERT_EQUAL(excess.count, 0);
}

static void what_others_need_is_not_dropped(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();
    struct dk_journal_excess excess = {0};
    const int64_t day_s = 86400;
    char name[] = "0000000001.jws";

    append_words(journal, "kakaaa"); // 5 bytes each
    CU_ASSERT_EQUAL(dk_journal_excess(journal, 25, 0, judge, &excess, NULL), DK_OK);
    CU_ASSERT(excess.first_seq == 2 && excess.last_seq == 4 && excess.count == 2 && excess.bytes == 10);
    // By age: record 1 is old enough, but does not go, and does not take others with it.
    set_age(name, 3 * day_s);
    CU_ASSERT_EQUAL(dk_journal_excess(journal, 1000, day_s * DK_NS_PER_S, judge, &excess, NULL), DK_OK);
    CU_ASSERT_EQUAL(excess.count, 0);
    for (name[9] = '2'; name[9] <= '5'; name[9]++)
        set_age(name, name[9] == '2' ? 3 * day_s : day_s + 10);
    CU_ASSERT_EQUAL(dk_journal_excess(journal, 1000, day_s * DK_NS_PER_S, judge, &excess, NULL), DK_OK);
    CU_ASSERT(excess.first_seq == 2 && excess.last_seq == 5 && excess.count == 3 && excess.too_old);
    CU_ASSERT_EQUAL(dk_journal_drop(journal, 1, 5, judge, NULL), DK_OK);
    assert_left(journal, "1 3 6 ");
}

static void locks_have_one_holder(void)
{
    struct dk_journal *first = open_journal(), *second = open_journal();
    struct dk_fault fault = {0};

    CU_ASSERT_EQUAL(dk_journal_lock(first, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_lock(first, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_lock(second, &fault), DK_ERR_NOT_NOW);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault.what, "another run"));
    CU_ASSERT_EQUAL(dk_journal_lock_delivery(second, NULL), DK_OK);
    CU_ASSERT_EQUAL(dk_journal_lock_delivery(first, NULL), DK_ERR_NOT_NOW);
    dk_journal_free(first);
    CU_ASSERT_EQUAL(dk_journal_lock(second, NULL), DK_OK);
    dk_journal_free(second);
}

// Runs `work` in a process of its own and gives its exit status; 255 when it died.
static int in_child(int (*work)(void))
{
    pid_t child;
    int status = 0;

    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(work());
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 255;
    return WEXITSTATUS(status);
}

static int append_second(void)
{
    dk_auto(journal) struct dk_journal *journal = NULL;

    if (dk_journal_open(dk_harness_directory(), true, &journal, NULL) != DK_OK)
        return 254;
    return dk_err_exit_status(dk_journal_append(journal, 2, "x.y.z", 5, NULL));
}

static int lock_and_die(void)
{
    struct dk_journal *journal = NULL;

    if (dk_journal_open(dk_harness_directory(), true, &journal, NULL) != DK_OK ||
        dk_journal_lock(journal, NULL) != DK_OK)
        return 254;
    raise(SIGKILL);
    return 0;
}

static void lock_dies_with_its_holder(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();

    CU_ASSERT_EQUAL(in_child(lock_and_die), 255);
    CU_ASSERT_EQUAL(dk_journal_lock(journal, NULL), DK_OK);
}

// Appends until record 100 is there; the number of records it kept itself, or 250 and more on an error.
static int append_many_against_another(void)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    int64_t seq = 0;
    int kept = 0;

    if (dk_journal_open(dk_harness_directory(), true, &journal, NULL) != DK_OK)
        return 254;
    while (seq < 100) {
        char hash[DK_SHA256_TEXT_SIZE];

        if (dk_journal_head(journal, &seq, hash, NULL) != DK_OK)
            return 253;

        enum dk_err err = dk_journal_append(journal, seq + 1, "x.y.z", 5, NULL);

        if (err != DK_OK && err != DK_ERR_NOT_NOW)
            return 252;
        kept += err == DK_OK;
    }
    return kept;
}

static void two_writers_without_a_lock_keep_one_chain(void)
{
    int status = 0;

    (void)dk_harness_directory();
    fflush(stdout);

    pid_t child = fork();

    if (child == 0)
        _exit(append_many_against_another());

    int kept = append_many_against_another();

    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status));
    kept += WEXITSTATUS(status);

    dk_auto(journal) struct dk_journal *journal = open_journal();
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;

    // Had one replaced a record of the other, more were kept than are there.
    CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
    CU_ASSERT_TRUE(count >= 100 && count == (size_t)files());
    CU_ASSERT_EQUAL(count, (size_t)kept);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(entries[i].seq, (int64_t)i + 1);
    free(entries);
}

static int append_beyond_file_limit(void)
{
    struct rlimit limit = {4, 4};

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 254;
    return append_second();
}

static void write_that_fails_halfway_leaves_the_chain(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();

    fill(journal, 1);
    CU_ASSERT_EQUAL(in_child(append_beyond_file_limit), 74);
    CU_ASSERT_EQUAL(files(), 1);
    assert_head(journal, 1, "a1.b.c");
    CU_ASSERT_EQUAL(dk_journal_append(journal, 2, "x.y.z", 5, NULL), DK_OK);
}

// On a file system of 64 kB of its own: fills it up, and finds the chain as it was.
static int append_to_full_disk(void)
{
    struct dk_journal *journal = NULL;
    struct dk_fault fault = {0};
    int64_t seq = 0, head = 0;
    char hash[DK_SHA256_TEXT_SIZE];

    if (unshare(CLONE_NEWNS) != 0)
        return 254;
    // In a chroot that is no mount point, nothing can be mounted apart from the machine.
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        return errno == EINVAL ? 0 : 254;

    char *jws = malloc(9000);

    if (jws == NULL || mount("tmpfs", dk_harness_directory(), "tmpfs", 0, "size=64k") != 0 ||
        dk_journal_open(dk_harness_directory(), true, &journal, NULL) != DK_OK)
        return 254;
    memset(jws, 'A', 9000);
    jws[1] = jws[3] = '.';

    enum dk_err err = DK_OK;

    while (seq < 100 && err == DK_OK)
        err = dk_journal_append(journal, ++seq, jws, 9000, &fault);
    if (err != DK_ERR_IO || strstr(fault.todo, "free some space") == NULL)
        return 253;
    if (dk_journal_head(journal, &head, hash, NULL) != DK_OK || head != seq - 1 || files() != seq - 1)
        return 252;
    free(jws);
    dk_journal_free(journal);
    return 0;
}

static void full_disk_leaves_the_chain(void)
{
    if (geteuid() != 0) {
        CU_PASS("only root can mount the small disk");
        return;
    }
    (void)dk_harness_directory();
    CU_ASSERT_EQUAL(in_child(append_to_full_disk), 0);
}

static int append_as_nobody(void)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 254;
    return append_second();
}

static void folder_that_may_not_be_written_is_said(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();
    char path[PATH_SIZE];

    fill(journal, 1);
    path_of(".", path);
    CU_ASSERT_EQUAL(chmod(dk_harness_directory(), 0711), 0);
    CU_ASSERT_EQUAL(chmod(path, 0555), 0);
    CU_ASSERT_EQUAL(in_child(append_as_nobody), 77);
    CU_ASSERT_EQUAL(chmod(path, 0700), 0);
    CU_ASSERT_EQUAL(files(), 1);
    assert_head(journal, 1, "a1.b.c");
}

static void folder_that_goes_away_is_said(void)
{
    dk_auto(journal) struct dk_journal *journal = open_journal();
    char path[PATH_SIZE];

    path_of(".", path);
    path[strlen(path) - 2] = '\0';
    CU_ASSERT_EQUAL(rmdir(path), 0);
    CU_ASSERT_EQUAL(dk_journal_append(journal, 1, "x.y.z", 5, NULL), DK_ERR_NO_INPUT);
}

static void many_records_are_listed_without_being_read(void)
{
    enum { COUNT = 20000, FIRST = 5 };
    dk_auto(journal) struct dk_journal *journal = open_journal();
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    char path[PATH_SIZE];

    // All but the head are empty: whoever read them to find it would fail.
    path_of(".", path);

    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int64_t i = 0; i < COUNT; i++) {
        char name[32];

        // Not in order: 7919 is prime to 20,000.
        snprintf(name, sizeof name, "%010" PRId64 ".jws", FIRST + i * 7919 % COUNT);
        close(openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    }
    close(folder);
    snprintf(path + strlen(path) - 1, 32, "%010d.jws", FIRST + COUNT - 1);

    FILE *head = fopen(path, "we");

    CU_ASSERT_PTR_NOT_NULL_FATAL(head);
    fputs("a.b.c", head);
    CU_ASSERT_EQUAL(fclose(head), 0);

    struct dk_mono before = dk_mono_now();

    assert_head(journal, FIRST + COUNT - 1, "a.b.c");
    CU_ASSERT_EQUAL(dk_journal_list(journal, &entries, &count, NULL), DK_OK);
    CU_ASSERT_TRUE(dk_mono_diff_ns(dk_mono_now(), before) < 20 * DK_NS_PER_S);
    CU_ASSERT_EQUAL_FATAL(count, COUNT);

    bool ascending = true;

    for (size_t i = 0; i < count; i++)
        ascending = ascending && entries[i].seq == FIRST + (int64_t)i;
    CU_ASSERT_TRUE(ascending);
    free(entries);
}

static void test_profiles(void)
{
    static const char sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // of "abc"
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    const char *state = dk_harness_directory();
    char folder[PATH_SIZE], left[PATH_SIZE + 40], file[PATH_SIZE + 80];

    snprintf(folder, sizeof folder, "%s/profiles", state);
    snprintf(left, sizeof left, "%s/.x.ini.1.tmp", folder);
    snprintf(file, sizeof file, "%s.ini", sha256);
    for (int round = 0; round < 3; round++) {
        dk_auto_buf struct dk_buf text = dk_buf_make(100);

        CU_ASSERT_EQUAL(dk_profile_read(state, sha256, &text, NULL), round == 0 ? DK_ERR_NO_INPUT : DK_ERR_DATA);
        CU_ASSERT_EQUAL(dk_profile_keep(state, sha256, "abc", 3, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_profile_read(state, sha256, &text, NULL), DK_OK);
        CU_ASSERT_STRING_EQUAL(dk_buf_text(&text), "abc");
        CU_ASSERT_EQUAL(access(left, F_OK), -1);
        // Damage is seen, and mended by the next run; what a power cut left behind goes.
        CU_ASSERT_EQUAL(dk_file_write(folder, file, "abd", 3, DK_WRITE_REPLACE, NULL), DK_OK);
        CU_ASSERT_EQUAL(dk_file_write(folder, ".x.ini.1.tmp", "", 0, DK_WRITE_NEW, NULL), DK_OK);
        CU_ASSERT_EQUAL(utimensat(AT_FDCWD, left, long_ago, 0), 0);
    }

    dk_auto_buf struct dk_buf text = dk_buf_make(100);

    CU_ASSERT_EQUAL(dk_profile_keep(state, sha256, "abd", 3, NULL), DK_ERR_INTERNAL);
    CU_ASSERT_EQUAL(dk_profile_read(state, "../../etc/passwd", &text, NULL), DK_ERR_DATA);
    CU_ASSERT_EQUAL(text.len, 0);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(missing_folder_is_said),
        DK_CASE(head_follows_the_appended),
        DK_CASE(foreign_names_are_ignored),
        DK_CASE(damaged_head_stops_the_chain),
        DK_CASE(delivery_state_lies_beside_the_record),
        DK_CASE(pruning_takes_the_oldest_delivered),
        DK_CASE(what_others_need_stays),
        DK_CASE(what_others_need_is_not_dropped),
        DK_CASE(locks_have_one_holder),
        DK_CASE(lock_dies_with_its_holder),
        DK_CASE(two_writers_without_a_lock_keep_one_chain),
        DK_CASE(write_that_fails_halfway_leaves_the_chain),
        DK_CASE(full_disk_leaves_the_chain),
        DK_CASE(folder_that_may_not_be_written_is_said),
        DK_CASE(folder_that_goes_away_is_said),
        DK_CASE(many_records_are_listed_without_being_read),
        DK_CASE(test_profiles),
        {0},
    };

    return dk_harness_main(argc, argv, "journal", cases);
}
