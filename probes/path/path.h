// SPDX-License-Identifier: Apache-2.0
//
// The probe "path": the path MTU and the route to the server. It takes 2 s at most and no more than about 200 kB.
#pragma once

#include "probes/probe.h"

// By ICMP echo, or, where plan->path_method says so or ICMP is not allowed, UDP, which needs no privilege. Over ICMP
// both are looked for at once; over UDP one after the other, since a server tells only a few closed ports a second.
extern const struct dk_probe dk_probe_path;
