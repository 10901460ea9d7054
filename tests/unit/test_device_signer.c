// SPDX-License-Identifier: Apache-2.0
//
// The device's key in a process of its own, and what another run may do between its start and the lock.
#include "agent/signer.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/state.h"
#include "tests/harness/harness.h"

static void test_sees_what_was_put_by_meanwhile(void)
{
    const char *folder = dk_harness_directory();
    struct dk_device_signer signer = {0};
    dk_auto(key) struct dk_key *key = NULL;
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto_buf struct dk_buf payload = dk_buf_make(16);
    struct dk_fault fault = {0};
    char path[4300];

    CU_ASSERT_EQUAL_FATAL(dk_journal_open(folder, true, &journal, &fault), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_generate(&key, &fault), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_key_write_private(key, folder, DK_KEY_FILE, &fault), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_device_signer_start(folder, "", &signer, &fault), DK_OK);
    CU_ASSERT_STRING_EQUAL(signer.device.id, dk_key_id(key));
    CU_ASSERT_EQUAL_FATAL(dk_journal_lock(journal, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_device_signer_check(&signer, folder, journal, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_buf_append(&payload, "{}", 2), DK_OK);
    CU_ASSERT_EQUAL_FATAL(dk_device_put_by(folder, &payload, &fault), DK_OK);
    CU_ASSERT_EQUAL(dk_device_put_by(folder, &payload, NULL), DK_ERR_NOT_NOW);
    CU_ASSERT_EQUAL(dk_device_signer_check(&signer, folder, journal, &fault), DK_ERR_NOT_NOW);
    snprintf(path, sizeof path, "%.4000s/" DK_UNSEALED_FOLDER "/" DK_UNSEALED_FILE, folder);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(dk_device_signer_check(&signer, folder, journal, NULL), DK_OK);
    dk_device_signer_end(&signer);
    dk_device_signer_end(&signer);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_sees_what_was_put_by_meanwhile), {0}};

    return dk_harness_main(argc, argv, "device_signer", cases);
}
