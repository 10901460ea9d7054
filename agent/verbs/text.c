// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/language.h"
#include "agent/report/text.h"

void dk_text_print(const char *text)
{
    dk_auto_buf struct dk_buf clean = dk_buf_make(strlen(text));

    if (dk_text_clean(text, strlen(text), false, &clean) == DK_OK)
        fputs(dk_buf_text(&clean), stdout);
}

void dk_text_print_padded(const char *text, int columns)
{
    int blanks = abs(columns) - (int)dk_text_columns(text);

    printf("%*s%s%*s", columns < 0 && blanks > 0 ? blanks : 0, "", text, columns > 0 && blanks > 0 ? blanks : 0, "");
}

void dk_when_text(struct dk_wall when, char out[static DK_DATE_SIZE])
{
    if (strcmp(dk_language(), "vi") == 0)
        dk_local_date(when, out);
    else
        dk_wall_rfc3339(when, out);
}

void dk_rate_text(int64_t rate_bps, char out[static DK_RATE_TEXT_SIZE])
{
    if (rate_bps < 0)
        snprintf(out, DK_RATE_TEXT_SIZE, "-");
    else
        snprintf(out, DK_RATE_TEXT_SIZE, _("%lld.%lld Mb/s"), (long long)(rate_bps / 1000000),
                 (long long)(rate_bps / 100000 % 10));
}
