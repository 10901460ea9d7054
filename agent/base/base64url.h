// SPDX-License-Identifier: Apache-2.0
//
// base64url without padding (RFC 4648 section 5, as RFC 7515 section 2 uses it), read strictly: one text for one
// byte string, so that no bit of a signed text can change unseen.
#pragma once

#include "agent/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Characters that `len` bytes encode to.
#define DK_BASE64URL_LEN(len) (((len)*4 + 2) / 3)

// Appends the encoding of `len` bytes to `out`. Errors as dk_buf_append.
enum dk_err dk_base64url_encode(const void *data, size_t len, struct dk_buf *out);

// Appends the bytes that `len` characters of `text` encode. DK_ERR_DATA on a character outside the alphabet, on
// padding, white space, an impossible length or unused bits that are not zero; `out` may then hold a part.
enum dk_err dk_base64url_decode(const char *text, size_t len, struct dk_buf *out);

// Decodes into exactly `size` bytes; false when the text is not the encoding of that many bytes.
bool dk_base64url_decode_exact(const char *text, size_t len, void *out, size_t size);
