// SPDX-License-Identifier: Apache-2.0
//
// Responsiveness under working conditions after draft-ietf-ippm-responsiveness-06, as a pure function of what the
// record keeps. docs/methodology.md states the same for people.
#pragma once

#include "agent/base/error.h"
#include "probes/measurement.h"

enum { DK_RPM_INTERVALS = 4 }; // "moving average distance"
#define DK_RPM_INTERVAL_NS DK_NS_PER_S // "interval duration"

// Fills status, reason, confidence, rpm, foreign_rpm, self_rpm, tcp_ns, tls_ns, http_ns, self_ns and end_ns of *out
// from its own `foreign` (out->completed of them) and `self`, and from the load's series, and touches nothing else.
//   interval i = 0 … n − 1: the second from i on; only whole ones count. G(i) its bytes, A(i) the mean of G over
//   i − 3 … i, as far as they are there. The rate is stable at the first i >= 3 with a standard deviation of A(i − 3) …
//   A(i) below 5 % of A(i). From there on, R(i) is the responsiveness by all samples that ended in i − 3 … i:
//   TM = the mean of the samples up to their 95th percentile, half up (each figure apart);
//   foreign = 60 s / mean of TM(tcp), TM(tls) where there is TLS, TM(http); self = 60 s / TM(self); R the mean of both.
//   The result is the R(i) of the first i where R(i − 3) … R(i) are there and their standard deviation is below 5 % of
//   R(i), with high confidence; else the last R: medium with four or more of them since the rate was stable, else low.
// Without any R the status is NOT_MEASURED. Errors: MEMORY.
enum dk_err dk_rpm_compute(const struct dk_series *load, struct dk_responsiveness *out);
