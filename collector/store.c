// SPDX-License-Identifier: Apache-2.0
#include "collector/store.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"

#define MAGIC              "1145785165" // application_id, "DKcM"
#define VERSION            3
#define MILLISECONDS(wall) ((wall).ns / DK_NS_PER_MS)

static const char schema[] =
    "PRAGMA application_id=" MAGIC ";"
    "CREATE TABLE devices("
    " id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK(state IN ('pending','approved','revoked')),"
    " jwk TEXT NOT NULL, site_code TEXT NOT NULL, site_name TEXT NOT NULL, enrolled_ms INTEGER NOT NULL) "
    "STRICT;"
    "CREATE TABLE tokens("
    " sha256 TEXT PRIMARY KEY, made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, approves INTEGER NOT "
    "NULL,"
    " used_by TEXT NOT NULL DEFAULT '', used_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE records("
    " device TEXT NOT NULL REFERENCES devices(id), seq INTEGER NOT NULL, id TEXT NOT NULL, sha256 TEXT NOT "
    "NULL,"
    " prev TEXT NOT NULL, received_ms INTEGER NOT NULL, jws TEXT NOT NULL, receipt TEXT NOT NULL,"
    " UNIQUE(device, seq)) STRICT;"
    "CREATE TABLE forks("
    " device TEXT NOT NULL, seq INTEGER NOT NULL, other TEXT NOT NULL, kept_seq INTEGER NOT NULL,"
    " kept TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, times INTEGER NOT NULL,"
    " PRIMARY KEY(device, seq, other, kept_seq)) STRICT;"
    "CREATE TABLE checks(one INTEGER PRIMARY KEY CHECK(one = 1), at_ms INTEGER NOT NULL) STRICT;";

// What version 2 added: records that devices say they dropped.
static const char dropped_schema[] =
    "CREATE TABLE IF NOT EXISTS dropped("
    " device TEXT NOT NULL REFERENCES devices(id), seq INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
    " last_seq INTEGER NOT NULL, PRIMARY KEY(device, seq)) STRICT;"
    "PRAGMA user_version=2;";

// What version 3 added: several keys of a device, revocation, successors, forks as a whole.
static const char version_3[] =
    "ALTER TABLE devices ADD COLUMN revoked_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE devices ADD COLUMN replaces TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE forks ADD COLUMN jws TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE keys("
    " id TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES devices(id), jwk TEXT NOT NULL,"
    " from_seq INTEGER NOT NULL, until_seq INTEGER NOT NULL) STRICT;"
    "CREATE INDEX keys_device ON keys(device);"
    "INSERT INTO keys SELECT id, id, jwk, 1, 0 FROM devices;"
    "PRAGMA user_version=3;";

#define STATEMENTS(X)                                                                                        \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                              \
    X(COMMIT, "COMMIT")                                                                                      \
    X(ROLLBACK, "ROLLBACK")                                                                                  \
    X(CHECK, "INSERT INTO checks VALUES(1, ?1) ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms")            \
    X(DEVICE, "SELECT id, state, jwk, site_code, site_name, enrolled_ms, revoked_ms, replaces"               \
              " FROM devices WHERE id = ?1")                                                                 \
    X(NEXT_DEVICE, "SELECT id FROM devices WHERE id > ?1 ORDER BY id LIMIT 1")                               \
    X(PUT_DEVICE, "INSERT INTO devices VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET"     \
                  " state = excluded.state, site_code = excluded.site_code, site_name = excluded.site_name," \
                  " revoked_ms = excluded.revoked_ms, replaces = excluded.replaces")                         \
    X(FIRST_KEY, "INSERT INTO keys VALUES(?1, ?1, ?2, 1, 0) ON CONFLICT DO NOTHING")                         \
    X(KEY, "SELECT id, device, jwk, from_seq, until_seq FROM keys WHERE id = ?1")                            \
    X(ADD_KEY, "INSERT INTO keys VALUES(?1, ?2, ?3, ?4, 0)")                                                 \
    X(END_KEY, "UPDATE keys SET until_seq = ?2 WHERE id = ?1")                                               \
    X(KEYS, "SELECT d.id, d.state, d.jwk, d.site_code, d.site_name, d.enrolled_ms, d.revoked_ms, d.replaces,"\
            " k.id, k.device, k.jwk, k.from_seq, k.until_seq"                                                \
            " FROM keys k JOIN devices d ON d.id = k.device ORDER BY d.enrolled_ms, d.id, k.from_seq")       \
    X(DEVICES, "SELECT d.id, d.state, d.jwk, d.site_code, d.site_name, d.enrolled_ms, d.revoked_ms,"         \
               " d.replaces, count(r.seq), coalesce(max(r.seq), 0),"                                         \
               " (SELECT count(*) FROM forks f WHERE f.device = d.id),"                                      \
               " (SELECT coalesce(sum(g.last_seq - g.first_seq + 1 - (SELECT count(*) FROM records k"        \
               " WHERE k.device = d.id AND k.seq BETWEEN g.first_seq AND g.last_seq)), 0)"                   \
               " FROM dropped g WHERE g.device = d.id)"                                                      \
               " FROM devices d LEFT JOIN records r ON r.device = d.id GROUP BY d.id"                        \
               " ORDER BY d.enrolled_ms, d.id")                                                              \
    X(ADD_TOKEN, "INSERT INTO tokens(sha256, made_ms, expires_ms, approves) VALUES(?1, ?2, ?3, ?4)")         \
    X(TOKEN, "SELECT sha256, expires_ms, approves, used_by FROM tokens WHERE sha256 = ?1")                   \
    X(USE_TOKEN, "UPDATE tokens SET used_by = ?2, used_ms = ?3 WHERE sha256 = ?1")                           \
    X(NEIGHBOURS,                                                                                            \
      "SELECT seq, sha256, prev FROM records WHERE device = ?1 AND seq BETWEEN ?2 - 1 AND ?2 + 1")           \
    X(LAST, "SELECT coalesce(max(seq), 0) FROM records WHERE device = ?1")                                   \
    X(ADD_RECORD, "INSERT INTO records VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                              \
    X(ADD_DROPPED, "INSERT INTO dropped VALUES(?1, ?2, ?3, ?4)")                                             \
    X(RECEIPT, "SELECT receipt FROM records WHERE device = ?1 AND seq = ?2")                                 \
    X(NEXT, "SELECT seq, jws FROM records WHERE device = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1")             \
    X(FORKS, "SELECT device, seq, other, kept_seq, kept, jws FROM forks WHERE device = ?1 AND jws <> ''"     \
             " ORDER BY seq, other")                                                                         \
    X(CLONED, "SELECT count(*) FROM devices d WHERE d.state = 'approved'"                                    \
              " AND EXISTS(SELECT 1 FROM forks f WHERE f.device = d.id)")                                    \
    X(ROWS, "SELECT rowid, device, seq, id, sha256, prev, received_ms, jws, receipt FROM records"            \
            " WHERE rowid > ?1 AND received_ms >= ?2 AND received_ms < ?3 AND (?4 = '' OR device = ?4)"      \
            " ORDER BY rowid")                                                                               \
    X(INTEGRITY, "PRAGMA integrity_check(1)")                                                                \
    X(ADD_FORK, "INSERT INTO forks SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, 1, CASE WHEN"                          \
                " (SELECT count(*) FROM forks WHERE device = ?1 AND jws <> '') < 16 THEN ?7 ELSE '' END"     \
                " WHERE (SELECT count(*) FROM forks WHERE device = ?1) < 1000"                               \
                " ON CONFLICT DO UPDATE SET last_ms = excluded.last_ms, times = times + 1")

enum statement {
#define X(name, sql) STATEMENT_##name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT,
};

struct dk_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

static enum dk_err fail_store(struct dk_store *store, struct dk_fault *fault)
{
    int code = sqlite3_errcode(store->db) & 0xff;
    const char *text = sqlite3_errmsg(store->db);

    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return dk_fail(fault, DK_ERR_NOT_NOW, "store", "try again", "is busy: %s", text);
    case SQLITE_NOMEM:
        return dk_fail(fault, DK_ERR_MEMORY, "store", NULL, "%s", text);
    case SQLITE_NOTADB:
        return dk_fail(fault, DK_ERR_DATA, "store", "name another file", "%s", text);
    case SQLITE_FULL:
        return dk_fail(fault, DK_ERR_IO, "store", "free some space; nothing that was kept is lost", "%s",
                       text);
    default:
        return dk_fail(fault, DK_ERR_IO, "store", "check the folder's owner, mode and free space", "%s",
                       text);
    }
}

// Binds what follows `types` one by one: 't' text, 'i' int64_t, 'b' text and its length (size_t).
static sqlite3_stmt *prepare(struct dk_store *store, enum statement which, const char *types,
                             va_list arguments)
{
    sqlite3_stmt *statement = store->statements[which];

    for (int i = 1; types[i - 1] != '\0'; i++) {
        const char *text;
        int code;

        switch (types[i - 1]) {
        case 'i':
            code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
            break;
        case 'b':
            text = va_arg(arguments, const char *);
            code = sqlite3_bind_text64(statement, i, text, va_arg(arguments, size_t), SQLITE_STATIC,
                                       SQLITE_UTF8);
            break;
        default:
            code = sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1, SQLITE_STATIC);
            break;
        }
        if (code != SQLITE_OK)
            return NULL;
    }
    return statement;
}

static void finish(sqlite3_stmt **statement)
{
    if (*statement != NULL) {
        (void)sqlite3_reset(*statement);
        (void)sqlite3_clear_bindings(*statement);
    }
}
#define auto_finish __attribute__((cleanup(finish)))

static enum dk_err execute(struct dk_store *store, struct dk_fault *fault, enum statement which,
                           const char *types, ...)
{
    va_list arguments;

    va_start(arguments, types);

    auto_finish sqlite3_stmt *statement = prepare(store, which, types, arguments);

    va_end(arguments);
    return statement != NULL && sqlite3_step(statement) == SQLITE_DONE ? DK_OK : fail_store(store, fault);
}

// The first row in *row, to be ended with finish(). Errors: NO_INPUT when there is none.
static enum dk_err query(struct dk_store *store, struct dk_fault *fault, sqlite3_stmt **row,
                         enum statement which, const char *types, ...)
{
    va_list arguments;

    va_start(arguments, types);
    *row = prepare(store, which, types, arguments);
    va_end(arguments);

    int code = *row == NULL ? SQLITE_ERROR : sqlite3_step(*row);

    if (code == SQLITE_ROW)
        return DK_OK;
    return code == SQLITE_DONE ? DK_ERR_NO_INPUT : fail_store(store, fault);
}

// The row after it. Errors: NO_INPUT when there is none.
static enum dk_err next_row(struct dk_store *store, sqlite3_stmt *row, struct dk_fault *fault)
{
    int code = sqlite3_step(row);

    if (code == SQLITE_ROW)
        return DK_OK;
    return code == SQLITE_DONE ? DK_ERR_NO_INPUT : fail_store(store, fault);
}

static void copy_text(sqlite3_stmt *row, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(row, column);

    snprintf(out, size, "%s", text != NULL ? (const char *)text : "");
}

static struct dk_wall column_wall(sqlite3_stmt *row, int column)
{
    return (struct dk_wall){sqlite3_column_int64(row, column) * DK_NS_PER_MS};
}

static bool pragma_number(struct dk_store *store, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement = NULL;
    bool found = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW;

    if (found)
        *out = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return found;
}

static enum dk_err make_schema(struct dk_store *store, const char *path, struct dk_fault *fault)
{
    int64_t tables = 0, magic = 0, version = 0;

    // The lock keeps two programs that start at once from both making the tables.
    if (sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        !pragma_number(store, "SELECT count(*) FROM sqlite_schema", &tables) ||
        !pragma_number(store, "PRAGMA application_id", &magic) ||
        !pragma_number(store, "PRAGMA user_version", &version))
        return fail_store(store, fault);
    if (tables == 0 && sqlite3_exec(store->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return fail_store(store, fault);
    if (tables > 0 && magic != strtoll(MAGIC, NULL, 10))
        return dk_fail(fault, DK_ERR_DATA, path, "name another file", "is a database, but not a collector's");
    if (tables == 0)
        version = 1;
    if (version > VERSION)
        return dk_fail(fault, DK_ERR_DATA, path, "use the newer dokiem-collector",
                       "was made by a newer version (%lld, this one reads %d)", (long long)version, VERSION);
    if (version < 2 && sqlite3_exec(store->db, dropped_schema, NULL, NULL, NULL) != SQLITE_OK)
        return fail_store(store, fault);
    if (version < 3 && sqlite3_exec(store->db, version_3, NULL, NULL, NULL) != SQLITE_OK)
        return fail_store(store, fault);
    return sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? DK_OK
                                                                            : fail_store(store, fault);
}

// What is read is answered as kept. A collector that was killed may have left the last of it with the system and not on
// the disk, where SQLite does not look; and SQLite takes no notice when the folder cannot be synced. Its locks do not
// hang on these two, so they may be opened and closed.
static enum dk_err make_durable(struct dk_store *store, struct dk_fault *fault)
{
    const char *path = sqlite3_db_filename(store->db, "main");
    char folder[PATH_MAX];

    if (path == NULL || path[0] == '\0') // in memory
        return DK_OK;
    snprintf(folder, sizeof folder, "%s", path);

    char *slash = strrchr(folder, '/');

    if (slash != NULL)
        slash[slash == folder] = '\0';

    enum dk_err err = dk_file_sync(sqlite3_filename_wal(path), fault);

    return err == DK_OK || err == DK_ERR_NO_INPUT ? dk_file_sync(slash != NULL ? folder : ".", fault) : err;
}

enum dk_err dk_store_open(const char *url, struct dk_store **out, struct dk_fault *fault)
{
    static const char *const sql[] = {
#define X(name, text) text,
        STATEMENTS(X)
#undef X
    };
    static const char prefix[] = "sqlite:";

    if (strncmp(url, prefix, sizeof prefix - 1) != 0 || url[sizeof prefix - 1] == '\0')
        return dk_fail(fault, DK_ERR_USAGE, "--store", NULL, "'%s' is not a store; allowed: sqlite:PATH",
                       url);

    const char *path = url + sizeof prefix - 1;
    dk_auto(store) struct dk_store *store = calloc(1, sizeof *store);

    if (store == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, path, NULL, "out of memory");

    // The file holds places and people's devices: nobody else may read it. SQLite gives its journal the same
    // mode.
    mode_t mask = umask(0077);
    int code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(store->db, 1000);
    if (code == SQLITE_OK)
        code = sqlite3_exec(store->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    umask(mask);
    if (store->db == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, path, NULL, "out of memory");
    (void)sqlite3_extended_result_codes(store->db, 1);
    if (code != SQLITE_OK || sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_exec(store->db,
                     "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                     "PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY",
                     NULL, NULL, NULL) != SQLITE_OK)
        return fail_store(store, fault);

    enum dk_err err = make_schema(store, path, fault);

    if (err == DK_OK)
        err = make_durable(store, fault);
    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
                               NULL) != SQLITE_OK)
            return fail_store(store, fault);
    *out = store;
    store = NULL;
    return DK_OK;
}

void dk_store_free(struct dk_store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(store->statements[i]);
    (void)sqlite3_close(store->db);
    free(store);
}

enum dk_err dk_store_begin(struct dk_store *store, struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_BEGIN, "");
}

enum dk_err dk_store_commit(struct dk_store *store, struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_COMMIT, "");
}

void dk_store_rollback(struct dk_store *store)
{
    if (sqlite3_get_autocommit(store->db) == 0 && execute(store, NULL, STATEMENT_ROLLBACK, "") != DK_OK)
        return; // SQLite has rolled back by itself
}

enum dk_err dk_store_check(struct dk_store *store, struct dk_wall now, struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_CHECK, "i", MILLISECONDS(now));
}

static void copy_device(sqlite3_stmt *row, struct dk_device *out)
{
    copy_text(row, 0, out->id, sizeof out->id);
    copy_text(row, 1, out->state, sizeof out->state);
    copy_text(row, 2, out->jwk, sizeof out->jwk);
    copy_text(row, 3, out->site_code, sizeof out->site_code);
    copy_text(row, 4, out->site_name, sizeof out->site_name);
    out->enrolled = column_wall(row, 5);
    out->revoked_since = column_wall(row, 6);
    copy_text(row, 7, out->replaces, sizeof out->replaces);
}

// Of a row, from column `at` on.
static void copy_key(sqlite3_stmt *row, int at, struct dk_store_key *out)
{
    copy_text(row, at, out->id, sizeof out->id);
    copy_text(row, at + 1, out->device, sizeof out->device);
    copy_text(row, at + 2, out->jwk, sizeof out->jwk);
    out->from_seq = sqlite3_column_int64(row, at + 3);
    out->until_seq = sqlite3_column_int64(row, at + 4);
}

enum dk_err dk_store_device(struct dk_store *store, const char *id, struct dk_device *out,
                            struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_DEVICE, "t", id);

    if (err == DK_OK)
        copy_device(row, out);
    return err;
}

enum dk_err dk_store_put_device(struct dk_store *store, const struct dk_device *device,
                                struct dk_fault *fault)
{
    enum dk_err err = execute(store, fault, STATEMENT_PUT_DEVICE, "tttttiit", device->id, device->state, device->jwk,
                              device->site_code, device->site_name, MILLISECONDS(device->enrolled),
                              MILLISECONDS(device->revoked_since), device->replaces);

    return err == DK_OK ? execute(store, fault, STATEMENT_FIRST_KEY, "tt", device->id, device->jwk) : err;
}

enum dk_err dk_store_key(struct dk_store *store, const char *id, struct dk_store_key *out, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_KEY, "t", id);

    if (err == DK_OK)
        copy_key(row, 0, out);
    return err;
}

enum dk_err dk_store_add_key(struct dk_store *store, const struct dk_store_key *key, struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_ADD_KEY, "ttti", key->id, key->device, key->jwk, key->from_seq);
}

enum dk_err dk_store_end_key(struct dk_store *store, const char *id, int64_t until_seq, struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_END_KEY, "ti", id, until_seq);
}

enum dk_err dk_store_keys(struct dk_store *store, dk_store_key_callback *callback, void *argument,
                          struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_KEYS, "");

    while (err == DK_OK) {
        struct dk_store_key key = {0};
        struct dk_device device = {0};

        copy_device(row, &device);
        copy_key(row, 8, &key);
        err = callback(argument, &key, &device);
        if (err == DK_OK)
            err = next_row(store, row, fault);
    }
    return err == DK_ERR_NO_INPUT ? DK_OK : err;
}

enum dk_err dk_store_devices(struct dk_store *store, dk_store_summary_callback *callback, void *argument,
                             struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_DEVICES, "");

    while (err == DK_OK) {
        struct dk_device_summary summary = {
            .records = sqlite3_column_int64(row, 8),
            .last_seq = sqlite3_column_int64(row, 9),
            .forks = sqlite3_column_int64(row, 10),
            .dropped = sqlite3_column_int64(row, 11),
        };

        copy_device(row, &summary.device);
        summary.gaps = summary.last_seq - summary.records - summary.dropped;
        err = callback(argument, &summary);
        if (err != DK_OK)
            return dk_fail(fault, err, "devices", NULL, "%s", dk_err_text(err));

        int code = sqlite3_step(row);

        if (code == SQLITE_DONE)
            return DK_OK;
        if (code != SQLITE_ROW)
            return fail_store(store, fault);
    }
    return err == DK_ERR_NO_INPUT ? DK_OK : err;
}

enum dk_err dk_store_add_token(struct dk_store *store, const struct dk_token *token, struct dk_wall now,
                               struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_ADD_TOKEN, "tiii", token->sha256, MILLISECONDS(now),
                   MILLISECONDS(token->expires), (int64_t)token->approves);
}

enum dk_err dk_store_token(struct dk_store *store, const char *sha256, struct dk_token *out,
                           struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_TOKEN, "t", sha256);

    if (err != DK_OK)
        return err;
    copy_text(row, 0, out->sha256, sizeof out->sha256);
    out->expires = column_wall(row, 1);
    out->approves = sqlite3_column_int64(row, 2) != 0;
    copy_text(row, 3, out->used_by, sizeof out->used_by);
    return DK_OK;
}

enum dk_err dk_store_use_token(struct dk_store *store, const char *sha256, const char *device,
                               struct dk_wall now, struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_USE_TOKEN, "tti", sha256, device, MILLISECONDS(now));
}

static enum dk_err last_seq(struct dk_store *store, const char *device, int64_t *out, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_LAST, "t", device);

    if (err == DK_OK)
        *out = sqlite3_column_int64(row, 0);
    return err;
}

enum dk_err dk_store_neighbours(struct dk_store *store, const char *device, int64_t seq,
                                struct dk_neighbours *out, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    struct dk_neighbours found = {0};
    enum dk_err err = last_seq(store, device, &found.last_seq, fault);

    if (err == DK_OK)
        err = query(store, fault, &row, STATEMENT_NEIGHBOURS, "ti", device, seq);
    while (err == DK_OK) {
        int64_t at = sqlite3_column_int64(row, 0);

        if (at == seq)
            copy_text(row, 1, found.same, sizeof found.same);
        else if (at < seq)
            copy_text(row, 1, found.before, sizeof found.before);
        else {
            found.has_after = true;
            copy_text(row, 2, found.after_prev, sizeof found.after_prev);
        }

        int code = sqlite3_step(row);

        if (code == SQLITE_DONE)
            err = DK_ERR_NO_INPUT;
        else if (code != SQLITE_ROW)
            err = fail_store(store, fault);
    }
    if (err != DK_ERR_NO_INPUT)
        return err;
    *out = found;
    return DK_OK;
}

enum dk_err dk_store_add_record(struct dk_store *store, const struct dk_store_record *record,
                                struct dk_fault *fault)
{
    enum dk_err err = execute(store, fault, STATEMENT_ADD_RECORD, "titttibt", record->device, record->seq,
                              record->id, record->sha256, record->prev, MILLISECONDS(record->received),
                              record->jws, record->jws_len, record->receipt);

    if (err != DK_OK || record->dropped_last == 0)
        return err;
    return execute(store, fault, STATEMENT_ADD_DROPPED, "tiii", record->device, record->seq,
                   record->dropped_first, record->dropped_last);
}

enum dk_err dk_store_receipt(struct dk_store *store, const char *device, int64_t seq, struct dk_buf *receipt,
                             struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_RECEIPT, "ti", device, seq);

    if (err != DK_OK)
        return err;
    return dk_buf_append(receipt, sqlite3_column_text(row, 0), (size_t)sqlite3_column_bytes(row, 0));
}

enum dk_err dk_store_next_record(struct dk_store *store, const char *device, int64_t seq, int64_t *found,
                                 struct dk_buf *jws, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_NEXT, "ti", device, seq);

    if (err == DK_OK)
        err = dk_buf_append(jws, sqlite3_column_text(row, 1), (size_t)sqlite3_column_bytes(row, 1));
    if (err == DK_OK)
        *found = sqlite3_column_int64(row, 0);
    return err;
}

enum dk_err dk_store_next_device(struct dk_store *store, const char *after, char id[static DK_SHA256_TEXT_SIZE],
                                 struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_NEXT_DEVICE, "t", after);

    if (err == DK_OK)
        snprintf(id, DK_SHA256_TEXT_SIZE, "%s", (const char *)sqlite3_column_text(row, 0));
    return err;
}

enum dk_err dk_store_add_fork(struct dk_store *store, const struct dk_fork *fork, struct dk_wall now,
                              struct dk_fault *fault)
{
    return execute(store, fault, STATEMENT_ADD_FORK, "tititib", fork->device, fork->seq, fork->other, fork->kept_seq,
                   fork->kept, MILLISECONDS(now), fork->jws, fork->jws_len);
}

enum dk_err dk_store_forks(struct dk_store *store, const char *device, dk_store_fork_callback *callback,
                           void *argument, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_FORKS, "t", device);

    while (err == DK_OK) {
        char other[DK_SHA256_TEXT_SIZE], kept[DK_SHA256_TEXT_SIZE];

        copy_text(row, 2, other, sizeof other);
        copy_text(row, 4, kept, sizeof kept);
        err = callback(argument, &(struct dk_fork){.device = device,
                                                   .seq = sqlite3_column_int64(row, 1),
                                                   .other = other,
                                                   .kept_seq = sqlite3_column_int64(row, 3),
                                                   .kept = kept,
                                                   .jws = (const char *)sqlite3_column_text(row, 5),
                                                   .jws_len = (size_t)sqlite3_column_bytes(row, 5)});
        if (err == DK_OK)
            err = next_row(store, row, fault);
    }
    return err == DK_ERR_NO_INPUT ? DK_OK : err;
}

enum dk_err dk_store_count_cloned(struct dk_store *store, int64_t *out, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err = query(store, fault, &row, STATEMENT_CLONED, "");

    if (err == DK_OK)
        *out = sqlite3_column_int64(row, 0);
    return err;
}

enum dk_err dk_store_rows(struct dk_store *store, const struct dk_store_filter *filter,
                          dk_store_row_callback *callback, void *argument, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    enum dk_err err =
        query(store, fault, &row, STATEMENT_ROWS, "iiit", filter->cursor, MILLISECONDS(filter->since),
              MILLISECONDS(filter->until), filter->device != NULL ? filter->device : "");

    while (err == DK_OK) {
        err = callback(argument, &(struct dk_store_row){.cursor = sqlite3_column_int64(row, 0),
                                                        .device = (const char *)sqlite3_column_text(row, 1),
                                                        .seq = sqlite3_column_int64(row, 2),
                                                        .id = (const char *)sqlite3_column_text(row, 3),
                                                        .sha256 = (const char *)sqlite3_column_text(row, 4),
                                                        .prev = (const char *)sqlite3_column_text(row, 5),
                                                        .received = column_wall(row, 6),
                                                        .jws = (const char *)sqlite3_column_text(row, 7),
                                                        .jws_len = (size_t)sqlite3_column_bytes(row, 7),
                                                        .receipt = (const char *)sqlite3_column_text(row, 8)});
        if (err == DK_OK)
            err = next_row(store, row, fault);
    }
    return err == DK_ERR_NO_INPUT ? DK_OK : err;
}

enum dk_err dk_store_integrity(struct dk_store *store, struct dk_fault *fault)
{
    auto_finish sqlite3_stmt *row = NULL;
    char said[256];
    enum dk_err err = query(store, fault, &row, STATEMENT_INTEGRITY, "");

    if (err != DK_OK)
        return err;
    copy_text(row, 0, said, sizeof said);
    return strcmp(said, "ok") == 0 ? DK_OK
                                   : dk_fail(fault, DK_ERR_DATA, "store", "bring back a copy; dokiem-collector export "
                                             "prints what can be read", "is damaged: %s", said);
}
