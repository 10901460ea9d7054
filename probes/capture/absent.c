// SPDX-License-Identifier: Apache-2.0
//
// In place of file.c and live.c where libpcap is not there.
#include "probes/capture/file.h"
#include "probes/capture/live.h"

#include <stdio.h>

bool dk_capture_built_in(void)
{
    return false;
}

enum dk_err dk_capture_file_read(const char *path, struct dk_flows *flows, struct dk_capture_file *out,
                                 struct dk_fault *fault)
{
    (void)flows;
    *out = (struct dk_capture_file){0};
    return dk_fail(fault, DK_ERR_USAGE, path, "build with libpcap (meson setup -Dcapture=enabled)",
                   "captures cannot be read: this dokiem was built without libpcap");
}

enum dk_err dk_live_open(struct dk_loop *loop, const char *interface, const char *server, int64_t evidence_max_bytes,
                         struct dk_live **out, struct dk_wire *wire)
{
    (void)loop;
    (void)interface;
    (void)server;
    (void)evidence_max_bytes;
    *out = NULL;
    wire->status = DK_STATUS_NOT_MEASURED;
    snprintf(wire->reason, sizeof wire->reason, "this dokiem was built without libpcap");
    return DK_OK;
}

enum dk_err dk_live_conclude(struct dk_live *live, struct dk_wire *wire)
{
    (void)live;
    (void)wire;
    return DK_ERR_INTERNAL;
}

void dk_live_free(struct dk_live *live)
{
    (void)live;
}
