// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/disk.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHANGES_MAX = 1000, NODES_MAX = 200, ENTRIES_MAX = 200, NAME_SIZE = 120, DATA_SIZE = 4096, PENDING_MAX = 7 };

enum kind { CREATE, LINK, UNLINK, RENAME, WRITE, SYNC };

struct change {
    enum kind kind;
    int folder; // node that an entry changes in; -1 for WRITE and SYNC
    int node;   // that the entry leads to, or that is written or synced
    char name[NAME_SIZE], to[NAME_SIZE];
    char data[DATA_SIZE];
    size_t len;
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

// How the data that was not synced is found.
enum fate { KEPT, DROPPED, TORN, ZEROED, FATES };

static struct change changes[CHANGES_MAX];
static struct node nodes[NODES_MAX];
static size_t change_count;
static int node_count;
static bool noting;

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
    if (node_count == NODES_MAX)
        give_up("too many files");
    nodes[node_count] = (struct node){*status, S_ISDIR(status->stx_mode)};
    return node_count++;
}

// The node of a file; -1 when it is none of ours. An inode number may come again after its file is gone: the last one
// counts.
static int find_node(int folder, const char *path)
{
    struct statx status;

    if (!look(folder, path, &status))
        return -1;
    for (int i = node_count - 1; i >= 0; i--)
        if (nodes[i].status.stx_ino == status.stx_ino && nodes[i].status.stx_dev_major == status.stx_dev_major &&
            nodes[i].status.stx_dev_minor == status.stx_dev_minor)
            return i;
    return -1;
}

static struct change *note(enum kind kind, int folder, int node, const char *name, const char *to)
{
    if (change_count == CHANGES_MAX)
        give_up("too many changes");

    struct change *change = &changes[change_count++];

    *change = (struct change){.kind = kind, .folder = folder, .node = node};
    if (snprintf(change->name, NAME_SIZE, "%s", name) >= NAME_SIZE ||
        snprintf(change->to, NAME_SIZE, "%s", to) >= NAME_SIZE)
        give_up("a name is too long");
    return change;
}

void disk_start(const char *root)
{
    struct statx status;

    if (!look(AT_FDCWD, root, &status))
        give_up("no root");
    change_count = 0;
    node_count = 0;
    add_node(&status);
    noting = true;
}

void disk_stop(void)
{
    noting = false;
}

size_t disk_changes(void)
{
    return change_count;
}

void disk_create(int folder, const char *name, int fd)
{
    struct statx status;

    if (noting && find_node(folder, "") >= 0 && look(fd, "", &status))
        note(CREATE, find_node(folder, ""), add_node(&status), name, "");
}

void disk_mkdir(const char *path)
{
    char copy[PATH_MAX], parent[PATH_MAX];
    struct statx status;

    snprintf(copy, sizeof copy, "%s", path);
    snprintf(parent, sizeof parent, "%s", path);

    int folder = noting ? find_node(AT_FDCWD, dirname(parent)) : -1;

    if (folder >= 0 && look(AT_FDCWD, path, &status))
        note(CREATE, folder, add_node(&status), basename(copy), "");
}

void disk_write(int fd, const void *data, size_t len)
{
    int node = noting ? find_node(fd, "") : -1;

    if (node < 0)
        return;
    if (len > DATA_SIZE)
        give_up("too much data");

    struct change *change = note(WRITE, -1, node, "", "");

    memcpy(change->data, data, len);
    change->len = len;
}

void disk_sync(int fd)
{
    int node = noting ? find_node(fd, "") : -1;

    if (node >= 0)
        note(SYNC, -1, node, "", "");
}

void disk_rename(int folder, const char *from, const char *to)
{
    if (noting && find_node(folder, "") >= 0)
        note(RENAME, find_node(folder, ""), find_node(folder, to), from, to);
}

void disk_link(int folder, const char *from, const char *to)
{
    (void)from;
    if (noting && find_node(folder, "") >= 0)
        note(LINK, find_node(folder, ""), find_node(folder, to), to, "");
}

void disk_unlink(int folder, const char *name)
{
    if (noting && find_node(folder, "") >= 0)
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

// True when change `i` is safe by the time of `end`: its file or folder was synced in between.
static bool is_safe(size_t i, size_t end)
{
    int node = changes[i].kind == WRITE ? changes[i].node : changes[i].folder;

    for (size_t j = i + 1; j < end; j++)
        if (changes[j].kind == SYNC && changes[j].node == node)
            return true;
    return false;
}

// The data of `node` as it is found.
static size_t contents(int node, size_t end, enum fate fate, char out[static DATA_SIZE])
{
    size_t len = 0;

    for (size_t i = 0; i < end; i++) {
        size_t part = changes[i].len;

        if (changes[i].kind != WRITE || changes[i].node != node)
            continue;
        if (len + part > DATA_SIZE)
            give_up("a file is too long");
        memcpy(out + len, changes[i].data, part);
        if (!is_safe(i, end)) {
            if (fate == ZEROED)
                memset(out + len, 0, part);
            part = fate == DROPPED ? 0 : fate == TORN ? part / 2 : part;
        }
        len += part;
    }
    return len;
}

static void build(const struct tree *tree, int folder, const char *path, size_t end, enum fate fate)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct entry *entry = &tree->entries[i];
        char child[PATH_MAX + NAME_SIZE + 1], data[DATA_SIZE];

        if (entry->folder != folder)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->name);
        if (nodes[entry->node].folder) {
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

    for (size_t i = 0; i < end; i++) {
        torn = torn || (changes[i].kind == WRITE && !is_safe(i, end));
        pending += changes[i].kind <= RENAME && !is_safe(i, end);
    }
    // Of many entries the last ones are tried in all combinations, and those before are there.
    bits = pending < PENDING_MAX ? pending : PENDING_MAX;
    if (choice >= (1U << bits) * (torn ? FATES : 1U))
        return false;
    tree.count = 0;
    for (size_t i = 0; i < end; i++) {
        if (changes[i].kind > RENAME)
            continue;

        bool kept = true;

        if (!is_safe(i, end)) {
            unsigned back = pending - seen++;

            kept = back > bits || (choice >> (back - 1) & 1) == 0;
        }
        if (kept)
            apply(&tree, &changes[i]);
    }
    build(&tree, 0, to, end, (enum fate)(choice >> bits));
    return true;
}
