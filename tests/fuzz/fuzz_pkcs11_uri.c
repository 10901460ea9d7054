// SPDX-License-Identifier: Apache-2.0
//
// Any text as a PKCS#11 URI: refused with a word that the caller knows, or values within their bounds and no PIN.
#include "agent/base/parse.h"
#include "agent/base/pkcs11_uri.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
    if (memchr(text, '\0', size) == NULL || !dk_text_is_clean(text, strlen(text)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[4096];
    struct dk_pkcs11_uri uri;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';

    const char *wrong = dk_pkcs11_uri_read(text, &uri);

    if (wrong != NULL) {
        if (wrong[0] == '\0')
            abort();
        return 0;
    }
    check_text(uri.token, sizeof uri.token);
    check_text(uri.manufacturer, sizeof uri.manufacturer);
    check_text(uri.model, sizeof uri.model);
    check_text(uri.serial, sizeof uri.serial);
    check_text(uri.object, sizeof uri.object);
    check_text(uri.module_path, sizeof uri.module_path);
    check_text(uri.pin_path, sizeof uri.pin_path);
    if (uri.id_len > sizeof uri.id || uri.module_path[0] != '/' || strstr(text, "pin-value") != NULL ||
        (uri.pin_path[0] != '\0' && uri.pin_path[0] != '/'))
        abort();
    return 0;
}
