// SPDX-License-Identifier: Apache-2.0
//
// The conditions under which something was timed: what the device did beside it, and what else its interface
// carried. A watch reads the system when the timing starts and when it stops; between the two it only counts late
// looks. The parsers of what the kernel writes are pure; they are here to be tested.
#pragma once

#include "agent/base/clock.h"
#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_CPUS_MAX = 256 }; // further ones are not looked at

// Time of one CPU since the machine started, in the kernel's ticks. proc(5), /proc/stat.
struct dk_cpu_ticks {
    int64_t total;      // all states; 0: there is no such CPU
    int64_t idle;       // idle, or waiting for I/O only
    int64_t interrupts; // serving hardware and software interrupts
};

// One reading of all that is compared.
struct dk_conditions_reading {
    struct dk_cpu_ticks cpus[DK_CPUS_MAX];
    int64_t agent_cpu_ns, agent_wait_ns, windows_closed;
    int64_t received_bytes, sent_bytes;
};

struct dk_conditions_watch {
    bool running;
    struct dk_mono start;
    struct dk_conditions_reading before;
    struct dk_conditions result; // after the stop
};

// Starts. `interface` is the one whose bytes are counted; "" for none. What cannot be read is not known (-1).
void dk_conditions_start(struct dk_conditions_watch *watch, const char *interface);

// A look that was due at `due` came at `now`.
void dk_conditions_look(struct dk_conditions_watch *watch, struct dk_mono due, struct dk_mono now);

// Stops and fills watch->result. Without a start, or a second time, it does nothing.
void dk_conditions_stop(struct dk_conditions_watch *watch);

// Says in result->own_… how many of the interface's bytes were the test's own, at most: what TCP says it received and
// sent (what was sent again included), and 90 bytes of headers a segment (Ethernet with a VLAN tag 18, IPv6 40, TCP
// with timestamps 32). Where TCP does not say, or a connection was replaced: the payload, 1 % for TLS records and
// HTTP, and the headers of as many segments each way. `received_bytes` and `sent_bytes` are the payload of all
// streams; the streams are as they were when the timing stopped. Pure.
void dk_conditions_own(struct dk_conditions *conditions, int64_t received_bytes, int64_t sent_bytes,
                       const struct dk_tcp_stream streams[], size_t count);

// The lines "cpuN …" of /proc/stat. False when there is none or one is not as it should be.
bool dk_cpu_ticks_parse(const char *text, size_t len, struct dk_cpu_ticks out[static DK_CPUS_MAX]);

// The counter `name` of the lines `group` of /proc/net/netstat, which come in pairs: names, then values. -1 when it
// is not there or not a number.
int64_t dk_netstat_parse(const char *text, size_t len, const char *group, const char *name);

// Second number of /proc/self/schedstat: ns this process was ready to run and did not. -1 when it is not there.
int64_t dk_schedstat_wait_parse(const char *text, size_t len);

// A file that has one number and a line end. -1 when it is anything else.
int64_t dk_counter_parse(const char *text, size_t len);
