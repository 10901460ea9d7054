// SPDX-License-Identifier: Apache-2.0
//
// The small strict readers of agent/base, on one text. What a reader accepts must be what its writer gives back.
#include "agent/base/base64url.h"
#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(4096), decoded = dk_buf_make(4096), encoded = dk_buf_make(4096);
    struct dk_wall wall;
    int64_t number;
    char again[DK_RFC3339_SIZE];

    if (size > 4096 || dk_buf_append(&text, data, size) != DK_OK)
        return 0;
    if (dk_base64url_decode(dk_buf_text(&text), text.len, &decoded) == DK_OK &&
        (dk_base64url_encode(decoded.data, decoded.len, &encoded) != DK_OK || encoded.len != size ||
         memcmp(dk_buf_text(&encoded), dk_buf_text(&text), size) != 0))
        abort();
    if (dk_wall_parse(dk_buf_text(&text), &wall)) {
        dk_wall_rfc3339(wall, again);
        if (strcmp(again, dk_buf_text(&text)) != 0)
            abort();
    }
    if (dk_parse_i64(dk_buf_text(&text), INT64_MIN, INT64_MAX, &number)) {
        snprintf(again, sizeof again, "%" PRId64, number);
        if (strcmp(again, dk_buf_text(&text)) != 0)
            abort();
    }
    if (dk_parse_decimal(dk_buf_text(&text), text.len, 1000000, 0, 1000, &number) && (number < 0 || number > 1000))
        abort();
    (void)dk_text_is_clean(dk_buf_text(&text), text.len);
    return 0;
}
