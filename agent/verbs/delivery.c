// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/delivery.h"

#include "agent/base/file.h"
#include "agent/context/offset.h"
#include "agent/state.h"
#include "agent/verbs/keys.h"

#include <limits.h>
#include <stdio.h>

// The collector's key, learnt at enrolment. Errors: PERMISSION (not enrolled), as dk_file_read, DATA.
static enum dk_err read_collector_key(const char *state_dir, struct dk_key **out, struct dk_fault *fault)
{
    static const char todo[] = "enrol this device: dokiem enrol --collector URL --token TOKEN";
    char path[PATH_MAX + sizeof DK_COLLECTOR_KEY_FILE];
    dk_auto_buf struct dk_buf text = dk_buf_make(4096);
    struct dk_fault reading = {0};

    snprintf(path, sizeof path, "%s/%s", state_dir, DK_COLLECTOR_KEY_FILE);

    enum dk_err err = dk_file_read(path, &text, &reading);

    if (err == DK_ERR_NO_INPUT)
        return dk_fail(fault, DK_ERR_PERMISSION, path, todo, "is missing: this device is not enrolled");
    if (err != DK_OK)
        return dk_fail(fault, err, reading.where, reading.todo, "%s", reading.what);
    return dk_key_read_public(path, dk_buf_text(&text), text.len, out, fault);
}

enum dk_err dk_delivery_keys(const char *state_dir, const struct dk_key *own, struct dk_keys *out,
                             struct dk_fault *fault)
{
    dk_auto_keys struct dk_keys keys = {0};
    struct dk_fault reading = {0};
    enum dk_err err = own != NULL ? dk_ring_read_known(state_dir, own, &keys, &reading)
                                  : dk_ring_read_state(state_dir, &keys, &reading);

    // Without a key of its own a journal can still be delivered, unseen.
    if (err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err != DK_OK)
        return dk_fail(fault, err, reading.where, reading.todo, "%s", reading.what);
    *out = keys;
    keys = (struct dk_keys){0};
    return DK_OK;
}

enum dk_err dk_delivery(const struct dk_settings *settings, const struct dk_keys *device_keys, int interrupt_fd,
                        struct dk_deliver_result *out, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    dk_auto(key) struct dk_key *key = NULL;

    *out = (struct dk_deliver_result){0};
    if (settings->collector_url[0] == '\0')
        return dk_fail(fault, DK_ERR_CONFIG, "[collector] url", "set it, or give --collector URL",
                       "is not set");

    enum dk_err err = read_collector_key(settings->state_dir, &key, fault);

    if (err == DK_OK)
        err = dk_journal_open(settings->state_dir, false, &journal, fault);
    if (err == DK_OK)
        err = dk_journal_lock_delivery(journal, fault);
    if (err != DK_OK)
        return err;

    const struct dk_deliver_options options = {
        .url = settings->collector_url,
        .ca_file = settings->collector_ca_file,
        .user_agent = "dokiem/" DK_VERSION,
        .collector_key = key,
        .device_keys = device_keys->count > 0 ? device_keys : NULL,
        .timeout_ns = settings->collector_timeout_ns,
        .batch = settings->collector_batch,
        .interrupt_fd = interrupt_fd,
    };

    err = dk_deliver(journal, &options, out, fault);
    // Whether this can be kept decides nothing about the delivery.
    if (out->has_offset)
        (void)!dk_offset_keep(settings->state_dir, out->offset_ns, out->offset_error_ns, NULL);
    return err;
}
