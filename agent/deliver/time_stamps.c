// SPDX-License-Identifier: Apache-2.0
#include "agent/deliver/time_stamps.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/deliver/exchange.h"
#include "agent/record/seal.h"

enum { FETCHED_MAX = 100 };

static const int64_t timeout_ns = 10 * DK_NS_PER_S;

struct fetching {
    struct dk_journal *journal;
    const struct dk_time_stamps_options *options;
    struct dk_deliver_options exchange;
    struct dk_response response;
    int64_t wanted[FETCHED_MAX]; // numbers of records, in the order of asking
    size_t count;
};

// The day in Viet Nam, counted from 1970.
static int64_t day_of(struct dk_wall when)
{
    return (when.ns + DK_VIETNAM_NS) / DK_NS_PER_S / 86400;
}

static void find_wanted(struct fetching *f, const struct dk_journal_entry *entries, size_t count)
{
    bool daily = f->options->each == DK_EACH_DAY;
    size_t first = count, last = 0;
    struct dk_wall when = {0};

    for (size_t i = 0; i < count; i++)
        if (entries[i].time_stamped) {
            first = first < count ? first : i;
            last = i;
        }
    if (count == 0 || (daily && first < count && dk_journal_time_stamped(f->journal, entries[last].seq, &when) &&
                       day_of(when) == day_of(dk_wall_now())))
        return;

    // Before the first stamp, or once a day, the last record stands for all.
    size_t end = daily || first == count ? count - 1 : first;

    for (size_t i = count; i-- > end && f->count < FETCHED_MAX;)
        if (!entries[i].time_stamped)
            f->wanted[f->count++] = entries[i].seq;
}

static enum dk_err fail_exchange(const struct fetching *f, enum dk_err err, const struct dk_fault *why,
                                 struct dk_fault *fault)
{
    const char *url = f->options->url, *words = f->response.trouble;

    if (err == DK_ERR_NOT_NOW && f->response.pointless)
        return dk_fail(fault, err, url, "correct [time_stamp] url; all records are kept",
                       "the time-stamping authority cannot be asked: %s", words);
    if (err == DK_ERR_NOT_NOW)
        return dk_fail(fault, err, url, "it is asked again by the next run or dokiem deliver; all records are kept",
                       "the time-stamping authority does not answer: %s", words);
    if (err == DK_ERR_DATA)
        return dk_fail(fault, err, url, "check [time_stamp] url; all records are kept",
                       "what answers is no time-stamping authority: %s",
                       words[0] != '\0' ? words : "the answer is longer than any time stamp");
    return dk_fail(fault, err, url, NULL, "%s", why->what);
}

// Asks once for a stamp of the record with the hash in *query, and keeps it.
static enum dk_err ask(struct fetching *f, int64_t seq, struct dk_time_stamp_query *query, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf request = dk_buf_make(DK_TIME_STAMP_MAX_BYTES);
    struct dk_time_stamp stamp;
    struct dk_fault why = {0};
    const char *url = f->options->url;
    enum dk_err err = dk_time_stamp_ask(query, &request, fault);

    f->response.pointless = false;
    f->response.retry_after_ns = 0;
    if (err != DK_OK)
        return err;
    err = dk_exchange(&f->exchange, "", "application/timestamp-query", request.data, request.len, &f->response,
                      &why);
    if (err != DK_OK)
        return fail_exchange(f, err, &why, fault);
    if (f->response.status == 429 || f->response.status >= 500)
        return dk_fail(fault, DK_ERR_NOT_NOW, url,
                       "it is asked again by the next run or dokiem deliver; all records are kept",
                       "the time-stamping authority cannot now (HTTP status %ld)", f->response.status);
    if (f->response.status != 200)
        return dk_fail(fault, DK_ERR_DATA, url, "check [time_stamp] url; all records are kept",
                       "what answers is no time-stamping authority: HTTP status %ld", f->response.status);
    err = dk_time_stamp_check(f->options->tsa, query, f->response.body.data, f->response.body.len, &stamp, &why);
    if (err == DK_ERR_DATA || err == DK_ERR_NOT_NOW)
        return dk_fail(fault, err, url,
                       "check [time_stamp] url, ca_file and policy; all records are kept",
                       "the time stamp of record %lld is not good, and is not kept: %s", (long long)seq, why.what);
    if (err != DK_OK)
        return dk_fail(fault, err, why.where, why.todo, "%s", why.what);
    return dk_journal_keep_time_stamp(f->journal, seq, f->response.body.data, f->response.body.len, fault);
}

// Until it is kept, or patience ends. A record that cannot be read is left out: there is nothing to stamp.
static enum dk_err fetch_one(struct fetching *f, int64_t seq, int64_t *kept, struct dk_fault *fault)
{
    struct dk_patience patience = {DK_TRIES};
    struct dk_time_stamp_query query = {0};
    dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
    struct dk_fault reading = {0};
    enum dk_err err = dk_journal_read(f->journal, seq, &jws, &reading);

    if (err == DK_ERR_DATA || err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err == DK_OK)
        err = dk_sha256_text(jws.data, jws.len, query.record_sha256);
    if (err != DK_OK)
        return dk_fail(fault, err, reading.where, reading.todo, "%s", reading.what);
    snprintf(query.policy, sizeof query.policy, "%s", f->options->policy);
    for (;;) {
        struct dk_fault attempt = {0};
        enum dk_err interrupted = DK_OK;

        err = ask(f, seq, &query, &attempt);
        *kept += err == DK_OK;
        if (err == DK_OK)
            return DK_OK;
        if (err != DK_ERR_NOT_NOW || f->response.pointless ||
            !dk_wait_to_retry(&f->exchange, &patience, f->response.retry_after_ns, &interrupted))
            return dk_fail(fault, err, attempt.where, attempt.todo, "%s", attempt.what);
        if (interrupted != DK_OK)
            return dk_fail(fault, interrupted, f->options->url, NULL, "interrupted; all records are kept");
    }
}

enum dk_err dk_time_stamps_fetch(struct dk_journal *journal, const struct dk_time_stamps_options *options,
                                 int64_t *kept, struct dk_fault *fault)
{
    struct fetching f = {
        .journal = journal,
        .options = options,
        // An authority for TLS need not be one for time stamps: the system's are trusted for the way there.
        .exchange = {.url = options->url,
                     .ca_file = "",
                     .user_agent = options->user_agent,
                     .timeout_ns = timeout_ns,
                     .interrupt_fd = options->interrupt_fd},
        .response = {.body = dk_buf_make(DK_TIME_STAMP_MAX_BYTES)},
    };
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    *kept = 0;
    if (err != DK_OK)
        return err;
    find_wanted(&f, entries, count);
    free(entries);
    if (f.count == 0)
        return DK_OK;
    err = dk_exchange_start(fault);
    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < f.count && err == DK_OK; i++)
        err = fetch_one(&f, f.wanted[i], kept, fault);
    dk_exchange_end();
    dk_buf_free(&f.response.body);
    return err;
}
