// SPDX-License-Identifier: Apache-2.0
//
// Round trips that need nothing of the server but its being there: the probes "icmp" and "tcp". Both go to the address
// at which the server was reached, and fill the latency of the plan's phase. When plan->latency_method does not name
// them they are tried only: nobody answering within 600 ms gives NOT_MEASURED, so that another method can follow.
#pragma once

#include "probes/probe.h"

// ICMP echo, by an unprivileged ping socket (net.ipv4.ping_group_range), else a raw socket (CAP_NET_RAW); where neither
// is allowed NOT_MEASURED, and the reason says how to allow it.
extern const struct dk_probe dk_probe_icmp;

// The same to the gateway of the plan, 10 of them 20 ms apart, as the latency of DK_PHASE_GATEWAY: the first part of
// the way. NOT_MEASURED where there is no gateway or it does not answer.
extern const struct dk_probe dk_probe_gateway;

// Opens raw sockets for dk_plan.raw, for a caller that will give up CAP_NET_RAW. Where ping sockets are allowed none
// are needed, and none opened. dk_icmp_close_raw closes them.
struct dk_raw_sockets dk_icmp_open_raw(void);
void dk_icmp_close_raw(struct dk_raw_sockets *raw);

// TCP handshakes with the server's HTTP port, as the kernel times them (TCP_INFO). A handshake in which something had
// to be sent again counts as lost. At most 32 are under way: the interval is at least a 32nd of the timeout.
extern const struct dk_probe dk_probe_tcp;

// The TCP port of "http[s]://HOST[:PORT][/…]"; 0 when it is not of that form.
uint16_t dk_ping_port(const char *url);
