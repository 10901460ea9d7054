// SPDX-License-Identifier: Apache-2.0
//
// INI text, read strictly. iniparser reads it, but it takes a repeated key, joined lines and cut values for granted;
// so the form of every line is checked first, and what is left has one meaning only.
//
//   # comment            ; comment            (on lines of their own)
//   [section]
//   key = value          key = "text with # ; or spaces around it"
//
// Sections and keys are lower case. A text holds no double quotation mark. Tabs are read as spaces, CR LF as LF.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DK_INI_MAX_BYTES = 64 << 10,
    DK_INI_LINE_MAX = 1000,  // bytes; iniparser refuses 1024
    DK_INI_VALUE_MAX = 900,  // bytes; with a key, such a value still fits a line
    DK_INI_ENTRIES_MAX = 1024,
};

struct dk_ini_entry {
    const char *section;
    const char *key;   // NULL for the line of the section itself
    const char *value; // without quotation marks; NULL when key is
    size_t line;       // from 1
};

// Entries in the order of the file: each section's own line, then its keys. All texts are owned by it, except name.
struct dk_ini {
    const char *name;
    struct dk_ini_entry *entries;
    size_t count;
    char *text;
    struct _dictionary_ *dictionary;
};

// Reads `len` bytes (any bytes) as INI. `name`, borrowed for the life of *out, is used in faults. *out is owned by the
// caller. Errors: CONFIG (malformed, binary, empty, too long, a section or key twice), MEMORY.
enum dk_err dk_ini_read(const char *name, const char *text, size_t len, struct dk_ini **out,
                        struct dk_fault *fault);
void dk_ini_free(struct dk_ini *ini); // NULL is fine
DK_DEFINE_FREE(ini, struct dk_ini, dk_ini_free)

// True when `name` may be that of a section.
bool dk_ini_is_section(const char *name);

// Appends the file `path` to `out`, at most DK_INI_MAX_BYTES. Errors: CONFIG (missing, unreadable, too long), MEMORY.
enum dk_err dk_ini_read_file(const char *path, struct dk_buf *out, struct dk_fault *fault);

// Records DK_ERR_CONFIG with "NAME:LINE [section] key" as where, and returns it. `todo` may be NULL.
enum dk_err dk_ini_fail(const struct dk_ini *ini, const struct dk_ini_entry *entry, struct dk_fault *fault,
                        const char *todo, const char *what_format, ...) __attribute__((format(printf, 5, 6)));
