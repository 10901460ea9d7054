// SPDX-License-Identifier: Apache-2.0
//
// New connections beside a load, one after another: the "foreign probes" of draft-ietf-ippm-responsiveness-06. They
// share nothing with the streams of the load but the line.
#pragma once

#include "probes/probe.h"

extern const struct dk_probe dk_probe_responsiveness;
