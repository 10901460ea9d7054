// SPDX-License-Identifier: Apache-2.0
//
// The running of the probes: which, in what order, what accompanies what, and what is captured around them.
#pragma once

#include "agent/base/error.h"
#include "agent/context/context.h"
#include "config/rules.h"
#include "config/settings.h"
#include "probes/measurement.h"
#include "probes/progress.h"

#include <stdbool.h>

struct dk_device_signer;
struct dk_raw_sockets;

struct dk_run_hooks {
    void (*progress)(void *argument, const struct dk_progress *progress); // about ten times a second; may be NULL
    void *argument;
    int interrupt_fd; // becomes readable when the user wants to stop; -1 for none
    bool ignore_budget;
    const struct dk_device_signer *signer; // has the device's key
    const struct dk_raw_sockets *raw;      // see dk_plan
    bool last; // no other run follows: CAP_NET_RAW is given up when all is open that needs it
};

// Which of the settings' servers a run prefers, what it tells it, and which one it used.
struct dk_server_choice {
    const char *last_url;  // of the run before: it stays while it is nearly the nearest; "" for none
    const char *run;       // id of the run, which the server is told; "" for none
    const char *avoid_url; // used only when no other server answers; "" for none
    const struct dk_server_settings *used; // set by dk_measure, also when it was not reached; one of the settings
};

// Measures as `settings` say: chooses a server and reaches it, going on to the next while nothing is measured (docs/
// methodology.md, "Which server"), gathers the context before and after, and runs the probes that were asked for.
// `rules` tell which rates may end a direction early. What went wrong with the line or the server is data, with its
// reason, in *measurement; *interrupted says that the user ended it. *measurement and *context begin zeroed; the
// measurement is the caller's also after an error: dk_measurement_free. Errors, all our own: MEMORY, IO, INTERNAL.
enum dk_err dk_measure(const struct dk_settings *settings, const struct dk_rules *rules,
                       const struct dk_run_hooks *hooks, struct dk_server_choice *choice,
                       struct dk_measurement *measurement, struct dk_context *context, bool *interrupted,
                       struct dk_fault *fault);

// The most that a measurement as `settings` say can take, by the bounds that its probes keep.
struct dk_measure_bound {
    int64_t bytes;       // both directions, all probes
    int64_t duration_ns;
};
struct dk_measure_bound dk_measure_bound(const struct dk_settings *settings);
