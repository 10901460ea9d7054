// SPDX-License-Identifier: Apache-2.0
#include "config/ini.h"

#include "agent/base/message.h"

#include "agent/base/file.h"
#include "agent/base/parse.h"

#include <iniparser/iniparser.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTION_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789-._ "
#define KEY_CHARACTERS     "abcdefghijklmnopqrstuvwxyz0123456789_"

enum { NAME_MAX_BYTES = 80 };

// The end of a long file name says more than its beginning, and section and key must fit after it.
static void write_where(const char *name, const struct dk_ini_entry *at, char out[static DK_FAULT_WHERE_SIZE])
{
    const size_t most = DK_FAULT_WHERE_SIZE - 2 * NAME_MAX_BYTES - 40;
    size_t len = strlen(name);
    const char *tail = len > most ? name + (len - most) : name;

    while (tail != name && ((unsigned char)*tail & 0xc0) == 0x80)
        tail++;

    int used = snprintf(out, DK_FAULT_WHERE_SIZE, "%s%s:%zu", tail == name ? "" : "…", tail, at->line);

    if (used > 0 && used < DK_FAULT_WHERE_SIZE && at->section != NULL)
        snprintf(out + used, DK_FAULT_WHERE_SIZE - (size_t)used, " [%s]%s%s", at->section,
                 at->key != NULL ? " " : "", at->key != NULL ? at->key : "");
}

enum dk_err dk_ini_fail(const struct dk_ini *ini, const struct dk_ini_entry *entry, struct dk_fault *fault,
                        const char *todo, const char *what_format, ...)
{
    char where[DK_FAULT_WHERE_SIZE], what[DK_FAULT_WHAT_SIZE];
    va_list arguments;

    va_start(arguments, what_format);
    vsnprintf(what, sizeof what, _(what_format), arguments);
    va_end(arguments);
    write_where(ini->name, entry, where);
    return dk_fail(fault, DK_ERR_CONFIG, where, todo, "%s", what);
}

static char *trim(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && text[len - 1] == ' ')
        text[--len] = '\0';
    while (*text == ' ')
        text++;
    return text;
}

// Keeps an entry, unless it was there before.
static enum dk_err keep(struct dk_ini *ini, const struct dk_ini_entry *entry, struct dk_fault *fault)
{
    for (size_t i = 0; i < ini->count; i++) {
        const struct dk_ini_entry *other = &ini->entries[i];

        if (strcmp(other->section, entry->section) == 0 && (other->key == NULL) == (entry->key == NULL) &&
            (entry->key == NULL || strcmp(other->key, entry->key) == 0))
            return dk_ini_fail(ini, entry, fault, "keep one of them", "appears twice; the first is on line %zu",
                               other->line);
    }
    if (ini->count == DK_INI_ENTRIES_MAX)
        return dk_ini_fail(ini, entry, fault, NULL, "too many lines; %d sections and keys are allowed",
                           DK_INI_ENTRIES_MAX);
    ini->entries[ini->count++] = *entry;
    return DK_OK;
}

bool dk_ini_is_section(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_BYTES && strspn(name, SECTION_CHARACTERS) == len && name[0] != ' ' &&
           name[len - 1] != ' ';
}

static enum dk_err scan_section(struct dk_ini *ini, char *line, struct dk_ini_entry *at, struct dk_fault *fault)
{
    size_t len = strlen(line);

    if (len < 3 || line[len - 1] != ']')
        return dk_ini_fail(ini, at, fault, "write comments on lines of their own",
                           "is not a section; allowed: [name] and nothing after it");
    line[len - 1] = '\0';

    char *name = line + 1;

    if (!dk_ini_is_section(name))
        return dk_ini_fail(ini, at, fault, NULL,
                           "is not the name of a section; allowed: lower-case letters, digits, - . _ and "
                           "spaces between, at most %d",
                           NAME_MAX_BYTES);
    at->section = name;
    return keep(ini, at, fault);
}

// iniparser would cut a bare value at # and ;, and take whatever follows a closing quotation mark for nothing.
static enum dk_err scan_value(const struct dk_ini *ini, char *value, struct dk_ini_entry *at,
                              struct dk_fault *fault)
{
    at->value = value;
    if (value[0] == '"') {
        char *end = strchr(value + 1, '"');

        if (end == NULL || end[1] != '\0')
            return dk_ini_fail(ini, at, fault, NULL,
                               "the text must end with the second \" and hold none between");
        *end = '\0';
        at->value = value + 1;
    } else if (value[0] == '\'' || strpbrk(value, "\"#;") != NULL) {
        return dk_ini_fail(ini, at, fault,
                           "put the text in double quotation marks, and comments on lines of their own",
                           "a value cannot begin with ' or hold \" # or ;");
    }
    return DK_OK;
}

static enum dk_err scan_key(struct dk_ini *ini, char *line, struct dk_ini_entry *at, struct dk_fault *fault)
{
    char *equals = strchr(line, '=');

    if (equals == NULL)
        return dk_ini_fail(ini, at, fault, NULL, "is not a comment, [section] or key = value");
    *equals = '\0';

    const char *key = trim(line);
    size_t len = strlen(key);

    if (len == 0 || len > NAME_MAX_BYTES || strspn(key, KEY_CHARACTERS) != len)
        return dk_ini_fail(ini, at, fault, NULL,
                           "is not the name of a key; allowed: lower-case letters, digits and _, at most %d",
                           NAME_MAX_BYTES);
    if (at->section == NULL)
        return dk_ini_fail(ini, at, fault, "write a line such as [server] above it",
                           "the key \"%s\" stands before any section", key);
    at->key = key;

    enum dk_err err = scan_value(ini, trim(equals + 1), at, fault);

    return err != DK_OK ? err : keep(ini, at, fault);
}

static enum dk_err scan_line(struct dk_ini *ini, char *line, size_t len, struct dk_ini_entry *at,
                             struct dk_fault *fault)
{
    if (len > DK_INI_LINE_MAX)
        return dk_ini_fail(ini, at, fault, NULL, "the line is too long: %zu bytes; %d are allowed", len,
                           DK_INI_LINE_MAX);
    if (!dk_text_is_clean(line, len))
        return dk_ini_fail(ini, at, fault, "write the file with a text editor, as UTF-8",
                           "the line is not text: it holds control characters or is not UTF-8");
    line = trim(line);
    len = strlen(line);
    // iniparser would join the next line to this one, even to a comment.
    if (len > 0 && line[len - 1] == '\\')
        return dk_ini_fail(ini, at, fault, NULL, "a line cannot end with a backslash");
    if (len == 0 || line[0] == '#' || line[0] == ';')
        return DK_OK;
    return line[0] == '[' ? scan_section(ini, line, at, fault) : scan_key(ini, line, at, fault);
}

// Checks every line and fills the entries. The text is cut up.
static enum dk_err scan(struct dk_ini *ini, size_t len, struct dk_fault *fault)
{
    char *const end = ini->text + len;
    const char *section = NULL;
    size_t number = 1;

    for (char *line = ini->text; line < end; number++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        struct dk_ini_entry at = {.section = section, .line = number};

        if (stop == NULL)
            stop = end;
        *stop = '\0';

        enum dk_err err = scan_line(ini, line, (size_t)(stop - line), &at, fault);

        if (err != DK_OK)
            return err;
        section = at.section;
        line = stop + 1;
    }
    return DK_OK;
}

static int say_nothing(const char *format, ...)
{
    (void)format;
    return 0;
}

static bool write_text(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, text, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        text += put;
        len -= (size_t)put;
    }
    return true;
}

// iniparser 4.1 reads named files only. Memory has a name below /proc; where there is no /proc, a file in /tmp serves.
static dictionary *load(const char *text, size_t len)
{
    char path[64], temporary[] = "/tmp/dokiem-ini-XXXXXX";
    dictionary *read = NULL;
    int fd = memfd_create("dokiem-ini", MFD_CLOEXEC);
    bool named = false;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || access(path, R_OK) != 0) {
        if (fd >= 0)
            close(fd);
        fd = mkstemp(temporary);
        named = fd >= 0;
        snprintf(path, sizeof path, "%s", temporary);
    }
    if (fd >= 0 && write_text(fd, text, len)) {
        iniparser_set_error_callback(say_nothing);
        read = iniparser_load(path);
    }
    if (named)
        (void)unlink(path);
    if (fd >= 0)
        close(fd);
    return read;
}

// Takes the values that iniparser read; they must be the ones that were scanned.
static enum dk_err take_values(struct dk_ini *ini, struct dk_fault *fault)
{
    bool same = ini->dictionary != NULL && (size_t)ini->dictionary->n == ini->count;

    for (size_t i = 0; same && i < ini->count; i++) {
        struct dk_ini_entry *entry = &ini->entries[i];
        char name[2 * NAME_MAX_BYTES + 2];

        if (entry->key == NULL)
            continue;
        snprintf(name, sizeof name, "%s:%s", entry->section, entry->key);

        const char *value = iniparser_getstring(ini->dictionary, name, NULL);

        if (value == NULL || strcmp(value, entry->value) != 0)
            return dk_ini_fail(ini, entry, fault, "put the value in double quotation marks",
                               "iniparser reads it otherwise");
        entry->value = value;
    }
    return same ? DK_OK : dk_fail(fault, DK_ERR_CONFIG, ini->name, NULL, "iniparser cannot read it");
}

enum dk_err dk_ini_read(const char *name, const char *text, size_t len, struct dk_ini **out,
                        struct dk_fault *fault)
{
    dk_auto(ini) struct dk_ini *ini = calloc(1, sizeof *ini);
    dk_auto_buf struct dk_buf plain = dk_buf_make(DK_INI_MAX_BYTES);

    if (len > DK_INI_MAX_BYTES)
        return dk_fail(fault, DK_ERR_CONFIG, name, NULL, "is longer than the %d bytes allowed here",
                       DK_INI_MAX_BYTES);
    if (ini == NULL || dk_buf_append(&plain, text, len) != DK_OK ||
        (ini->entries = calloc(DK_INI_ENTRIES_MAX, sizeof ini->entries[0])) == NULL ||
        (ini->text = malloc(len + 1)) == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, name, NULL, "out of memory");
    ini->name = name;

    bool blank = true;

    for (size_t i = 0; i < len; i++) {
        if (plain.data[i] == '\t' || (plain.data[i] == '\r' && i + 1 < len && plain.data[i + 1] == '\n'))
            plain.data[i] = ' ';
        blank = blank && (plain.data[i] == ' ' || plain.data[i] == '\n');
    }
    if (blank)
        return dk_fail(fault, DK_ERR_CONFIG, name, "restore it, or remove it", "is empty");
    memcpy(ini->text, plain.data, len);
    ini->text[len] = '\0';

    enum dk_err err = scan(ini, len, fault);

    if (err != DK_OK)
        return err;
    ini->dictionary = load(plain.data, len);
    err = take_values(ini, fault);
    if (err != DK_OK)
        return err;
    *out = ini;
    ini = NULL;
    return DK_OK;
}

void dk_ini_free(struct dk_ini *ini)
{
    if (ini == NULL)
        return;
    if (ini->dictionary != NULL)
        iniparser_freedict(ini->dictionary);
    free(ini->text);
    free(ini->entries);
    free(ini);
}

enum dk_err dk_ini_read_file(const char *path, struct dk_buf *out, struct dk_fault *fault)
{
    struct dk_fault cause = {0};
    enum dk_err err = dk_file_read(path, out, &cause);

    if (err == DK_OK)
        return DK_OK;
    return dk_fail(fault, err == DK_ERR_MEMORY ? err : DK_ERR_CONFIG, cause.where,
                   cause.todo[0] != '\0' ? cause.todo : "name a file that can be read", "%s", cause.what);
}
