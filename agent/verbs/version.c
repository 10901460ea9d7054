// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/arguments.h"
#include "agent/verbs/verbs.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>

int dk_verb_version(int argc, char **argv)
{
    static const struct dk_own_flag none[] = {{0}};
    struct dk_arguments arguments;
    struct dk_fault fault = {0};

    if (dk_arguments_read(argc, argv, DK_ARGUMENTS_NO_CONFIG, none, &arguments, &fault) != DK_OK)
        return dk_verb_fail("version", &fault);
    if (!arguments.help_shown)
        printf("dokiem %s (%s, %s)\n", DK_VERSION, curl_version(), OpenSSL_version(OPENSSL_VERSION));
    return 0;
}
