// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/parts.h"

#include <stdlib.h>
#include <string.h>

struct dk_journal_file dk_listing_at(const struct dk_listing *listing, size_t i)
{
    int64_t packed = listing->files[i];

    return (struct dk_journal_file){.seq = packed / DK_FILE_KINDS, .kind = (enum dk_file_kind)(packed % DK_FILE_KINDS)};
}

void dk_listing_free(struct dk_listing *listing)
{
    free(listing->files);
}

static enum dk_err collect(void *argument, const char *name)
{
    struct dk_listing *listing = argument;
    struct dk_journal_file file;

    if (!dk_journal_file_parse(name, &file))
        return DK_OK;
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 256 : listing->capacity * 2;
        int64_t *files = reallocarray(listing->files, capacity, sizeof *files);

        if (files == NULL)
            return DK_ERR_MEMORY;
        listing->files = files;
        listing->capacity = capacity;
    }
    listing->files[listing->count++] = file.seq * DK_FILE_KINDS + (int64_t)file.kind;
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

enum dk_err dk_journal_scan(struct dk_journal *journal, struct dk_listing *out, struct dk_fault *fault)
{
    enum dk_err err = dk_journal_walk(journal, collect, out, fault);

    if (err == DK_OK && out->count > 0)
        out->count = sort(out->files, out->count);
    return err;
}

enum dk_err dk_journal_list(struct dk_journal *journal, struct dk_journal_entry **entries, size_t *count,
                            struct dk_fault *fault)
{
    dk_auto_listing struct dk_listing listing = {0};
    enum dk_err err = dk_journal_scan(journal, &listing, fault);
    size_t records = 0, n = 0;

    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < listing.count; i++)
        records += dk_listing_at(&listing, i).kind == DK_FILE_RECORD;

    struct dk_journal_entry *list = calloc(records + 1, sizeof *list);

    if (list == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, journal->folder_path, NULL, "out of memory");
    for (size_t i = 0; i < listing.count; i++) {
        struct dk_journal_file file = dk_listing_at(&listing, i);

        if (file.kind == DK_FILE_RECORD)
            list[n++] = (struct dk_journal_entry){.seq = file.seq};
        else if (n > 0 && list[n - 1].seq == file.seq && file.kind == DK_FILE_TIME_STAMP)
            list[n - 1].time_stamped = true;
        // A receipt is proof; a refusal beside it no longer matters.
        else if (n > 0 && list[n - 1].seq == file.seq && list[n - 1].delivery != DK_DELIVERY_DELIVERED)
            list[n - 1].delivery = file.kind == DK_FILE_RECEIPT ? DK_DELIVERY_DELIVERED : DK_DELIVERY_REFUSED;
    }
    *entries = list;
    *count = n;
    return DK_OK;
}

// A bit for each number, word by word from `base`; a journal has few gaps.
struct marks {
    uint64_t *bits[DK_FILE_KINDS]; // owned
    int64_t base;                  // number / 64 of the first word
    size_t words;
};

enum { MARKS_MAX_WORDS = 1 << 17 };

static void marks_free(struct marks *marks)
{
    for (int kind = 0; kind < DK_FILE_KINDS; kind++)
        free(marks->bits[kind]);
}

// Makes room for the word `word`. Errors: MEMORY, DATA (the numbers are too far apart).
static enum dk_err make_room(struct marks *marks, int64_t word)
{
    int64_t first = marks->words == 0 || word < marks->base ? word : marks->base;
    int64_t end = marks->base + (int64_t)marks->words;
    uint64_t *grown[DK_FILE_KINDS] = {NULL};
    size_t words, before;

    if (marks->words > 0 && word >= marks->base && word < end)
        return DK_OK;
    if (marks->words == 0 || word >= end)
        end = word + 1 + (int64_t)marks->words / 2 + 64; // with something to spare, so that it seldom grows
    else
        first = word - (int64_t)marks->words / 2 > 0 ? word - (int64_t)marks->words / 2 : 0;
    if (end - first > MARKS_MAX_WORDS)
        return DK_ERR_DATA;
    words = (size_t)(end - first);
    before = marks->words > 0 ? (size_t)(marks->base - first) : 0;
    for (int kind = 0; kind < DK_FILE_KINDS; kind++) {
        grown[kind] = calloc(words, sizeof *grown[kind]);
        if (grown[kind] == NULL) {
            while (kind-- > 0)
                free(grown[kind]);
            return DK_ERR_MEMORY;
        }
        if (marks->words > 0)
            memcpy(grown[kind] + before, marks->bits[kind], marks->words * sizeof *grown[kind]);
    }
    marks_free(marks);
    memcpy(marks->bits, grown, sizeof grown);
    marks->base = first;
    marks->words = words;
    return DK_OK;
}

static enum dk_err mark(void *argument, const char *name)
{
    struct marks *marks = argument;
    struct dk_journal_file file;

    if (!dk_journal_file_parse(name, &file))
        return DK_OK;

    enum dk_err err = make_room(marks, file.seq / 64);

    if (err == DK_OK)
        marks->bits[file.kind][file.seq / 64 - marks->base] |= UINT64_C(1) << (file.seq % 64);
    return err;
}

// In ascending order of the records.
static void count_time_stamps(uint64_t records, uint64_t stamped, int64_t first, struct dk_journal_counts *out)
{
    uint64_t after = stamped != 0 ? ~(UINT64_MAX >> __builtin_clzll(stamped)) : UINT64_MAX;
    uint64_t from = out->time_stamped > 0 ? UINT64_MAX : stamped != 0 ? UINT64_MAX << __builtin_ctzll(stamped) : 0;

    if (stamped != 0) {
        out->after_time_stamp = 0;
        out->last_time_stamped_seq = first + 63 - __builtin_clzll(stamped);
    }
    out->after_time_stamp += __builtin_popcountll(records & after);
    out->without_time_stamp += __builtin_popcountll(records & ~stamped & from);
    out->time_stamped += __builtin_popcountll(stamped);
}

static void count_word(const struct marks *marks, size_t i, struct dk_journal_counts *out)
{
    uint64_t records = marks->bits[DK_FILE_RECORD][i];
    uint64_t delivered = records & marks->bits[DK_FILE_RECEIPT][i];
    uint64_t refused = records & ~delivered & marks->bits[DK_FILE_REFUSED][i];
    uint64_t waiting = records & ~delivered & ~refused;
    int64_t first = (marks->base + (int64_t)i) * 64;

    out->by[DK_DELIVERY_DELIVERED] += __builtin_popcountll(delivered);
    out->by[DK_DELIVERY_REFUSED] += __builtin_popcountll(refused);
    out->by[DK_DELIVERY_WAITING] += __builtin_popcountll(waiting);
    if (waiting != 0 && out->oldest_waiting_seq == 0)
        out->oldest_waiting_seq = first + __builtin_ctzll(waiting);
    if (refused != 0)
        out->last_refused_seq = first + 63 - __builtin_clzll(refused);
    if (records != 0)
        out->last_seq = first + 63 - __builtin_clzll(records);
    count_time_stamps(records, records & marks->bits[DK_FILE_TIME_STAMP][i], first, out);
}

static void count_entry(const struct dk_journal_entry *entry, struct dk_journal_counts *out)
{
    out->by[entry->delivery]++;
    if (entry->delivery == DK_DELIVERY_WAITING && out->oldest_waiting_seq == 0)
        out->oldest_waiting_seq = entry->seq;
    if (entry->delivery == DK_DELIVERY_REFUSED)
        out->last_refused_seq = entry->seq;
    out->last_seq = entry->seq;
    count_time_stamps(1, entry->time_stamped ? 1 : 0, entry->seq, out);
}

enum dk_err dk_journal_count(struct dk_journal *journal, struct dk_journal_counts *out, struct dk_fault *fault)
{
    __attribute__((cleanup(marks_free))) struct marks marks = {0};
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    struct dk_fault own = {0};
    enum dk_err err = dk_journal_walk(journal, mark, &marks, &own);

    *out = (struct dk_journal_counts){0};
    if (err == DK_OK)
        for (size_t i = 0; i < marks.words; i++)
            count_word(&marks, i, out);
    if (err == DK_ERR_DATA) {
        err = dk_journal_list(journal, &entries, &count, &own);
        for (size_t i = 0; err == DK_OK && i < count; i++)
            count_entry(&entries[i], out);
        free(entries);
    }
    return err == DK_OK ? DK_OK : dk_fail(fault, err, own.where, own.todo, "%s", own.what);
}

int64_t dk_journal_time_stamps_waiting(const struct dk_journal_counts *counts, enum dk_each each)
{
    if (each == DK_EACH_DAY)
        return counts->after_time_stamp;
    return counts->time_stamped > 0 ? counts->without_time_stamp : counts->last_seq > 0;
}
