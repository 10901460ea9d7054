// SPDX-License-Identifier: Apache-2.0
//
// In place of token.c where libp11 is not there.
#include "agent/record/token.h"

bool dk_token_built_in(void)
{
    return false;
}

enum dk_err dk_token_open(const char *uri, struct dk_key **out, struct dk_fault *fault)
{
    (void)uri;
    (void)out;
    return dk_fail(fault, DK_ERR_CONFIG, "[device] key", "build with libp11 (meson setup -Dpkcs11=enabled)",
                   "keys in a token cannot be used: this dokiem was built without PKCS#11");
}
