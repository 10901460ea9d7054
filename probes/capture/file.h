// SPDX-License-Identifier: Apache-2.0
//
// A pcap file, read through libpcap: micro- and nanoseconds, either byte order, pcapng where libpcap knows it.
#pragma once

#include "agent/base/error.h"
#include "probes/capture/flows.h"

#include <stdbool.h>

enum { DK_CUT_SIZE = 200 };

struct dk_capture_file {
    char link[24];         // libpcap's name of the link layer, "EN10MB"
    int64_t snap_bytes;    // at most so much of a frame was kept
    char cut[DK_CUT_SIZE]; // why reading ended before the end of the file; "" when it did not
};

// True when dokiem was built with libpcap.
bool dk_capture_built_in(void);

// Adds every frame of the file to `flows`. "-" is standard input. What a cut or damaged file holds before the damage is
// added, and out->cut says what is wrong. Errors: NO_INPUT, PERMISSION, IO; DATA when it is no capture file, or of a
// link layer that dokiem does not know; USAGE when dokiem was built without libpcap; MEMORY.
enum dk_err dk_capture_file_read(const char *path, struct dk_flows *flows, struct dk_capture_file *out,
                                 struct dk_fault *fault);
