// SPDX-License-Identifier: Apache-2.0
//
// A record's head from any bytes; and the texts the context reads from the system. What is accepted must be clean.
#include "agent/base/parse.h"
#include "agent/context/parts.h"
#include "agent/record/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct dk_record_head head;
    char value[DK_CONTEXT_TEXT_SIZE], devtype[DK_DEVTYPE_SIZE];

    if (dk_record_read_head(text, size, &head, NULL) == DK_OK) {
        check(strcmp(head.schema, DK_RECORD_SCHEMA) == 0 && strlen(head.id) == DK_UUID_SIZE - 1);
        check(head.seq >= 1 && (head.seq == 1) == (head.prev[0] == '\0'));
        check(strlen(head.device_id) == DK_SHA256_TEXT_SIZE - 1);
    }
    if (dk_os_release_get(text, size, "PRETTY_NAME", value, sizeof value))
        check(value[0] != '\0' && dk_text_is_clean(value, strlen(value)));
    if (dk_uevent_get(text, size, "DEVTYPE", devtype, sizeof devtype))
        check(devtype[0] != '\0' && dk_text_is_clean(devtype, strlen(devtype)));
    return 0;
}
