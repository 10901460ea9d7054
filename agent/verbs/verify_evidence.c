// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/verify.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/report/text.h"

enum { EVIDENCE_MAX_BYTES = 256 << 20 }; // as [evidence] max_bytes

// DATA: not the file that was signed. NO_INPUT: not there.
static enum dk_err check(const char *path, const char *sha256, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf file = dk_buf_make(EVIDENCE_MAX_BYTES);
    char found[DK_SHA256_HEX_SIZE];
    enum dk_err err = dk_file_read(path, &file, fault);

    if (err == DK_OK)
        err = dk_sha256_hex(file.data, file.len, found);
    if (err == DK_OK && strcmp(found, sha256) != 0)
        err = DK_ERR_DATA;
    return err;
}

enum dk_err dk_verify_evidence(const struct dk_verifier *verifier, const char *folder, bool text,
                               struct dk_verify_result *out, struct dk_fault *fault)
{
    out->evidence_checked = true;
    for (size_t i = 0; i < verifier->count; i++) {
        const struct dk_item *item = &verifier->items[i];
        struct dk_fault own = {0};
        char path[PATH_MAX];

        if (item->is_receipt || item->proof != DK_PROOF_GOOD || item->head.evidence_sha256[0] == '\0')
            continue;
        if (snprintf(path, sizeof path, "%s/%s.pcap", folder, item->head.id) >= (int)sizeof path)
            return dk_fail(fault, DK_ERR_USAGE, folder, NULL, "the path is too long");

        enum dk_err err = check(path, item->head.evidence_sha256, &own);

        if (err == DK_ERR_MEMORY || err == DK_ERR_INTERNAL)
            return dk_fail(fault, err, path, NULL, "%s", dk_err_text(err));
        out->evidence_good += err == DK_OK;
        out->evidence_missing += err == DK_ERR_NO_INPUT;
        out->evidence_bad += err != DK_OK && err != DK_ERR_NO_INPUT;
        if (text && err == DK_ERR_NO_INPUT)
            printf(_("NOTE the evidence of record %lld is not there: %s.pcap\n"), (long long)item->head.seq,
                   item->head.id);
        else if (text && err != DK_OK) {
            printf("%-4s ", _("BAD"));
            printf(_("%s.pcap: not the evidence that record %lld was signed with\n"), item->head.id,
                   (long long)item->head.seq);
        }
    }
    if (text && out->evidence_good > 0)
        printf(_("%zu files of evidence are as they were signed\n"), out->evidence_good);
    return DK_OK;
}
