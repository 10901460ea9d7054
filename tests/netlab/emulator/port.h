// SPDX-License-Identifier: Apache-2.0
//
// A network interface, whole frames in and out, by packet sockets. The kernel says when a frame came, so
// reading it late does not shift it.
#pragma once

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

enum {
    DK_PORT_BATCH = 32,
    DK_PORT_OFFLOAD_BYTES = sizeof(struct virtio_net_hdr), // before each frame: struct virtio_net_hdr
    DK_PORT_FRAME_BYTES = DK_PORT_OFFLOAD_BYTES + 14 + 65535,
};

struct dk_port_frame {
    const uint8_t *data; // offload header and frame; borrowed until the next dk_port_receive
    size_t len;
    int64_t came_ns; // CLOCK_REALTIME by the kernel; 0 when it does not say
};

struct dk_inbox; // room for a batch of frames

// *out is owned by the caller. Errors: MEMORY.
enum dk_err dk_inbox_new(struct dk_inbox **out, struct dk_fault *fault);
void dk_inbox_free(struct dk_inbox *inbox);

DK_DEFINE_FREE(inbox, struct dk_inbox, dk_inbox_free)

// Opens a non-blocking socket on `interface`. The caller closes *fd.
// Errors: NO_INPUT (no such interface), PERMISSION, IO.
enum dk_err dk_port_open(const char *interface, int *fd, struct dk_fault *fault);

// Reads at most `max` (DK_PORT_BATCH at most) frames that are there; returns how many, 0 also when the
// interface is down.
int dk_port_receive(int fd, struct dk_inbox *inbox, int max, struct dk_port_frame out[]);

// Sends `count` (at most DK_PORT_BATCH) buffers of offload header and frame. Returns how many the kernel
// took; -1 when it refuses the first one for good, 0 when it has no room now.
int dk_port_send(int fd, const struct iovec buffers[], int count);

// Frames that the kernel dropped on their way to us since the last call.
int64_t dk_port_dropped(int fd);
