// SPDX-License-Identifier: Apache-2.0
//
// What is configured of a place ([site]) and decides which rules are about it, and what they ask for.
#pragma once

#include "agent/base/terms.h"

#include <stdint.h>

// The rates that a rule may refer to as site.NAME. In the record: site.NAME_bps.
#define DK_SITE_RATE_LIST(X)                                                                                 \
    X(SUBSCRIBED_DOWNLOAD, "subscribed_download") /* of the tariff that the subscriber pays for */           \
    X(SUBSCRIBED_UPLOAD, "subscribed_upload")                                                                \
    X(DECLARED_DOWNLOAD, "declared_download") /* average that the operator declares: Vd of QCVN 81:2019 */   \
    X(DECLARED_UPLOAD, "declared_upload")     /* Vu */                                                       \
    X(MINIMUM_DOWNLOAD, "minimum_download")   /* minimum that the operator declares: Vdmin */

enum dk_site_rate {
#define X(name, text) DK_SITE_RATE_##name,
    DK_SITE_RATE_LIST(X)
#undef X
};

enum {
#define X(name, text) +1
    DK_SITE_RATES = 0 DK_SITE_RATE_LIST(X)
#undef X
};

#define DK_SITE_RATE_MAX_BPS INT64_C(1'000'000'000'000)

// All zero: nothing is known of the place.
struct dk_site {
    enum dk_environment environment;
    enum dk_subscriber subscriber;
    int64_t rate_bps[DK_SITE_RATES]; // by enum dk_site_rate; at most DK_SITE_RATE_MAX_BPS; 0: not set
};
