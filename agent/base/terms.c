// SPDX-License-Identifier: Apache-2.0
#include "agent/base/terms.h"

#include <stddef.h>
#include <string.h>

#define TEXT(name, text) text,
#define X(term, LIST)                                                                                        \
    static const char *const term##_texts[] = {DK_##LIST##_LIST(TEXT)};                                      \
    const char *dk_##term##_text(enum dk_##term value)                                                       \
    {                                                                                                        \
        return term##_texts[value];                                                                          \
    }                                                                                                        \
    bool dk_##term##_parse(const char *text, enum dk_##term *out)                                            \
    {                                                                                                        \
        for (size_t i = 0; i < sizeof term##_texts / sizeof term##_texts[0]; i++)                            \
            if (strcmp(text, term##_texts[i]) == 0) {                                                        \
                *out = (enum dk_##term)i;                                                                    \
                return true;                                                                                 \
            }                                                                                                \
        return false;                                                                                        \
    }
DK_TERMS(X)
#undef X
