// SPDX-License-Identifier: Apache-2.0
//
// The file that a page for people is written to.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

// Writes a page to `path` at once, so that no half of it is ever there, with the rights that any new file has. What was
// there is replaced. Errors: USAGE (the path is too long); as dk_file_write.
enum dk_err dk_output_write(const char *path, const struct dk_buf *page, struct dk_fault *fault);
