// SPDX-License-Identifier: Apache-2.0
//
// Signing keys: ECDSA P-256. A key is named by its RFC 7638 thumbprint (`kid`).
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_SIGNATURE_SIZE = 64, DK_SIGNATURE_DER_MAX = 128 };

struct dk_key; // private or public

// A fresh private key. Errors: INTERNAL.
enum dk_err dk_key_generate(struct dk_key **out, struct dk_fault *fault);

// Reads a private key (PKCS#8 PEM). A file that others than its owner may read or write is refused (PERMISSION).
// Errors: NO_INPUT, PERMISSION, DATA (not an ECDSA P-256 key), IO.
enum dk_err dk_key_read_private(const char *path, struct dk_key **out, struct dk_fault *fault);

// Writes the private key as directory/name, mode 0600, durable. Errors: as dk_file_write with DK_WRITE_NEW.
enum dk_err dk_key_write_private(const struct dk_key *key, const char *directory, const char *name,
                                 struct dk_fault *fault);

// The same, in the place of an older file, in one step.
enum dk_err dk_key_replace_private(const struct dk_key *key, const char *directory, const char *name,
                                   struct dk_fault *fault);

// A private key that is elsewhere: in a token (agent/record/token.h), in a process of its own (agent/record/signer.h),
// or both. `sign` does what dk_key_sign does, with the same errors and its own; it is called as often as something is
// to be signed, and must not ask anybody.
struct dk_key_keeper {
    void *self; // owned
    enum dk_err (*sign)(void *self, const void *data, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                        struct dk_fault *fault);
    void (*free)(void *self);
};

// From now on `keeper`, which it takes over, signs for this public key. Its signatures are not verified: dk_seal does.
void dk_key_keep_elsewhere(struct dk_key *key, const struct dk_key_keeper *keeper);

// True for such a key: its private part cannot be written to a file from here.
bool dk_key_is_elsewhere(const struct dk_key *key);

// The signature in the form of dk_key_sign from the DER that OpenSSL makes (SEC 1, section C.5), for keepers.
// Errors: INTERNAL (it is none of P-256).
enum dk_err dk_signature_from_der(const uint8_t *der, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                                  struct dk_fault *fault);

// Reads a public key from text: a JWK (RFC 7517; members kty EC, crv P-256, x, y; a private `d` is refused, others
// are ignored) or a PEM "PUBLIC KEY". `name` is used in faults. Errors: DATA, MEMORY.
enum dk_err dk_key_read_public(const char *name, const char *text, size_t len, struct dk_key **out,
                               struct dk_fault *fault);

// Appends the public key as a JWK: {"crv":"P-256","kty":"EC","x":…,"y":…}, the form the thumbprint is made of.
enum dk_err dk_key_public_jwk(const struct dk_key *key, struct dk_buf *out);

// RFC 7638 thumbprint, base64url SHA-256; borrowed from the key.
const char *dk_key_id(const struct dk_key *key);

// Signs `len` bytes: r and s, 32 bytes each, big-endian (RFC 7518 section 3.4), s the lower of the two that verify.
// Errors: INTERNAL (also for a public key), MEMORY; those of the key's keeper.
enum dk_err dk_key_sign(const struct dk_key *key, const void *data, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                        struct dk_fault *fault);

// DK_OK when `signature` is the key's over the `len` bytes and its s is not above n/2. Errors: DATA, MEMORY.
enum dk_err dk_key_verify(const struct dk_key *key, const void *data, size_t len,
                          const uint8_t signature[static DK_SIGNATURE_SIZE], struct dk_fault *fault);

void dk_key_free(struct dk_key *key);
DK_DEFINE_FREE(key, struct dk_key, dk_key_free)
