// SPDX-License-Identifier: Apache-2.0
//
// The shipped profiles, part of the program (config/embed.sh), so that it needs no installed file.
#pragma once

#include <stddef.h>

struct dk_embedded {
    const char *name; // of the profile, as in --profile
    const unsigned char *data;
    size_t len;
};

// Ends with an entry without a name.
extern const struct dk_embedded dk_embedded_profiles[];
