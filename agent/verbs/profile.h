// SPDX-License-Identifier: Apache-2.0
//
// The profile that a verb judges by, with its signature when the configuration asks for one.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "config/rules.h"
#include "config/settings.h"

// Loads the profile of [judge] profile and appends its bytes to `text`, which may be NULL. With [judge] profile_key a
// file needs FILE.jws beside it: a JWS of that key with typ "dokiem-profile" that carries exactly the file's bytes.
// What is part of the program needs none: a built-in profile, and a file with the bytes of one.
// Errors: CONFIG (also: not signed, or by another key, or another text), MEMORY.
enum dk_err dk_verb_profile(const struct dk_settings *settings, struct dk_rules *out, struct dk_buf *text,
                            struct dk_fault *fault);
