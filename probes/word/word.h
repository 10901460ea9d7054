// SPDX-License-Identifier: Apache-2.0
//
// Asks the server for its word of the run: what it saw, signed by it (docs/methodology.md, "The server's word").
#pragma once

#include "probes/probe.h"

// For a server whose plan->urls has a word. Without an answer in 3 s, or with one that is not 200 or too long, there
// is none, which is no failure of the run. Fills dk_measurement.word, as it came.
extern const struct dk_probe dk_probe_word;
