// SPDX-License-Identifier: Apache-2.0
//
// The probe "dns": how the resolvers answer, each on its own. c-ares asks; what comes back is read by message.h, and
// reaches c-ares only when it answers the question.
#pragma once

#include "probes/probe.h"

// A and AAAA, over UDP and over TCP, of the server's name and of plan->dns_names, to the resolvers of the system and to
// plan->dns_servers: each once, at most 24 at a time, 2 s each at most. NOT_MEASURED when there is no name to ask for.
extern const struct dk_probe dk_probe_dns;
