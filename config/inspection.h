// SPDX-License-Identifier: Apache-2.0
//
// What an inspector states about a run ([inspection]). Texts are clean UTF-8; "" means not stated.
#pragma once

#include "agent/base/sha256.h"

#include <limits.h>

enum { DK_INSPECTION_TEXT_SIZE = 128, DK_PLACE_SIZE = 256 };

struct dk_inspection {
    char case_number[DK_INSPECTION_TEXT_SIZE];
    char inspector[DK_INSPECTION_TEXT_SIZE];
    char place[DK_PLACE_SIZE];
    char tariff[DK_INSPECTION_TEXT_SIZE];
    char campaign[DK_INSPECTION_TEXT_SIZE]; // whose samples this run is one of
    char photo[PATH_MAX];                   // absolute path; the record has only its hash:
    char photo_sha256[DK_SHA256_HEX_SIZE];  // not a setting; whoever runs fills it in
};
