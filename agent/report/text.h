// SPDX-License-Identifier: Apache-2.0
//
// Text for people: clean, measured in the columns it takes, with dates as they write them.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/message.h"

#include <stdbool.h>
#include <stddef.h>

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
