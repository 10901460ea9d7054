// SPDX-License-Identifier: Apache-2.0
//
// A server's word, as it comes and as it is kept: what reads as a word must read the same once it is written again.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/word.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char run[] = "XYoyjDeddkgFEI2zvqYY-Q";
    dk_auto_buf struct dk_buf text = dk_buf_make(1 << 16), again = dk_buf_make(1 << 16);
    struct dk_word word, back;
    struct dk_fault fault = {0};

    if (dk_buf_append(&text, data, size) != DK_OK)
        return 0;
    (void)!dk_word_read_unverified(dk_buf_text(&text), size, run, &word, NULL);
    if (dk_word_read(dk_buf_text(&text), size, run, &word, &fault) != DK_OK) {
        if (fault.what[0] == '\0')
            abort();
        return 0;
    }
    if (dk_word_build(&word, &again) != DK_OK ||
        dk_word_read(dk_buf_text(&again), again.len, run, &back, NULL) != DK_OK ||
        strcmp(word.client, back.client) != 0 || memcmp(&word.download, &back.download, sizeof word.download) != 0 ||
        memcmp(&word.upload, &back.upload, sizeof word.upload) != 0)
        abort();
    return 0;
}
