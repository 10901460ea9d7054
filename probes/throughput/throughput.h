// SPDX-License-Identifier: Apache-2.0
//
// Download and upload over parallel HTTP(S) connections (docs/methodology.md, "Throughput").
#pragma once

#include "probes/probe.h"

extern const struct dk_probe dk_probe_download;
extern const struct dk_probe dk_probe_upload;
