// SPDX-License-Identifier: Apache-2.0
//
// The near end of STAMP: a Session-Sender (RFC 8762 section 4.2) as the probe "stamp", which measures the
// idle latency. It sends plan->latency_count packets, one each latency_interval_ns, to plan->stamp.
//
// With plan->stamp "auto" the reflector is optional: nobody answering within 600 ms of the first packet, or a
// refusal, gives NOT_MEASURED, so that another method can follow. With a stated reflector no answer is
// FAILED.
#pragma once

#include "probes/probe.h"

extern const struct dk_probe dk_probe_stamp;
