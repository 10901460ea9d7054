// SPDX-License-Identifier: Apache-2.0
//
// What plain HTTP tells: whether the reference server can be reached and what it is, and round-trip times of small
// requests on a kept connection (docs/methodology.md, "Latency").
#pragma once

#include "probes/probe.h"

// One small request: fills measurement.server. A server that cannot be used leaves server.address as far as it was
// known, and server.status FAILED with the reason.
extern const struct dk_probe dk_probe_reach;

// Round-trip times of the small request on one kept connection: fills the latency of the plan's phase,
// with method HTTP.
extern const struct dk_probe dk_probe_http_latency;
