// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"

enum {
    SEQ_DIGITS = 10,
    LINE_MAX_BYTES = 2 << 20, // a JWS
    FILE_NAME_SIZE = 40,
};

#define TEMPORARY_MAX_AGE_NS (INT64_C(86400) * DK_NS_PER_S)

struct dk_journal {
    char state_dir[PATH_MAX];
    char folder_path[PATH_MAX];  // STATE/journal
    int folder;                  // descriptor of it
    int run_lock, delivery_lock; // -1 while not held
};

// What a file in the folder is, in the order they are sorted for one seq.
enum file_kind { FILE_RECORD, FILE_RECEIPT, FILE_REFUSED, FILE_KINDS };

static const char *const suffixes[FILE_KINDS] = {".jws", ".receipt.jws", ".refused"};

struct file {
    int64_t seq;
    enum file_kind kind;
};

// A file as one number, seq * FILE_KINDS + kind: a journal may hold 100,000 records, on a machine with little memory.
struct listing {
    int64_t *files; // owned; ascending once scan() is through
    size_t count, capacity;
};

static struct file unpack(int64_t packed)
{
    return (struct file){.seq = packed / FILE_KINDS, .kind = (enum file_kind)(packed % FILE_KINDS)};
}

static void listing_free(struct listing *listing)
{
    free(listing->files);
}
#define auto_listing __attribute__((cleanup(listing_free)))

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

static enum dk_err fail_errno(struct dk_fault *fault, const char *where, const char *action)
{
    int error_number = errno;

    return dk_fail(fault, dk_err_from_errno(error_number), where, NULL, "%s: %s", action,
                   strerror(error_number));
}

static void file_name(int64_t seq, enum file_kind kind, char out[static FILE_NAME_SIZE])
{
    snprintf(out, FILE_NAME_SIZE, "%010" PRId64 "%s", seq, suffixes[kind]);
}

static bool parse_name(const char *name, struct file *out)
{
    int64_t seq = 0;

    for (int i = 0; i < SEQ_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        seq = seq * 10 + (name[i] - '0');
    }
    for (int kind = FILE_RECORD; kind < FILE_KINDS; kind++)
        if (seq > 0 && strcmp(name + SEQ_DIGITS, suffixes[kind]) == 0) {
            *out = (struct file){.seq = seq, .kind = (enum file_kind)kind};
            return true;
        }
    return false;
}

enum dk_err dk_journal_open(const char *state_dir, bool make, struct dk_journal **out, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = calloc(1, sizeof *journal);

    if (journal == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, state_dir, NULL, "out of memory");
    journal->folder = journal->run_lock = journal->delivery_lock = -1;
    if (snprintf(journal->state_dir, sizeof journal->state_dir, "%s", state_dir) >= PATH_MAX ||
        snprintf(journal->folder_path, sizeof journal->folder_path, "%s/journal", state_dir) >= PATH_MAX)
        return dk_fail(fault, DK_ERR_IO, state_dir, NULL, "the path is too long");
    if (make) {
        enum dk_err err = dk_directory_make(journal->folder_path, fault);

        if (err != DK_OK)
            return err;
    }
    journal->folder = DK_RETRY(open(journal->folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (journal->folder < 0 && errno == ENOENT)
        return dk_fail(fault, DK_ERR_NO_INPUT, journal->folder_path,
                       "name the state folder with --state, or make one with dokiem keygen",
                       "there is no journal");
    if (journal->folder < 0)
        return fail_errno(fault, journal->folder_path, "the journal cannot be opened");
    *out = journal;
    journal = NULL;
    return DK_OK;
}

void dk_journal_free(struct dk_journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->folder >= 0)
        close(journal->folder);
    if (journal->run_lock >= 0)
        close(journal->run_lock);
    if (journal->delivery_lock >= 0)
        close(journal->delivery_lock);
    free(journal);
}

static enum dk_err take_lock(const struct dk_journal *journal, const char *name, const char *holder,
                             int *held, struct dk_fault *fault)
{
    char path[PATH_MAX + 16];

    if (*held >= 0)
        return DK_OK;
    snprintf(path, sizeof path, "%s/%s", journal->state_dir, name);

    int fd = DK_RETRY(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));

    if (fd < 0)
        return fail_errno(fault, path, "the lock cannot be opened");
    if (DK_RETRY(flock(fd, LOCK_EX | LOCK_NB)) == 0) {
        *held = fd;
        return DK_OK;
    }

    enum dk_err err = errno == EWOULDBLOCK
                          ? dk_fail(fault, DK_ERR_NOT_NOW, path, "wait for it to end, or try again later",
                                    "%s is at work with this state folder", holder)
                          : fail_errno(fault, path, "the lock cannot be taken");

    close(fd);
    return err;
}

// What a process that died left in view may not be durable yet. Nothing is built on it, or sent, before it is.
static enum dk_err settle(const struct dk_journal *journal, struct dk_fault *fault)
{
    int state = DK_RETRY(open(journal->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    enum dk_err err = DK_OK;

    if (state < 0 || DK_RETRY(fsync(state)) != 0 || DK_RETRY(fsync(journal->folder)) != 0)
        err = fail_errno(fault, journal->folder_path, "the journal cannot be made durable");
    if (state >= 0)
        close(state);
    return err;
}

enum dk_err dk_journal_lock(struct dk_journal *journal, struct dk_fault *fault)
{
    enum dk_err err = take_lock(journal, "lock", "another run", &journal->run_lock, fault);

    return err == DK_OK ? settle(journal, fault) : err;
}

enum dk_err dk_journal_lock_delivery(struct dk_journal *journal, struct dk_fault *fault)
{
    enum dk_err err = take_lock(journal, "deliver.lock", "another delivery", &journal->delivery_lock, fault);

    return err == DK_OK ? settle(journal, fault) : err;
}

// A fresh stream over the folder, from its beginning; NULL with errno set.
static DIR *open_stream(const struct dk_journal *journal)
{
    int fd = DK_RETRY(openat(journal->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    if (fd < 0)
        return NULL;

    DIR *stream = fdopendir(fd);

    if (stream == NULL)
        close(fd);
    return stream;
}

// Calls `visit` for every name in the folder; it returns an error to stop.
static enum dk_err walk(struct dk_journal *journal, enum dk_err (*visit)(void *argument, const char *name),
                        void *argument, struct dk_fault *fault)
{
    __attribute__((cleanup(close_folder))) DIR *stream = open_stream(journal);

    if (stream == NULL)
        return fail_errno(fault, journal->folder_path, "the journal cannot be listed");
    for (;;) {
        errno = 0;

        const struct dirent *entry = readdir(stream);

        if (entry == NULL && errno != 0)
            return fail_errno(fault, journal->folder_path, "the journal cannot be listed");
        if (entry == NULL)
            return DK_OK;

        enum dk_err err = visit(argument, entry->d_name);

        if (err != DK_OK)
            return dk_fail(fault, err, journal->folder_path, NULL, "the journal cannot be listed: %s",
                           dk_err_text(err));
    }
}

static enum dk_err find_highest(void *argument, const char *name)
{
    int64_t *highest = argument;
    struct file file;

    if (parse_name(name, &file) && file.kind == FILE_RECORD && file.seq > *highest)
        *highest = file.seq;
    return DK_OK;
}

static enum dk_err highest_seq(struct dk_journal *journal, int64_t *out, struct dk_fault *fault)
{
    *out = 0;
    return walk(journal, find_highest, out, fault);
}

// A compact JWS by its characters alone: what else a power cut or a bad disk leaves is not one.
static bool looks_like_jws(const char *text, size_t len)
{
    size_t dots = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '.')
            dots++;
        else if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '_'))
            return false;
    }
    return dots == 2;
}

static enum dk_err read_jws(struct dk_journal *journal, int64_t seq, enum file_kind kind, struct dk_buf *out,
                             struct dk_fault *fault)
{
    char name[FILE_NAME_SIZE], path[PATH_MAX + FILE_NAME_SIZE];
    dk_auto_buf struct dk_buf line = dk_buf_make(LINE_MAX_BYTES);
    struct stat status;

    file_name(seq, kind, name);
    snprintf(path, sizeof path, "%s/%s", journal->folder_path, name);
    if (fstatat(journal->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return dk_fail(fault, DK_ERR_NO_INPUT, path, NULL, "there is no %s %" PRId64 " in this journal",
                       kind == FILE_RECORD ? "record" : "receipt of record", seq);

    enum dk_err err = dk_file_read(path, &line, fault);

    if (err != DK_OK)
        return err;
    if (!looks_like_jws(dk_buf_text(&line), line.len))
        return dk_fail(fault, DK_ERR_DATA, path,
                       "keep the file as evidence, and see dokiem verify for the others",
                       "is damaged: not one JWS and nothing else");
    err = dk_buf_append(out, line.data, line.len);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, path, NULL, "cannot be held: %s", dk_err_text(err));
}

enum dk_err dk_journal_head(struct dk_journal *journal, int64_t *seq, char sha256[static DK_SHA256_TEXT_SIZE],
                            struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(LINE_MAX_BYTES);
    struct dk_fault own = {0};
    int64_t highest = 0;
    char hash[DK_SHA256_TEXT_SIZE] = "";
    enum dk_err err = highest_seq(journal, &highest, fault);

    if (err != DK_OK)
        return err;
    if (highest > 0) {
        err = read_jws(journal, highest, FILE_RECORD, &jws, &own);
        // Its name is there, so what is no regular file, or too long, is damage; going on from an older
        // record would fork the chain.
        if (err == DK_ERR_NO_INPUT)
            err = DK_ERR_DATA;
        if (err != DK_OK)
            return dk_fail(fault, err, own.where,
                           "move the state folder away and enrol anew, or restore the file from a copy",
                           "the chain cannot go on from its last record: %s", own.what);
        err = dk_sha256_text(jws.data, jws.len, hash);
        if (err != DK_OK)
            return dk_fail(fault, err, journal->folder_path, NULL, "the last record cannot be hashed");
    }
    *seq = highest;
    memcpy(sha256, hash, sizeof hash);
    return DK_OK;
}

static enum dk_err write_file(struct dk_journal *journal, int64_t seq, enum file_kind kind, const char *text,
                              size_t len, enum dk_write_mode mode, struct dk_fault *fault)
{
    char name[FILE_NAME_SIZE];

    file_name(seq, kind, name);
    return dk_file_write(journal->folder_path, name, text, len, mode, fault);
}

enum dk_err dk_journal_append(struct dk_journal *journal, int64_t seq, const char *jws, size_t len,
                              struct dk_fault *fault)
{
    int64_t highest = 0;

    if (!looks_like_jws(jws, len))
        return dk_fail(fault, DK_ERR_INTERNAL, journal->folder_path, NULL, "what is to be kept is not a JWS");

    enum dk_err err = highest_seq(journal, &highest, fault);

    if (err != DK_OK)
        return err;
    if (seq <= highest)
        return dk_fail(fault, DK_ERR_NOT_NOW, journal->folder_path, "try again: another run was faster",
                       "record %" PRId64 " is there already", seq);
    if (seq != highest + 1 || seq > DK_SEQ_MAX)
        return dk_fail(fault, DK_ERR_INTERNAL, journal->folder_path, NULL,
                       "record %" PRId64 " cannot follow record %" PRId64, seq, highest);
    return write_file(journal, seq, FILE_RECORD, jws, len, DK_WRITE_NEW, fault);
}

enum dk_err dk_journal_read(struct dk_journal *journal, int64_t seq, struct dk_buf *jws,
                            struct dk_fault *fault)
{
    return read_jws(journal, seq, FILE_RECORD, jws, fault);
}

static enum dk_err collect(void *argument, const char *name)
{
    struct listing *listing = argument;
    struct file file;

    if (!parse_name(name, &file))
        return DK_OK;
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 256 : listing->capacity * 2;
        int64_t *files = reallocarray(listing->files, capacity, sizeof *files);

        if (files == NULL)
            return DK_ERR_MEMORY;
        listing->files = files;
        listing->capacity = capacity;
    }
    listing->files[listing->count++] = file.seq * FILE_KINDS + (int64_t)file.kind;
    return DK_OK;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

// Sorts by a bit for each number between the lowest and the highest: a journal has few gaps, and then this is many
// times as fast as qsort(). Returns how many there are: readdir() may tell a name twice while files come and go.
static size_t sort(int64_t *numbers, size_t count)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    uint64_t *bits = NULL;
    size_t words, n = 0;

    for (size_t i = 0; i < count; i++) {
        low = numbers[i] < low ? numbers[i] : low;
        high = numbers[i] > high ? numbers[i] : high;
    }
    words = count > 0 ? (size_t)(high - low) / 64 + 1 : 0;
    if (words <= count)
        bits = calloc(words + 1, sizeof *bits);
    if (bits == NULL) {
        qsort(numbers, count, sizeof *numbers, compare);
        return count;
    }
    for (size_t i = 0; i < count; i++)
        bits[(numbers[i] - low) / 64] |= UINT64_C(1) << ((numbers[i] - low) % 64);
    for (size_t word = 0; word < words; word++)
        for (uint64_t left = bits[word]; left != 0; left &= left - 1)
            numbers[n++] = low + (int64_t)word * 64 + __builtin_ctzll(left);
    free(bits);
    return n;
}

static enum dk_err scan(struct dk_journal *journal, struct listing *out, struct dk_fault *fault)
{
    enum dk_err err = walk(journal, collect, out, fault);

    if (err == DK_OK && out->count > 0)
        out->count = sort(out->files, out->count);
    return err;
}

// Size and age of a file; false when it is gone.
static bool examine(const struct dk_journal *journal, const char *name, int64_t *bytes, int64_t *mtime_ns)
{
    struct stat status;

    if (fstatat(journal->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    *bytes = (int64_t)status.st_size;
    *mtime_ns = (int64_t)status.st_mtim.tv_sec * DK_NS_PER_S + status.st_mtim.tv_nsec;
    return true;
}

enum dk_err dk_journal_list(struct dk_journal *journal, struct dk_journal_entry **entries, size_t *count,
                            struct dk_fault *fault)
{
    auto_listing struct listing listing = {0};
    enum dk_err err = scan(journal, &listing, fault);
    size_t records = 0, n = 0;

    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < listing.count; i++)
        records += unpack(listing.files[i]).kind == FILE_RECORD;

    struct dk_journal_entry *list = calloc(records + 1, sizeof *list);

    if (list == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, journal->folder_path, NULL, "out of memory");
    for (size_t i = 0; i < listing.count; i++) {
        struct file file = unpack(listing.files[i]);

        if (file.kind == FILE_RECORD)
            list[n++] = (struct dk_journal_entry){.seq = file.seq};
        // A receipt is proof; a refusal beside it no longer matters.
        else if (n > 0 && list[n - 1].seq == file.seq && list[n - 1].delivery != DK_DELIVERY_DELIVERED)
            list[n - 1].delivery = file.kind == FILE_RECEIPT ? DK_DELIVERY_DELIVERED : DK_DELIVERY_REFUSED;
    }
    *entries = list;
    *count = n;
    return DK_OK;
}

enum dk_err dk_journal_keep_receipt(struct dk_journal *journal, int64_t seq, const char *jws, size_t len,
                                    struct dk_fault *fault)
{
    struct dk_fault own = {0};

    if (!looks_like_jws(jws, len))
        return dk_fail(fault, DK_ERR_DATA, journal->folder_path, NULL,
                       "the receipt of record %" PRId64 " is not a JWS", seq);

    enum dk_err err = write_file(journal, seq, FILE_RECEIPT, jws, len, DK_WRITE_NEW, &own);

    if (err == DK_OK || err == DK_ERR_NOT_NOW)
        return DK_OK;
    return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

enum dk_err dk_journal_read_receipt(struct dk_journal *journal, int64_t seq, struct dk_buf *jws,
                                    struct dk_fault *fault)
{
    return read_jws(journal, seq, FILE_RECEIPT, jws, fault);
}

enum dk_err dk_journal_refuse(struct dk_journal *journal, int64_t seq, const char *words,
                              struct dk_fault *fault)
{
    return write_file(journal, seq, FILE_REFUSED, words, strnlen(words, DK_REFUSAL_MAX), DK_WRITE_REPLACE,
                      fault);
}

enum dk_err dk_journal_read_refusal(struct dk_journal *journal, int64_t seq, struct dk_buf *words,
                                    struct dk_fault *fault)
{
    char name[FILE_NAME_SIZE], path[PATH_MAX + FILE_NAME_SIZE];
    dk_auto_buf struct dk_buf line = dk_buf_make(DK_REFUSAL_MAX);

    file_name(seq, FILE_REFUSED, name);
    snprintf(path, sizeof path, "%s/%s", journal->folder_path, name);

    enum dk_err err = dk_file_read(path, &line, fault);

    if (err != DK_OK)
        return err;
    err = dk_buf_append(words, dk_buf_text(&line), line.len);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, path, NULL, "cannot be held: %s", dk_err_text(err));
}

static enum dk_err remove_file(struct dk_journal *journal, const char *name, struct dk_fault *fault)
{
    if (unlinkat(journal->folder, name, 0) != 0 && errno != ENOENT)
        return fail_errno(fault, name, "cannot be removed");
    return DK_OK;
}

// One record goes: the record first, so that it never shows as undelivered; a receipt that a power cut leaves
// behind is swept up later.
static enum dk_err remove_record(struct dk_journal *journal, int64_t seq, struct dk_fault *fault)
{
    for (int kind = FILE_RECORD; kind < FILE_KINDS; kind++) {
        char name[FILE_NAME_SIZE];

        file_name(seq, (enum file_kind)kind, name);

        enum dk_err err = remove_file(journal, name, fault);

        if (err != DK_OK)
            return err;
    }
    return DK_OK;
}

static enum dk_err sweep_temporary(void *argument, const char *name)
{
    struct dk_journal *journal = argument;
    size_t len = strlen(name);
    int64_t bytes = 0, mtime_ns = 0;

    if (name[0] == '.' && len > 5 && strcmp(name + len - 4, ".tmp") == 0 &&
        examine(journal, name, &bytes, &mtime_ns) && dk_wall_now().ns - mtime_ns > TEMPORARY_MAX_AGE_NS)
        (void)unlinkat(journal->folder, name, 0);
    return DK_OK;
}

// Removes receipts and refusals that have no record.
static enum dk_err sweep_orphans(struct dk_journal *journal, struct dk_fault *fault)
{
    auto_listing struct listing listing = {0};
    enum dk_err err = scan(journal, &listing, fault);
    int64_t record = 0;

    for (size_t i = 0; err == DK_OK && i < listing.count; i++) {
        struct file file = unpack(listing.files[i]);
        char name[FILE_NAME_SIZE];

        if (file.kind == FILE_RECORD)
            record = file.seq;
        if (file.seq == record)
            continue;
        file_name(file.seq, file.kind, name);
        err = remove_file(journal, name, fault);
    }
    return err;
}

// Bytes of a record and of what lies beside it, and the record's time; false when it is gone, or cannot be seen.
static bool examine_record(const struct dk_journal *journal, int64_t seq, int64_t *bytes, int64_t *mtime_ns)
{
    *bytes = 0;
    for (int kind = FILE_KINDS - 1; kind >= FILE_RECORD; kind--) {
        char name[FILE_NAME_SIZE];
        int64_t part = 0;

        file_name(seq, (enum file_kind)kind, name);
        if (examine(journal, name, &part, mtime_ns))
            *bytes += part;
        else if (kind == FILE_RECORD)
            return false;
    }
    return true;
}

bool dk_journal_size(const struct dk_journal *journal, int64_t seq, int64_t *bytes)
{
    int64_t mtime_ns = 0;

    return examine_record(journal, seq, bytes, &mtime_ns);
}

enum dk_err dk_journal_prune(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                             struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    int64_t total_bytes = 0, bytes = 0, mtime_ns = 0;
    int64_t now_ns = dk_wall_now().ns;
    bool removable = false;
    enum dk_err err = walk(journal, sweep_temporary, journal, fault);

    if (err == DK_OK)
        err = sweep_orphans(journal, fault);
    if (err == DK_OK)
        err = dk_journal_list(journal, &entries, &count, fault);
    // With nothing to remove nothing is weighed: months of records that wait cost a run no more than their names.
    for (size_t i = 0; err == DK_OK && i + 1 < count; i++)
        removable = removable || entries[i].delivery == DK_DELIVERY_DELIVERED;
    for (size_t i = 0; removable && i < count; i++)
        if (examine_record(journal, entries[i].seq, &bytes, &mtime_ns))
            total_bytes += bytes;
    for (size_t i = 0; removable && err == DK_OK && i + 1 < count; i++) {
        if (entries[i].delivery != DK_DELIVERY_DELIVERED ||
            !examine_record(journal, entries[i].seq, &bytes, &mtime_ns) ||
            (total_bytes <= max_bytes && now_ns - mtime_ns <= max_age_ns))
            continue;
        err = remove_record(journal, entries[i].seq, fault);
        total_bytes -= bytes;
    }
    free(entries);
    return err;
}
