// SPDX-License-Identifier: Apache-2.0
//
// One finding on a page: the word, the figure beside what is asked for, how sure it is, what it rests on, what does
// not count and why, how many samples it lacks, and its samples as two plots. For assessment_page.c.
#pragma once

#include "agent/assess/finding.h"
#include "agent/report/markup.h"

// The whole of it. Not for NOT_APPLICABLE.
void dk_finding_part(struct dk_markup *m, const struct dk_finding *finding);

// One line of a table: its cells from "Rule" on, without the row around them.
void dk_finding_cells(struct dk_markup *m, const struct dk_finding *finding);

// "national technical regulation: …", and what is not confirmed of it.
void dk_finding_basis(struct dk_markup *m, const struct dk_rule *rule);

// Why a rule does not apply, as a sentence.
void dk_finding_not_applicable(struct dk_markup *m, const struct dk_finding *finding);

// "THRESHOLD MET", "TARGET NOT MET", "TOO FEW SAMPLES" …: a target of a plan is met or not, it is never failed.
const char *dk_finding_words(const struct dk_finding *finding, enum dk_finding_outcome outcome);
