// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"

enum { TEMPORARY_MAX_AGE_S = 86400, WEIGHED_ALWAYS = 1000, WEIGHED_EVERY = 64 };

static const int64_t day_ns = 86400 * DK_NS_PER_S;

static enum dk_err remove_file(struct dk_journal *journal, const char *name, struct dk_fault *fault)
{
    if (unlinkat(journal->folder, name, 0) != 0 && errno != ENOENT)
        return dk_journal_fail(fault, name, "cannot be removed");
    return DK_OK;
}

// One record goes: the record first, so that it never shows as undelivered; a receipt that a power cut leaves
// behind is swept up later.
static enum dk_err remove_record(struct dk_journal *journal, int64_t seq, struct dk_fault *fault)
{
    for (int kind = DK_FILE_RECORD; kind < DK_FILE_KINDS; kind++) {
        char name[DK_FILE_NAME_SIZE];

        dk_journal_file_name(seq, (enum dk_file_kind)kind, name);

        enum dk_err err = remove_file(journal, name, fault);

        if (err != DK_OK)
            return err;
    }
    return DK_OK;
}

void dk_journal_sweep(const char *path)
{
    DIR *stream = opendir(path);

    for (const struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        const char *name = entry->d_name;
        size_t len = strlen(name);
        struct stat status;

        if (name[0] == '.' && len > 5 && strcmp(name + len - 4, ".tmp") == 0 &&
            fstatat(dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
            dk_wall_now().ns / DK_NS_PER_S - (int64_t)status.st_mtim.tv_sec > TEMPORARY_MAX_AGE_S)
            (void)unlinkat(dirfd(stream), name, 0);
    }
    if (stream != NULL)
        closedir(stream);
}

static void sweep_temporaries(const struct dk_journal *journal)
{
    char profiles[PATH_MAX + 16];

    snprintf(profiles, sizeof profiles, "%s/profiles", journal->state_dir);
    dk_journal_sweep(journal->folder_path);
    dk_journal_sweep(profiles);
}

// Removes receipts and refusals that have no record.
static enum dk_err sweep_orphans(struct dk_journal *journal, struct dk_fault *fault)
{
    dk_auto_listing struct dk_listing listing = {0};
    enum dk_err err = dk_journal_scan(journal, &listing, fault);
    int64_t record = 0;

    for (size_t i = 0; err == DK_OK && i < listing.count; i++) {
        struct dk_journal_file file = dk_listing_at(&listing, i);
        char name[DK_FILE_NAME_SIZE];

        if (file.kind == DK_FILE_RECORD)
            record = file.seq;
        if (file.seq == record)
            continue;
        dk_journal_file_name(file.seq, file.kind, name);
        err = remove_file(journal, name, fault);
    }
    return err;
}

// Bytes of a record and of what lies beside it, and the record's time; false when it is gone, or cannot be seen.
static bool examine_record(const struct dk_journal *journal, int64_t seq, int64_t *bytes, int64_t *mtime_ns)
{
    *bytes = 0;
    for (int kind = DK_FILE_KINDS - 1; kind >= DK_FILE_RECORD; kind--) {
        char name[DK_FILE_NAME_SIZE];
        int64_t part = 0;

        dk_journal_file_name(seq, (enum dk_file_kind)kind, name);
        if (dk_journal_examine(journal, name, &part, mtime_ns))
            *bytes += part;
        else if (kind == DK_FILE_RECORD)
            return false;
    }
    return true;
}

bool dk_journal_size(const struct dk_journal *journal, int64_t seq, int64_t *bytes)
{
    int64_t mtime_ns = 0;

    return examine_record(journal, seq, bytes, &mtime_ns);
}

// Removes delivered records, the oldest first, until the bounds hold.
static enum dk_err remove_delivered(struct dk_journal *journal, const struct dk_journal_entry *entries, size_t count,
                                    int64_t total_bytes, int64_t max_bytes, int64_t max_age_ns,
                                    dk_journal_judge *judge, struct dk_fault *fault)
{
    int64_t bytes = 0, mtime_ns = 0, now_ns = dk_wall_now().ns, lowest_left = INT64_MAX;
    enum dk_err err = DK_OK;

    for (size_t i = 0; err == DK_OK && i + 1 < count; i++) {
        int64_t seq = entries[i].seq;
        struct dk_journal_worth worth = {0};

        if (entries[i].delivery != DK_DELIVERY_DELIVERED || !examine_record(journal, seq, &bytes, &mtime_ns) ||
            (total_bytes <= max_bytes && now_ns - mtime_ns <= max_age_ns)) {
            lowest_left = seq < lowest_left ? seq : lowest_left;
            continue;
        }
        err = judge(journal, seq, &worth, fault);
        if (err != DK_OK || worth.needed || lowest_left < worth.explains)
            continue;
        err = remove_record(journal, seq, fault);
        total_bytes -= bytes;
    }
    return err;
}

enum dk_err dk_journal_prune(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                             dk_journal_judge *judge, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    int64_t total_bytes = 0, bytes = 0, mtime_ns = 0;
    bool removable = false;

    sweep_temporaries(journal);

    enum dk_err err = sweep_orphans(journal, fault);

    if (err == DK_OK)
        err = dk_journal_list(journal, &entries, &count, fault);
    // With nothing to remove nothing is weighed: months of records that wait cost a run no more than their names.
    for (size_t i = 0; err == DK_OK && i + 1 < count; i++)
        removable = removable || entries[i].delivery == DK_DELIVERY_DELIVERED;
    for (size_t i = 0; removable && i < count; i++)
        if (examine_record(journal, entries[i].seq, &bytes, &mtime_ns))
            total_bytes += bytes;
    if (removable && err == DK_OK)
        err = remove_delivered(journal, entries, count, total_bytes, max_bytes, max_age_ns, judge, fault);
    free(entries);
    return err;
}

// Whether the whole journal is to be weighed now: with 100,000 records that is 100,000 looks at the disk.
static bool is_time_to_weigh(const struct dk_journal_entry *entries, size_t count)
{
    return count < WEIGHED_ALWAYS || entries[count - 1].seq % WEIGHED_EVERY == 0;
}

static enum dk_err find_excess(struct dk_journal *journal, const struct dk_journal_entry *entries, size_t count,
                               int64_t max_bytes, int64_t max_age_ns, dk_journal_judge *judge,
                               struct dk_journal_excess *out, struct dk_fault *fault)
{
    int64_t total_bytes = 0, bytes = 0, mtime_ns = 0, now_ns = dk_wall_now().ns;
    bool too_heavy = false, by_age = false;

    for (size_t i = 0; is_time_to_weigh(entries, count) && i < count; i++)
        if (examine_record(journal, entries[i].seq, &bytes, &mtime_ns))
            total_bytes += bytes;
    too_heavy = total_bytes > max_bytes;
    for (size_t i = 0; i + 1 < count; i++) {
        if (entries[i].delivery == DK_DELIVERY_DELIVERED ||
            !examine_record(journal, entries[i].seq, &bytes, &mtime_ns))
            continue;

        int64_t age_ns = now_ns - mtime_ns;
        bool too_old = out->count == 0 ? max_age_ns > 0 && age_ns > max_age_ns + day_ns
                                       : by_age && age_ns > max_age_ns;
        struct dk_journal_worth worth = {0};

        if (!(too_heavy && total_bytes > max_bytes - max_bytes / 10) && !too_old)
            return DK_OK;

        enum dk_err err = judge(journal, entries[i].seq, &worth, fault);

        if (err != DK_OK)
            return err;
        if (worth.needed)
            continue;
        by_age = by_age || (out->count == 0 && too_old);
        if (out->count++ == 0)
            out->first_seq = entries[i].seq;
        out->last_seq = entries[i].seq;
        out->bytes += bytes;
        out->too_old = !too_heavy;
        total_bytes -= bytes;
    }
    return DK_OK;
}

enum dk_err dk_journal_excess(struct dk_journal *journal, int64_t max_bytes, int64_t max_age_ns,
                              dk_journal_judge *judge, struct dk_journal_excess *out, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    *out = (struct dk_journal_excess){0};
    if (err == DK_OK && count > 1)
        err = find_excess(journal, entries, count, max_bytes, max_age_ns, judge, out, fault);
    free(entries);
    return err;
}

enum dk_err dk_journal_drop(struct dk_journal *journal, int64_t first_seq, int64_t last_seq, dk_journal_judge *judge,
                            struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    for (size_t i = 0; err == DK_OK && i + 1 < count; i++) {
        struct dk_journal_worth worth = {0};

        if (entries[i].seq < first_seq || entries[i].seq > last_seq || entries[i].delivery == DK_DELIVERY_DELIVERED)
            continue;
        err = judge(journal, entries[i].seq, &worth, fault);
        if (err == DK_OK && !worth.needed)
            err = remove_record(journal, entries[i].seq, fault);
    }
    free(entries);
    return err;
}
