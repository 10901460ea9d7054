// SPDX-License-Identifier: Apache-2.0
//
// In place of file.c where libpcap is not there.
#include "probes/capture/file.h"

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
