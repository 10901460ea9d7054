// SPDX-License-Identifier: Apache-2.0
//
// Text for people: in their language, and measured in the columns it takes.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/message.h"

#include <stdbool.h>
#include <stddef.h>

// Binds the catalogue "dokiem" in `directory` (DIRECTORY/vi/LC_MESSAGES/dokiem.mo); when it is not there, that of the
// build folder that the program runs from. Without one for the
// user's language, or when dokiem was built without NLS, texts stay English. Call setlocale() first: a
// locale that the system lacks is stood in for by C.UTF-8 and LANGUAGE.
void dk_text_bind(const char *directory);

// Makes the texts Vietnamese ("vi") or English ("en"), whatever the locale; call it after dk_text_bind() and before
// the first text. False, with nothing changed, for another language, or when the catalogue is not there.
bool dk_text_use_language(const char *language);

// From now on what the system says of an error (strerror) is English: a program that signs such words calls this.
void dk_text_system_in_english(void);

// The language that the texts are in: "en", or that of the catalogue ("vi"), as an HTML `lang`.
const char *dk_text_language(void);

// Columns that clean text takes: combining marks take none, East Asian wide characters two.
size_t dk_text_columns(const char *text);

// Appends `len` bytes of text; each byte or character that dk_text_is_clean() refuses becomes '?'. With `keep_lines`
// line ends stay. Errors as dk_buf_append.
enum dk_err dk_text_clean(const char *text, size_t len, bool keep_lines, struct dk_buf *out);

// Appends clean `text`, broken at spaces so that lines stay within `columns`, later lines indented by
// `indent` spaces; the first begins at column `at`. A word that is too long stays whole. No line end after
// the last line.
enum dk_err dk_text_append_wrapped(struct dk_buf *out, const char *text, size_t at, size_t indent,
                                   size_t columns);

enum { DK_DATE_SIZE = 48 };

// Writes a date in the form of the language, in the time of Vietnam (UTC+07:00, no summer time): "20/11/2026
// 08:46:46".
void dk_local_date(struct dk_wall when, char out[static DK_DATE_SIZE]);
// The same in UTC.
void dk_utc_date(struct dk_wall when, char out[static DK_DATE_SIZE]);
