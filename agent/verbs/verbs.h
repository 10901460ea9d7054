// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the command line, one file each. A verb reads its arguments, calls stages, prints, and returns the
// exit status of the program.
#pragma once

struct dk_verb {
    const char *name;
    const char *operands; // as in "FILE…"; "" when there are none
    const char *help;     // one line
    int (*run)(int argc, char **argv); // argv[0] is the verb's name
};

// Every verb, in the order of the help; the last entry has no name.
extern const struct dk_verb dk_verbs[];

// The verb called `name`, or NULL.
const struct dk_verb *dk_verb_find(const char *name);

// The verbs; each does what its name says and returns the exit status.
int dk_verb_run(int argc, char **argv);
int dk_verb_deliver(int argc, char **argv);
int dk_verb_status(int argc, char **argv);
int dk_verb_list(int argc, char **argv);
int dk_verb_show(int argc, char **argv);
int dk_verb_export(int argc, char **argv);
int dk_verb_report(int argc, char **argv);
int dk_verb_verify(int argc, char **argv);
int dk_verb_assess(int argc, char **argv);
int dk_verb_recompute(int argc, char **argv);
int dk_verb_wire(int argc, char **argv);
int dk_verb_campaign(int argc, char **argv);
int dk_verb_keygen(int argc, char **argv);
int dk_verb_enrol(int argc, char **argv);
int dk_verb_sign_profile(int argc, char **argv);
int dk_verb_check_config(int argc, char **argv);
int dk_verb_capabilities(int argc, char **argv);
int dk_verb_version(int argc, char **argv);
