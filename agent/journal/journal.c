// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/journal/parts.h"

enum {
    SEQ_DIGITS = 10,
    LINE_MAX_BYTES = 2 << 20, // a JWS
};

static const char *const suffixes[DK_FILE_KINDS] = {".jws", ".receipt.jws", ".refused", ".tsr"};

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

enum dk_err dk_journal_fail(struct dk_fault *fault, const char *where, const char *action)
{
    int error_number = errno;

    return dk_fail(fault, dk_err_from_errno(error_number), where, NULL, "%s: %s", action,
                   strerror(error_number));
}

void dk_journal_file_name(int64_t seq, enum dk_file_kind kind, char out[static DK_FILE_NAME_SIZE])
{
    snprintf(out, DK_FILE_NAME_SIZE, "%010" PRId64 "%s", seq, suffixes[kind]);
}

bool dk_journal_file_parse(const char *name, struct dk_journal_file *out)
{
    int64_t seq = 0;

    for (int i = 0; i < SEQ_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        seq = seq * 10 + (name[i] - '0');
    }
    for (int kind = DK_FILE_RECORD; kind < DK_FILE_KINDS; kind++)
        if (seq > 0 && strcmp(name + SEQ_DIGITS, suffixes[kind]) == 0) {
            *out = (struct dk_journal_file){.seq = seq, .kind = (enum dk_file_kind)kind};
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
        return dk_journal_fail(fault, journal->folder_path, "the journal cannot be opened");
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
        return dk_journal_fail(fault, path, "the lock cannot be opened");
    if (DK_RETRY(flock(fd, LOCK_EX | LOCK_NB)) == 0) {
        *held = fd;
        return DK_OK;
    }

    enum dk_err err = errno == EWOULDBLOCK
                          ? dk_fail(fault, DK_ERR_NOT_NOW, path, "wait for it to end, or try again later",
                                    "%s is at work with this state folder", holder)
                          : dk_journal_fail(fault, path, "the lock cannot be taken");

    close(fd);
    return err;
}

// What a process that died left in view may not be durable yet. Nothing is built on it, or sent, before it is.
static enum dk_err settle(const struct dk_journal *journal, struct dk_fault *fault)
{
    int state = DK_RETRY(open(journal->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    enum dk_err err = DK_OK;

    if (state < 0 || DK_RETRY(fsync(state)) != 0 || DK_RETRY(fsync(journal->folder)) != 0)
        err = dk_journal_fail(fault, journal->folder_path, "the journal cannot be made durable");
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

enum dk_err dk_journal_walk(struct dk_journal *journal, enum dk_err (*visit)(void *argument, const char *name),
                        void *argument, struct dk_fault *fault)
{
    __attribute__((cleanup(close_folder))) DIR *stream = open_stream(journal);

    if (stream == NULL)
        return dk_journal_fail(fault, journal->folder_path, "the journal cannot be listed");
    for (;;) {
        errno = 0;

        const struct dirent *entry = readdir(stream);

        if (entry == NULL && errno != 0)
            return dk_journal_fail(fault, journal->folder_path, "the journal cannot be listed");
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
    struct dk_journal_file file;

    if (dk_journal_file_parse(name, &file) && file.kind == DK_FILE_RECORD && file.seq > *highest)
        *highest = file.seq;
    return DK_OK;
}

static enum dk_err highest_seq(struct dk_journal *journal, int64_t *out, struct dk_fault *fault)
{
    *out = 0;
    return dk_journal_walk(journal, find_highest, out, fault);
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

static enum dk_err read_jws(struct dk_journal *journal, int64_t seq, enum dk_file_kind kind, struct dk_buf *out,
                             struct dk_fault *fault)
{
    char name[DK_FILE_NAME_SIZE], path[PATH_MAX + DK_FILE_NAME_SIZE];
    dk_auto_buf struct dk_buf line = dk_buf_make(LINE_MAX_BYTES);
    struct stat status;

    dk_journal_file_name(seq, kind, name);
    snprintf(path, sizeof path, "%s/%s", journal->folder_path, name);
    if (fstatat(journal->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return dk_fail(fault, DK_ERR_NO_INPUT, path, NULL,
                       kind == DK_FILE_RECORD ? N_("there is no record %" PRId64 " in this journal")
                                              : N_("there is no receipt of record %" PRId64 " in this journal"),
                       seq);

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
        err = read_jws(journal, highest, DK_FILE_RECORD, &jws, &own);
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

static enum dk_err write_file(struct dk_journal *journal, int64_t seq, enum dk_file_kind kind, const void *text,
                              size_t len, enum dk_write_mode mode, struct dk_fault *fault)
{
    char name[DK_FILE_NAME_SIZE];

    dk_journal_file_name(seq, kind, name);
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
    return write_file(journal, seq, DK_FILE_RECORD, jws, len, DK_WRITE_NEW, fault);
}

enum dk_err dk_journal_read(struct dk_journal *journal, int64_t seq, struct dk_buf *jws,
                            struct dk_fault *fault)
{
    return read_jws(journal, seq, DK_FILE_RECORD, jws, fault);
}

bool dk_journal_examine(const struct dk_journal *journal, const char *name, int64_t *bytes, int64_t *mtime_ns)
{
    struct stat status;

    if (fstatat(journal->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    *bytes = (int64_t)status.st_size;
    *mtime_ns = (int64_t)status.st_mtim.tv_sec * DK_NS_PER_S + status.st_mtim.tv_nsec;
    return true;
}

enum dk_err dk_journal_keep_receipt(struct dk_journal *journal, int64_t seq, const char *jws, size_t len,
                                    struct dk_fault *fault)
{
    struct dk_fault own = {0};

    if (!looks_like_jws(jws, len))
        return dk_fail(fault, DK_ERR_DATA, journal->folder_path, NULL,
                       "the receipt of record %" PRId64 " is not a JWS", seq);

    enum dk_err err = write_file(journal, seq, DK_FILE_RECEIPT, jws, len, DK_WRITE_NEW, &own);

    if (err == DK_OK || err == DK_ERR_NOT_NOW)
        return DK_OK;
    return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

enum dk_err dk_journal_read_receipt(struct dk_journal *journal, int64_t seq, struct dk_buf *jws,
                                    struct dk_fault *fault)
{
    return read_jws(journal, seq, DK_FILE_RECEIPT, jws, fault);
}

enum dk_err dk_journal_keep_time_stamp(struct dk_journal *journal, int64_t seq, const void *der, size_t len,
                                       struct dk_fault *fault)
{
    struct dk_fault own = {0};
    enum dk_err err = write_file(journal, seq, DK_FILE_TIME_STAMP, der, len, DK_WRITE_NEW, &own);

    if (err == DK_OK || err == DK_ERR_NOT_NOW)
        return DK_OK;
    return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

bool dk_journal_time_stamped(const struct dk_journal *journal, int64_t seq, struct dk_wall *when)
{
    char name[DK_FILE_NAME_SIZE];
    int64_t bytes = 0;

    dk_journal_file_name(seq, DK_FILE_TIME_STAMP, name);
    return dk_journal_examine(journal, name, &bytes, &when->ns);
}

enum dk_err dk_journal_refuse(struct dk_journal *journal, int64_t seq, const char *words,
                              struct dk_fault *fault)
{
    return write_file(journal, seq, DK_FILE_REFUSED, words, strnlen(words, DK_REFUSAL_MAX), DK_WRITE_REPLACE,
                      fault);
}

enum dk_err dk_journal_read_refusal(struct dk_journal *journal, int64_t seq, struct dk_buf *words,
                                    struct dk_fault *fault)
{
    char name[DK_FILE_NAME_SIZE], path[PATH_MAX + DK_FILE_NAME_SIZE];
    dk_auto_buf struct dk_buf line = dk_buf_make(DK_REFUSAL_MAX);

    dk_journal_file_name(seq, DK_FILE_REFUSED, name);
    snprintf(path, sizeof path, "%s/%s", journal->folder_path, name);

    enum dk_err err = dk_file_read(path, &line, fault);

    if (err != DK_OK)
        return err;
    err = dk_buf_append(words, dk_buf_text(&line), line.len);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, path, NULL, "cannot be held: %s", dk_err_text(err));
}
