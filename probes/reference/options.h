// SPDX-License-Identifier: Apache-2.0
//
// The command line of dokiem-reference.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

struct dk_reference_options {
    const char *http;           // ADDR:PORT; NULL: no HTTP. Borrowed from the command line
    const char *word_key;       // file; NULL: no word of runs is given
    int64_t line_bps;           // of the server's own line; 0: not stated
    const char *stamp;          // ADDR:PORT; NULL: no reflector
    const char *stamp_key;      // file; NULL: the unauthenticated mode
    int64_t connections;        // of one client at a time
    int64_t total_connections;  // of all clients at a time
    int64_t bytes_per_hour;     // of one client, both directions
    int64_t connection_seconds; // longest life of a connection
    int64_t idle_seconds;       // longest silence of a connection
    int64_t packets_per_second; // STAMP packets answered for one client
    bool help;
};

// Reads the command line. Errors: USAGE, saying what is allowed. Neither --http nor --stamp is an error,
// unless help is asked for.
enum dk_err dk_reference_options_read(int argc, char **argv, struct dk_reference_options *out,
                                      struct dk_fault *fault);

// Appends the help text. Errors: as dk_buf_append.
enum dk_err dk_reference_options_help(struct dk_buf *out);
