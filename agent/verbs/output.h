// SPDX-License-Identifier: Apache-2.0
//
// Where a page for people goes.
#pragma once

#include "agent/base/error.h"
#include "agent/report/markup.h"

// Writes a finished page to `path`, or on stdout when that is NULL, and frees it. A file is written at once, so that no
// half of it is ever there, with the rights that any new file has; what was there is replaced.
// Errors: page->err; USAGE (the path is too long); as dk_file_write.
enum dk_err dk_output_page(struct dk_markup *page, const char *path, struct dk_fault *fault);
