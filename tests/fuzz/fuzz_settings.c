// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a configuration file: refused with a fault, or settings that read the same when printed.
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dk_settings settings, again;
    struct dk_fault fault = {0};
    dk_auto_buf struct dk_buf printed = dk_buf_make(1 << 16);

    dk_settings_default(&settings);
    again = settings;
    if (dk_settings_read_text(&settings, "fuzz", (const char *)data, size, &fault) != DK_OK) {
        if (fault.err == DK_OK || fault.what[0] == '\0')
            abort();
        return 0;
    }
    if (dk_settings_print(&settings, &printed) != DK_OK ||
        dk_settings_read_text(&again, "printed", dk_buf_text(&printed), printed.len, NULL) != DK_OK ||
        memcmp(&settings, &again, sizeof settings) != 0)
        abort();
    return 0;
}
