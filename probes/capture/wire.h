// SPDX-License-Identifier: Apache-2.0
//
// What a capture of the test's own packets says, as one value for the record.
#pragma once

#include "probes/capture/flows.h"
#include "probes/measurement.h"

// Sums the flows with flows->server into the counts, directions and round trips of *out, and touches nothing else of
// it. Sorts the samples. Errors: MEMORY.
enum dk_err dk_wire_sum(struct dk_flows *flows, struct dk_wire *out);
