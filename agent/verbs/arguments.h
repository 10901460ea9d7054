// SPDX-License-Identifier: Apache-2.0
//
// Reading a verb's command line: the settings it may change, its own flags, and its operands.
#pragma once

#include "agent/base/error.h"
#include "agent/state.h"
#include "config/settings.h"

#include <stdbool.h>

// A flag of one verb's own. With `argument` the value is stored in *value (borrowed from argv); without, *set is true.
struct dk_own_flag {
    const char *name;     // without dashes
    const char *argument; // as in "--key FILE"; NULL for a switch
    const char *help;     // one line
    const char **value;
    bool *set;
};

struct dk_arguments {
    struct dk_settings settings; // defaults, then the configuration file, then the command line
    char config_path[PATH_MAX];  // "" when no file was read
    char **operands;             // borrowed from argv
    int operand_count;
    bool help_shown; // --help was given and answered on stdout: return 0
};

enum dk_arguments_kind {
    DK_ARGUMENTS_NO_CONFIG, // the verb's own flags only; no configuration file is read
    DK_ARGUMENTS_PLAIN,     // --config and --state beside the verb's own flags
    DK_ARGUMENTS_MEASURING, // all options of the table that have a command line form
};

// Reads argv. `own` ends with a flag without a name; when two agree in name, the verb's own flag wins over an option.
// The configuration file is --config FILE, else the first that exists of $XDG_CONFIG_HOME/dokiem/dokiem.ini,
// $HOME/.config/dokiem/dokiem.ini and /etc/dokiem/dokiem.ini.
// Errors: USAGE, CONFIG, MEMORY.
enum dk_err dk_arguments_read(int argc, char **argv, enum dk_arguments_kind kind, const struct dk_own_flag *own,
                              struct dk_arguments *out, struct dk_fault *fault);

// Says a fault on stderr, as "dokiem VERB: WHERE: WHAT; what to do", and returns the exit status that belongs to it.
int dk_verb_fail(const char *verb, const struct dk_fault *fault);

// --format text|json; the fault names the choices. `text` may be NULL (text).
enum dk_err dk_format_is_json(const char *text, bool *json, struct dk_fault *fault);
