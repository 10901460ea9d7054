// SPDX-License-Identifier: Apache-2.0
//
// The name of a key in a token: a PKCS#11 URI (RFC 7512), of which it takes what finds one private key:
//
//   pkcs11:token=dokiem;object=device?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/dokiem/pin
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DK_PKCS11_SCHEME "pkcs11:"

enum { DK_PKCS11_TEXT_SIZE = 256, DK_PKCS11_PATH_SIZE = 1024 };

// Texts are clean UTF-8; "" is not asked for.
struct dk_pkcs11_uri {
    char token[DK_PKCS11_TEXT_SIZE], manufacturer[DK_PKCS11_TEXT_SIZE]; // of the token
    char model[DK_PKCS11_TEXT_SIZE], serial[DK_PKCS11_TEXT_SIZE];
    char object[DK_PKCS11_TEXT_SIZE]; // the key's label
    uint8_t id[DK_PKCS11_TEXT_SIZE];  // the key's CKA_ID, of `id_len` bytes; 0: not asked for
    size_t id_len;
    char module_path[DK_PKCS11_PATH_SIZE]; // absolute, never ""
    char pin_path[DK_PKCS11_PATH_SIZE];    // absolute: the file that holds the PIN; "": there is none
};

// Reads a URI strictly: characters and attributes of RFC 7512 section 2.3, each attribute once. Those that could not
// be heeded are refused, and so is a PIN in the URI itself. Returns NULL, or what is wrong, to be said after "the URI"
// ("names no module-path"); it never repeats a part of the URI. *out is then not to be used.
const char *dk_pkcs11_uri_read(const char *text, struct dk_pkcs11_uri *out);
