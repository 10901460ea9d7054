// SPDX-License-Identifier: Apache-2.0
//
// Asking an inspector what no file knows: case, place, line. Questions go to stderr, answers come from stdin.
#pragma once

#include "agent/base/error.h"
#include "config/settings.h"

// Asks for each in turn, shows what is set already, and asks again when an answer is not allowed. An empty answer
// keeps what is set, "-" unsets a text. *settings is unchanged unless all were answered.
// Errors: USAGE (stdin is no terminal), INTERRUPTED (the answers ended).
enum dk_err dk_ask(struct dk_settings *settings, struct dk_fault *fault);
