// SPDX-License-Identifier: Apache-2.0
//
// The probe contract. A probe measures one thing; it is one struct of functions, listed in probes/probes.c. It runs
// on the loop it is given, keeps its state in its own run, stays inside its deadline and byte bound, and reports
// failure as data: `start` returns an error only when dokiem itself is at fault (memory, descriptors). It does not
// print, judge, build JSON, read configuration or exit.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "probes/loop.h"
#include "probes/measurement.h"
#include "probes/progress.h"
#include "probes/server.h"

#include <stdbool.h>
#include <stdint.h>

enum { DK_THRESHOLDS_MAX = 16 };

// What a rate will be compared with.
struct dk_thresholds {
    size_t count; // more than DK_THRESHOLDS_MAX: there are some that had no room
    struct {
        int64_t bps;
        bool whole; // compared with rate_whole_bps, not with rate_bps
    } at[DK_THRESHOLDS_MAX];
};

// Raw sockets for ICMP echo, opened while that was allowed (dk_icmp_open_raw); -1 where there is none.
struct dk_raw_sockets {
    int icmp, icmp6;
};

// What is to be measured, resolved from settings by the pipeline. Strings are borrowed and outlive the run.
struct dk_plan {
    const char *url;         // of the reference server, as configured
    const char *run;         // the run's id, told to a server that may give its word of it; "" for none
    const struct dk_server_urls *urls; // what is asked for what
    const char *stamp;       // "HOST[:PORT]", "auto" (the HTTP server's address, port 862) or "off"
    const char *stamp_key_file; // key of STAMP's authenticated mode; "" for the unauthenticated one
    const char *ca_file;     // PEM bundle to trust instead of the system's; "" for the system's
    const char *interface;   // bind to this interface; "" for any
    const char *link;        // the interface that the route leaves by, whose bytes are counted; "" when not known
    const char *gateway;     // numeric, with %INTERFACE where it is link-local; "" when there is none
    const char *user_agent;  // "dokiem/VERSION"
    enum dk_family family;
    int64_t streams;         // 1 … DK_STREAMS_MAX
    int64_t streams_max;     // may grow to this, DK_STREAMS_MAX at most; less than `streams` is the same as that
    int64_t duration_ns;     // of one timed direction
    int64_t connect_timeout_ns; // for resolving, connecting, TLS and the first answer
    enum dk_stop stop;       // TIME, PRECISE or VERDICT: what may end a direction before duration_ns
    int64_t precision_ppm;   // PRECISE: half of the 95 % interval, of the rate
    struct dk_thresholds download_thresholds, upload_thresholds; // VERDICT: what the rates will be compared with
    int64_t max_bytes;       // payload bound of one direction; reaching it ends the phase with stop = budget
    enum dk_method latency_method; // the one that was asked for; NONE: whichever works
    enum dk_phase phase;     // in which a latency probe runs: where its result goes
    struct dk_mono load_start; // of a probe that accompanies a load: the load's common start, and what it has moved
    int64_t load_bps;          // since then; 0: not known
    int64_t latency_count;   // packets or requests
    int64_t latency_interval_ns; // POISSON: the mean
    enum dk_sampling latency_sampling;
    int64_t latency_timeout_ns;
    enum dk_path_method path_method;
    const char *dns_servers; // "ADDRESS[:PORT], …", to ask beside the system's; "" for none
    const char *dns_names;   // "NAME, …", to ask for beside the server's; "" for none
    const struct dk_raw_sockets *raw; // NULL: opened when needed
};

enum dk_privilege {
    DK_PRIVILEGE_NONE,
    DK_PRIVILEGE_PING, // a ping socket (net.ipv4.ping_group_range), or CAP_NET_RAW
    DK_PRIVILEGE_NET_RAW,
};

// Private state of one run of one probe.
struct dk_probe_run;

struct dk_probe {
    const char *name; // as in --only
    const char *help; // one line
    enum dk_privilege privilege;

    // Upper bound of the bytes, both directions, that a run of `plan` will move.
    int64_t (*max_bytes)(const struct dk_plan *plan);

    // Upper bound of the time a run takes, all phases and timeouts included, in ns.
    int64_t (*max_duration_ns)(const struct dk_plan *plan);

    // Begins. `measured` is what earlier probes of this run found (the server's address), borrowed for the call.
    // On success *out is owned by the caller, who ends it with `free`. Errors: MEMORY, IO, INTERNAL.
    enum dk_err (*start)(struct dk_loop *loop, const struct dk_plan *plan, const struct dk_measurement *measured,
                         struct dk_probe_run **out, struct dk_fault *fault);

    // True when nothing more will happen.
    bool (*done)(const struct dk_probe_run *run);

    // Stops at once; the result is FAILED with `reason` (text without control characters).
    void (*cancel)(struct dk_probe_run *run, const char *reason);

    // Begins nothing further; the run is done when what is under way has ended, with all it has as its result. For
    // probes that accompany another one; NULL where there is nothing to conclude.
    void (*conclude)(struct dk_probe_run *run);

    void (*progress)(const struct dk_probe_run *run, struct dk_progress *out);

    // Moves the result into the fields of `out` that are this probe's own, and adds to out->data_used_bytes.
    void (*fill)(struct dk_probe_run *run, struct dk_measurement *out);

    // Takes everything off the loop and frees it. NULL is fine.
    void (*free)(struct dk_probe_run *run);
};

// Every probe, in the order of a run; the last entry is NULL.
extern const struct dk_probe *const dk_probes[];

// The probe called `name`, or NULL.
const struct dk_probe *dk_probe_find(const char *name);
