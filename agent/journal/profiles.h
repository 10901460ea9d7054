// SPDX-License-Identifier: Apache-2.0
//
// The profiles that records were judged by: STATE/profiles/SHA256.ini, each once and for ever, so that a verdict can be
// judged again when the profile has long been replaced.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"

#include <stddef.h>

// Keeps the profile whose bytes have the SHA-256 `sha256` (64 lower-case hexadecimal digits), durable when it returns
// DK_OK. Errors: INTERNAL (the hash is another), as dk_file_write.
enum dk_err dk_profile_keep(const char *state_dir, const char *sha256, const char *text, size_t len,
                            struct dk_fault *fault);

// Appends the kept profile. Errors: NO_INPUT when there is none of that SHA-256, DATA when it is damaged, or `sha256`
// is no such text; as dk_file_read.
enum dk_err dk_profile_read(const char *state_dir, const char *sha256, struct dk_buf *text, struct dk_fault *fault);
