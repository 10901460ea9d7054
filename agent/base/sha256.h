// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { DK_SHA256_SIZE = 32, DK_SHA256_TEXT_SIZE = 44, DK_SHA256_HEX_SIZE = 65 };

// SHA-256 (FIPS 180-4) of `len` bytes. DK_ERR_INTERNAL when the library refuses.
enum dk_err dk_sha256(const void *data, size_t len, uint8_t out[static DK_SHA256_SIZE]);

// The hash of `len` bytes as 43 characters of base64url and a NUL: the form used for `prev` and thumbprints.
enum dk_err dk_sha256_text(const void *data, size_t len, char out[static DK_SHA256_TEXT_SIZE]);

// The hash of `len` bytes as 64 lower-case hexadecimal digits and a NUL: the form used for files, as sha256sum does.
enum dk_err dk_sha256_hex(const void *data, size_t len, char out[static DK_SHA256_HEX_SIZE]);
