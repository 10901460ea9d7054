// SPDX-License-Identifier: Apache-2.0
//
// One option: its text to the field of the settings, and back. For settings.c.
#pragma once

#include "config/settings.h"

#include <stdbool.h>

// Sets the option's field from `text`. Returns NULL, or, with the field unchanged, what is wrong, to be said after
// the text ("is out of range").
const char *dk_option_set(const struct dk_option *option, const char *text, struct dk_settings *settings);

// Appends the field as a configuration file has it, quotation marks included. Errors as dk_buf_append.
enum dk_err dk_option_print(const struct dk_option *option, const struct dk_settings *settings, struct dk_buf *out);

// True for options of one server, which the sections [server NAME] have too, except its name.
bool dk_option_is_of_server(const struct dk_option *option);

// The same two for such an option of `server`.
const char *dk_option_set_server(const struct dk_option *option, const char *text, struct dk_server_settings *server);
enum dk_err dk_option_print_server(const struct dk_option *option, const struct dk_server_settings *server,
                                   struct dk_buf *out);

// False for options whose value is never repeated in a fault: somebody may have written a PIN there.
bool dk_option_is_quotable(const struct dk_option *option);

// True for options whose value is a path, or may be one, and `text` is a relative one.
bool dk_option_is_relative_path(const struct dk_option *option, const char *text);
