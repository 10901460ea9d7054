// SPDX-License-Identifier: Apache-2.0
#include "agent/report/csv.h"

#include <inttypes.h>
#include <string.h>

#include "agent/report/markup.h"
#include "agent/report/text.h"

enum { TEXT_MAX_BYTES = 4096 };

struct dk_csv dk_csv_begin(FILE *out)
{
    fputs("\xef\xbb\xbf", out);
    // Where the decimal mark is a comma, spreadsheets expect ';' between the fields.
    return (struct dk_csv){.out = out, .separator = strcmp(_("."), ",") == 0 ? ';' : ','};
}

static void begin_field(struct dk_csv *csv)
{
    if (csv->begun)
        fputc(csv->separator, csv->out);
    csv->begun = true;
}

static void put(struct dk_csv *csv, const char *text)
{
    const char special[] = {csv->separator, '"', ' ', '\0'};

    if (strpbrk(text, special) == NULL) {
        fputs(text, csv->out);
        return;
    }
    fputc('"', csv->out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', csv->out);
        fputc(*text, csv->out);
    }
    fputc('"', csv->out);
}

void dk_csv_text(struct dk_csv *csv, const char *text)
{
    dk_auto_buf struct dk_buf clean = dk_buf_make(TEXT_MAX_BYTES);

    begin_field(csv);
    if (text[0] != '\0' && strchr("=+-@'", text[0]) != NULL && dk_buf_append(&clean, "'", 1) != DK_OK)
        return;
    // A text that is too long is cut.
    if (dk_text_clean(text, strlen(text), false, &clean) != DK_OK || clean.len > 0)
        put(csv, dk_buf_text(&clean));
}

void dk_csv_word(struct dk_csv *csv, const char *word)
{
    begin_field(csv);
    put(csv, word);
}

void dk_csv_amount(struct dk_csv *csv, int64_t value, int64_t scale, int decimals)
{
    char number[DK_NUMBER_SIZE] = "";

    if (value >= 0)
        dk_number_text(value, scale, decimals, false, number);
    dk_csv_word(csv, number);
}

void dk_csv_integer(struct dk_csv *csv, int64_t value)
{
    begin_field(csv);
    if (value >= 0)
        fprintf(csv->out, "%" PRId64, value);
}

void dk_csv_end_line(struct dk_csv *csv)
{
    fputs("\r\n", csv->out);
    csv->begun = false;
}
