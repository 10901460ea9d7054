// SPDX-License-Identifier: Apache-2.0
//
// A reply of a time-stamping authority, as it comes and as it is kept: whatever is in it, it is refused with a reason,
// or it is one by the authority whose certificate is here, about the one hash that it was ever asked for.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/record/time_stamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Its key was thrown away.
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBeTCCAR+gAwIBAgIUUOOWwdt10fxiB8FRudWfV+IuU9MwCgYIKoZIzj0EAwIw\n"
    "EjEQMA4GA1UEAwwHRnV6eiBDQTAeFw0yNjExMjAxODIyNDhaFw0zNjExMTcxODIy\n"
    "NDhaMBIxEDAOBgNVBAMMB0Z1enogQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AATME15SyphLsJUn0g5jr/GWHYz5EgYRh0uxZ+dcVjGefAUVSgncYFQfYslhAi3m\n"
    "Uof8/CsKrqwz947R2XVnfN4mo1MwUTAdBgNVHQ4EFgQUrlj0RPz7q3cJTRCVZYy4\n"
    "1Zzq6qUwHwYDVR0jBBgwFoAUrlj0RPz7q3cJTRCVZYy41Zzq6qUwDwYDVR0TAQH/\n"
    "BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiB9ywuktUQFkIePT0XOY/Rgv/y81NEW\n"
    "jngMObiJw3LwsQIhAOkIO2ajUUTtFlYPRCOu9YwKCLyzbjezZkKLknXZHyYg\n"
    "-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dk_tsa *tsa;
    const struct dk_time_stamp_query query = {.nonce = 1,
                                              .record_sha256 = "cM6HH4o9P7RJvDw6zmVHzvAt_HT_5I2RJTKnJL_b5bk"};
    struct dk_time_stamp stamp;
    struct dk_fault fault = {0};

    if (tsa == NULL && dk_tsa_read_text("fuzz", certificate, sizeof certificate - 1, &tsa, NULL) != DK_OK)
        abort();

    enum dk_err err = dk_time_stamp_check(tsa, NULL, data, size, &stamp, &fault);

    if (err == DK_OK && (strcmp(stamp.record_sha256, query.record_sha256) != 0 || stamp.accuracy_ns < 0 ||
                         !dk_text_is_clean(stamp.authority, strlen(stamp.authority))))
        abort();
    if (err != DK_OK && (fault.what[0] == '\0' || !dk_text_is_clean(fault.what, strlen(fault.what))))
        abort();
    if (dk_time_stamp_check(tsa, &query, data, size, &stamp, NULL) == DK_OK && err != DK_OK)
        abort();

    dk_auto(tsa) struct dk_tsa *other = NULL;

    if (dk_tsa_read_text("fuzz", (const char *)data, size, &other, NULL) == DK_OK && other == NULL)
        abort();
    return 0;
}
