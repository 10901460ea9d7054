// SPDX-License-Identifier: Apache-2.0
//
// A reference server's word: what it saw of a run, signed by it (docs/methodology.md, "The server's word").
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/network.h"
#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DK_WORD_SCHEMA "dokiem.word/1"

// What the server saw of one direction, by its own clock and its own TCP.
struct dk_word_direction {
    bool seen;                    // payload moved
    struct dk_wall start;         // the first request
    int64_t duration_ns;          // from it to the last payload
    int64_t rtt_ns;               // the longest that TCP had at the end of a stream
    size_t streams;               // 1 … DK_STREAMS_MAX
    int64_t bytes[DK_STREAMS_MAX]; // payload by stream: acknowledged by the client, or received from it
    // What held the server back. -1: not said.
    int64_t others_bytes;           // that it moved in the same direction and time beside the run
    int64_t idle_ns;                // download: its TCP had nothing to send; mean over the streams
    int64_t send_buffer_bytes;      // download: the largest of a stream
    int64_t rtt_min_ns;             // download: the shortest that TCP had
};

struct dk_word {
    char run[DK_RUN_ID_SIZE];
    char client[DK_NETWORK_SIZE]; // the network it saw the client in
    int64_t line_bps; // what the server's own line carries, as its operator states; 0: not stated
    struct dk_word_direction download, upload;
    struct dk_wall issued;
};

// The id of the run that makes the record `record_id` of the device `device_id`: 128 bits of SHA-256 over
// "DEVICE.RECORD", in base64url. A word about a run fits one record only. Errors: INTERNAL, MEMORY.
enum dk_err dk_run_id(const char *device_id, const char *record_id, char out[static DK_RUN_ID_SIZE]);

// True when `text` has the form of a run's id.
bool dk_run_id_is_one(const char *text);

// What the word says of the server itself in one direction.
void dk_word_hint(const struct dk_word *word, bool upload, struct dk_server_hint *out);

// Appends the word as compact JSON. Errors: MEMORY, DATA (the buffer's maximum).
enum dk_err dk_word_build(const struct dk_word *word, struct dk_buf *out);

// Reads a word's payload, strictly: other members, another schema, another run than `run`, or a figure out of range
// are errors. Errors: DATA saying what is wrong; MEMORY.
enum dk_err dk_word_read(const char *json, size_t len, const char *run, struct dk_word *out, struct dk_fault *fault);

// Reads a word about `run` from a JWS, whose form must be that of a word; its signature is not looked at. `out` is set
// only on success. Errors: DATA, MEMORY.
enum dk_err dk_word_read_unverified(const char *jws, size_t len, const char *run, struct dk_word *out,
                                    struct dk_fault *fault);
