// SPDX-License-Identifier: Apache-2.0
//
// A private key that stays in a token (PKCS#11): a smart card, a USB key, a security module. libp11 makes a key of
// OpenSSL of it; libp11 and the token's module are loaded when such a key is opened, and not before.
#pragma once

#include "agent/base/error.h"
#include "agent/record/key.h"

#include <stdbool.h>

// False when dokiem was built without PKCS#11 (-Dpkcs11=disabled).
bool dk_token_built_in(void);

// Opens the key that `uri` names (agent/base/pkcs11_uri.h): loads the module, logs in once, and has something signed,
// so that what is wrong comes to light before anything is measured. The URI must fit one token and one key. A token
// whose PIN has one try left is left alone, so that dokiem does not lock it. Nothing asks for a PIN on a terminal.
// Errors: CONFIG (the URI, the module, libp11; no PIN where one is needed; more than one token or key fits), NO_INPUT
// (no such token, key or PIN file), PERMISSION (the PIN is refused or locked, or others may read its file), DATA (not
// an ECDSA P-256 key), IO (the token fails), MEMORY.
enum dk_err dk_token_open(const char *uri, struct dk_key **out, struct dk_fault *fault);
