// SPDX-License-Identifier: Apache-2.0
//
// STAMP's authenticated mode, RFC 8762 sections 4.2.2 and 4.3.2: 112 bytes both ways, of which the last 16 are the
// beginning of the HMAC-SHA-256 (RFC 2104) over the first 96. Nothing is secret; nobody without the key can answer.
#pragma once

#include "agent/base/error.h"
#include "probes/stamp/packet.h"

enum { DK_STAMP_AUTHENTICATED_SIZE = 112, DK_STAMP_MAC_SIZE = 16, DK_STAMP_KEY_MIN = 16, DK_STAMP_KEY_MAX = 64 };

struct dk_stamp_key {
    uint8_t data[DK_STAMP_KEY_MAX];
    size_t len;
};

// Reads a key from a file: 32 to 128 hexadecimal digits, and perhaps a line end. Errors: DATA (anything else), and
// those of dk_file_read().
enum dk_err dk_stamp_key_read(const char *path, struct dk_stamp_key *out, struct dk_fault *fault);

// Write all 112 bytes. False when the library refuses.
bool dk_stamp_seal_request(const struct dk_stamp_request *request, const struct dk_stamp_key *key,
                           uint8_t out[static DK_STAMP_AUTHENTICATED_SIZE]);
bool dk_stamp_seal_answer(const struct dk_stamp_answer *answer, const struct dk_stamp_key *key,
                          uint8_t out[static DK_STAMP_AUTHENTICATED_SIZE]);

// Read the first 112 of `len` bytes. False, with *out untouched, when there are fewer or somebody without the key
// wrote them.
bool dk_stamp_open_request(const void *data, size_t len, const struct dk_stamp_key *key, struct dk_stamp_request *out);
bool dk_stamp_open_answer(const void *data, size_t len, const struct dk_stamp_key *key, struct dk_stamp_answer *out);

// The HMAC of the `len` bytes (at most 2048) of TLVs that follow the packet of that sequence number, RFC 8972 section
// 4.8. False when the library refuses.
bool dk_stamp_tlv_mac(uint32_t sequence, const uint8_t *tlvs, size_t len, const struct dk_stamp_key *key,
                      uint8_t out[static DK_STAMP_MAC_SIZE]);

// Compares two in a time that does not tell where they differ.
bool dk_stamp_mac_equal(const uint8_t a[static DK_STAMP_MAC_SIZE], const uint8_t b[static DK_STAMP_MAC_SIZE]);
