// SPDX-License-Identifier: Apache-2.0
//
// The judge: pure functions of rules, measurements and context.
#pragma once

#include "agent/context/context.h"
#include "agent/judge/verdict.h"
#include "config/rules.h"
#include "config/site.h"
#include "probes/measurement.h"

// Collects the reasons to doubt the figures. One flag makes the state SUSPECT; INVALID is for figures that cannot
// mean anything.
void dk_judge_validity(const struct dk_measurement *measurement, const struct dk_context *context,
                       struct dk_validity *out);

// Judges the measurement against the rules that are about the context's technology at this place and that one run can
// be judged by (dk_rule_is_for_one_run); the others are left out. A rate is below (above) a threshold only when its
// whole 95 % interval is; when the interval contains the threshold, or a flag bears on the figure in the direction that
// matters, the check is INCONCLUSIVE with the reason. A figure that was not measured gives INCONCLUSIVE (it was asked
// for and failed) or NOT_APPLICABLE (it was not asked for); so does, with a reason that names it, a rate of the site
// that the rule refers to and that is not set. The checks' rules have their thresholds resolved.
void dk_judge(const struct dk_rules *rules, const struct dk_measurement *measurement,
              const struct dk_context *context, const struct dk_site *site, const struct dk_validity *validity,
              struct dk_verdict *out);
