// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/disk.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHANGES_MAX = 4000,
    NODES_MAX = 200,
    ENTRIES_MAX = 200,
    NAME_SIZE = 120,
    PENDING_MAX = 7,
    FILE_MAX_BYTES = 1 << 20,
    DATA_MAX_BYTES = 16 << 20
};

enum kind { CREATE, LINK, UNLINK, RENAME, WRITE, TRUNCATE, SYNC };

struct change {
    enum kind kind;
    int folder; // node that an entry changes in; -1 for WRITE, TRUNCATE and SYNC
    int node;   // that the entry leads to, or that is written or synced
    char name[NAME_SIZE], to[NAME_SIZE];
    size_t at, len; // in the file
    size_t data;    // in the log's data
};

struct node {
    struct statx status; // statx(): a call that is not wrapped
    bool folder;
};

// What is found after a cut: an entry of a folder.
struct entry {
    int folder, node;
    char name[NAME_SIZE];
};

struct tree {
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

// How the data that was not synced is found. From FATES on: each write has one of its own.
enum fate { KEPT, DROPPED, TORN, ZEROED, FATES };

// In memory that child processes share.
static struct log {
    struct change changes[CHANGES_MAX];
    struct node nodes[NODES_MAX];
    char data[DATA_MAX_BYTES];
    size_t change_count, data_bytes;
    int node_count;
    unsigned mixes;
    bool noting;
} *noted;
// Of the cut that is being built: the changes that were synced before it.
static bool safe[CHANGES_MAX];

static void give_up(const char *what)
{
    fprintf(stderr, "disk: %s\n", what);
    abort();
}

static bool look(int folder, const char *path, struct statx *out)
{
    return statx(folder, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, out) == 0;
}

static int add_node(const struct statx *status)
{
    if (noted->node_count == NODES_MAX)
        give_up("too many files");
    noted->nodes[noted->node_count] = (struct node){*status, S_ISDIR(status->stx_mode)};
    return noted->node_count++;
}

// The node of a file; -1 when it is none of ours. An inode number may come again after its file is gone: the last one
// counts.
static int find_node(int folder, const char *path)
{
    struct statx status;

    if (!look(folder, path, &status))
        return -1;
    for (int i = noted->node_count - 1; i >= 0; i--) {
        const struct statx *known = &noted->nodes[i].status;

        if (known->stx_ino == status.stx_ino && known->stx_dev_major == status.stx_dev_major &&
            known->stx_dev_minor == status.stx_dev_minor)
            return i;
    }
    return -1;
}

static bool is_noting(void)
{
    return noted != NULL && noted->noting;
}

static struct change *note(enum kind kind, int folder, int node, const char *name, const char *to)
{
    if (noted->change_count == CHANGES_MAX)
        give_up("too many changes");

    struct change *change = &noted->changes[noted->change_count++];

    *change = (struct change){.kind = kind, .folder = folder, .node = node};
    if (snprintf(change->name, NAME_SIZE, "%s", name) >= NAME_SIZE ||
        snprintf(change->to, NAME_SIZE, "%s", to) >= NAME_SIZE)
        give_up("a name is too long");
    return change;
}

void disk_start(const char *root, unsigned mixes)
{
    struct statx status;

    if (noted == NULL)
        noted = mmap(NULL, sizeof *noted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (noted == MAP_FAILED || !look(AT_FDCWD, root, &status))
        give_up("no root");
    noted->change_count = noted->data_bytes = 0;
    noted->node_count = 0;
    noted->mixes = mixes;
    add_node(&status);
    noted->noting = true;
}

void disk_stop(void)
{
    if (noted != NULL)
        noted->noting = false;
}

void disk_go_on(void)
{
    noted->noting = true;
}

size_t disk_changes(void)
{
    return noted != NULL ? noted->change_count : 0;
}

void disk_create(int folder, const char *name, int fd)
{
    struct statx status;

    if (is_noting() && find_node(folder, "") >= 0 && look(fd, "", &status))
        note(CREATE, find_node(folder, ""), add_node(&status), name, "");
}

void disk_mkdir(const char *path)
{
    char copy[PATH_MAX], parent[PATH_MAX];
    struct statx status;

    snprintf(copy, sizeof copy, "%s", path);
    snprintf(parent, sizeof parent, "%s", path);

    int folder = is_noting() ? find_node(AT_FDCWD, dirname(parent)) : -1;

    if (folder >= 0 && look(AT_FDCWD, path, &status))
        note(CREATE, folder, add_node(&status), basename(copy), "");
}

void disk_write(int fd, off_t at, const void *data, size_t len)
{
    int node = is_noting() ? find_node(fd, "") : -1;

    if (node < 0)
        return;
    if (noted->data_bytes + len > DATA_MAX_BYTES)
        give_up("too much data");

    struct change *change = note(WRITE, -1, node, "", "");

    memcpy(noted->data + noted->data_bytes, data, len);
    change->data = noted->data_bytes;
    change->at = (size_t)at;
    change->len = len;
    noted->data_bytes += len;
}

void disk_truncate(int fd, off_t len)
{
    int node = is_noting() ? find_node(fd, "") : -1;

    if (node >= 0)
        note(TRUNCATE, -1, node, "", "")->at = (size_t)len;
}

void disk_sync(int fd)
{
    int node = is_noting() ? find_node(fd, "") : -1;

    if (node >= 0)
        note(SYNC, -1, node, "", "");
}

void disk_rename(int folder, const char *from, const char *to)
{
    if (is_noting() && find_node(folder, "") >= 0)
        note(RENAME, find_node(folder, ""), find_node(folder, to), from, to);
}

void disk_link(int folder, const char *from, const char *to)
{
    (void)from;
    if (is_noting() && find_node(folder, "") >= 0)
        note(LINK, find_node(folder, ""), find_node(folder, to), to, "");
}

void disk_unlink(int folder, const char *name)
{
    if (is_noting() && find_node(folder, "") >= 0)
        note(UNLINK, find_node(folder, ""), -1, name, "");
}

static void remove_entry(struct tree *tree, int folder, const char *name)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->entries[i].folder == folder && strcmp(tree->entries[i].name, name) == 0) {
            tree->entries[i] = tree->entries[--tree->count];
            return;
        }
}

static void set_entry(struct tree *tree, int folder, const char *name, int node)
{
    remove_entry(tree, folder, name);
    if (tree->count == ENTRIES_MAX)
        give_up("too many entries");
    tree->entries[tree->count] = (struct entry){.folder = folder, .node = node};
    snprintf(tree->entries[tree->count++].name, NAME_SIZE, "%s", name);
}

static void apply(struct tree *tree, const struct change *change)
{
    if (change->kind == CREATE || change->kind == LINK)
        set_entry(tree, change->folder, change->name, change->node);
    else
        remove_entry(tree, change->folder, change->name);
    if (change->kind == RENAME)
        set_entry(tree, change->folder, change->to, change->node);
}

// Finds which changes are safe by the time of `end`: their file or folder was synced in between.
static void find_safe(size_t end)
{
    static bool synced[NODES_MAX];

    memset(synced, 0, sizeof synced);
    for (size_t i = end; i-- > 0;) {
        const struct change *change = &noted->changes[i];

        if (change->kind == SYNC)
            synced[change->node] = true;
        safe[i] = synced[change->kind <= RENAME ? change->folder : change->node];
    }
}

// The fate of change `i`. Any two of them are as independent as a hash is.
static enum fate fate_of(size_t i, unsigned fate)
{
    uint64_t mixed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ fate * UINT64_C(0xbf58476d1ce4e5b9);

    if (safe[i])
        return KEPT;
    mixed = (mixed ^ mixed >> 29) * UINT64_C(0x94d049bb133111eb);
    return fate < FATES ? (enum fate)fate : (enum fate)(mixed >> 40) % FATES;
}

// The data of `node` as it is found.
static size_t contents(int node, size_t end, unsigned fate, char out[static FILE_MAX_BYTES])
{
    size_t len = 0;

    for (size_t i = 0; i < end; i++) {
        const struct change *change = &noted->changes[i];
        enum fate own = fate_of(i, fate);
        size_t part = own == TORN ? change->len / 2 : change->len, after = change->at + part;

        if (change->node != node || own == DROPPED || (change->kind != WRITE && change->kind != TRUNCATE))
            continue;
        if (after > FILE_MAX_BYTES)
            give_up("a file is too long");
        if (after > len)
            memset(out + len, 0, after - len);
        if (change->kind == TRUNCATE || after > len)
            len = after;
        if (own == ZEROED)
            memset(out + change->at, 0, part);
        else if (part > 0)
            memcpy(out + change->at, noted->data + change->data, part);
    }
    return len;
}

static void build(const struct tree *tree, int folder, const char *path, size_t end, unsigned fate)
{
    static char data[FILE_MAX_BYTES];

    for (size_t i = 0; i < tree->count; i++) {
        const struct entry *entry = &tree->entries[i];
        char child[PATH_MAX + NAME_SIZE + 1];

        if (entry->folder != folder)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->name);
        if (noted->nodes[entry->node].folder) {
            if (mkdir(child, 0700) != 0)
                give_up("a folder cannot be made");
            build(tree, entry->node, child, end, fate);
            continue;
        }

        size_t len = contents(entry->node, end, fate, data);
        int fd = openat(AT_FDCWD, child, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || write(fd, data, len) != (ssize_t)len)
            give_up("a file cannot be written");
        close(fd);
    }
}

bool disk_cut(size_t end, unsigned choice, const char *to)
{
    static struct tree tree;
    unsigned pending = 0, bits, seen = 0;
    bool torn = false;

    find_safe(end);
    for (size_t i = 0; i < end; i++) {
        enum kind kind = noted->changes[i].kind;

        torn = torn || ((kind == WRITE || kind == TRUNCATE) && !safe[i]);
        pending += kind <= RENAME && !safe[i];
    }
    // Of many entries the last ones are tried in all combinations, and those before are there.
    bits = pending < PENDING_MAX ? pending : PENDING_MAX;
    if (choice >= (1U << bits) * (torn ? FATES + noted->mixes : 1U))
        return false;
    tree.count = 0;
    for (size_t i = 0; i < end; i++) {
        if (noted->changes[i].kind > RENAME)
            continue;

        bool kept = true;

        if (!safe[i]) {
            unsigned back = pending - seen++;

            kept = back > bits || (choice >> (back - 1) & 1) == 0;
        }
        if (kept)
            apply(&tree, &noted->changes[i]);
    }
    build(&tree, 0, to, end, choice >> bits);
    return true;
}
