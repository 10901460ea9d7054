// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/deliver/answer.h"
#include "agent/deliver/deliver.h"
#include "agent/deliver/exchange.h"
#include "agent/record/json.h"
#include "agent/record/seal.h"

enum { ENROL_MAX_BYTES = 16 << 10 };

DK_DEFINE_FREE(json, json_t, json_decref)

static enum dk_err make_enrolment(const struct dk_deliver_options *options, const struct dk_key *device,
                                  const char *device_id, const char *token, const char *site_code,
                                  const char *site_name, struct dk_buf *jws, struct dk_fault *fault)
{
    char now[DK_RFC3339_SIZE];
    dk_auto_buf struct dk_buf jwk = dk_buf_make(ENROL_MAX_BYTES);
    enum dk_err err = dk_key_public_jwk(device, &jwk);

    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
    dk_wall_rfc3339(dk_wall_now(), now);

    dk_auto(json) json_t *member = dk_json_load(dk_buf_text(&jwk), jwk.len, NULL, &err);

    if (err != DK_OK)
        return dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));

    json_error_t error = {0};
    dk_auto(json) json_t *json = json_pack_ex(
        &error, 0, "{s:s, s:O, s:s, s:{s:s, s:s}, s:{s:s, s:s}, s:s}", "schema", "dokiem.enrol/1", "jwk",
                  member, "token", token, "site", "code", site_code, "name",
                  site_name, "device", "id", device_id, "software", options->user_agent, "time", now);
    dk_auto_buf struct dk_buf payload = dk_buf_make(ENROL_MAX_BYTES);

    if (json == NULL && json_error_code(&error) != json_error_invalid_utf8)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    if (json == NULL)
        return dk_fail(fault, DK_ERR_USAGE, "token or site", NULL, "is not UTF-8 text");
    err = dk_json_dump(json, &payload);
    return err == DK_OK ? dk_seal(device, DK_TYP_ENROL, payload.data, payload.len, jws, fault)
                        : dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
}

static enum dk_err fail_refused(const struct dk_deliver_options *options, const struct dk_response *response,
                                struct dk_fault *fault)
{
    struct dk_answer answer = {.receipt = dk_buf_make(ENROL_MAX_BYTES)};
    const char *words = "no reason given";

    if (dk_answer_read(dk_buf_text(&response->body), response->body.len, &answer) == DK_OK && answer.reason[0] != '\0')
        words = answer.reason;
    dk_buf_free(&answer.receipt);
    switch (dk_status_meaning(response->status)) {
    case DK_MEANING_FORBIDDEN:
        return dk_fail(fault, DK_ERR_PERMISSION, options->url,
                       "ask the collector's operator for a new token (dokiem-collector token)",
                       "the collector refuses the enrolment (%ld): %s", response->status, words);
    case DK_MEANING_NOT_NOW:
        return dk_fail(fault, DK_ERR_NOT_NOW, options->url, "try again later, with the same token",
                       "the collector cannot enrol now (%ld): %s", response->status, words);
    case DK_MEANING_MALFORMED:
        return dk_fail(fault, DK_ERR_DATA, options->url, "check [site] and the versions of both programs",
                       "the collector calls the enrolment malformed: %s", words);
    case DK_MEANING_STORED:
    case DK_MEANING_FORK:
    case DK_MEANING_NONSENSE:
    default:
        return dk_fail(fault, DK_ERR_DATA, options->url, "check the collector's URL",
                       "the answer makes no sense (%ld): %s", response->status, words);
    }
}

static enum dk_err read_answer(const struct dk_deliver_options *options, const struct dk_response *response,
                               const char *id, struct dk_buf *collector_jwk, bool *approved,
                               struct dk_fault *fault)
{
    if (dk_status_meaning(response->status) != DK_MEANING_STORED)
        return fail_refused(options, response, fault);

    enum dk_err err = DK_OK;
    dk_auto(json) json_t *json = dk_json_load(dk_buf_text(&response->body), response->body.len, NULL, &err);
    const char *said_id = json_string_value(json_object_get(json, "id"));
    const char *state = json_string_value(json_object_get(json, "state"));
    const json_t *collector = json_object_get(json, "collector");
    dk_auto_buf struct dk_buf jwk = dk_buf_make(ENROL_MAX_BYTES);
    dk_auto(key) struct dk_key *key = NULL;
    bool good = said_id != NULL && strcmp(said_id, id) == 0 && state != NULL &&
                (strcmp(state, "pending") == 0 || strcmp(state, "approved") == 0) && json_is_object(collector);

    if (good)
        err = dk_json_dump(collector, &jwk);
    if (good && err == DK_OK)
        err = dk_key_read_public(options->url, dk_buf_text(&jwk), jwk.len, &key, NULL);
    if (err != DK_OK && err != DK_ERR_DATA)
        return dk_fail(fault, err, options->url, NULL, "%s", dk_err_text(err));
    if (!good || err != DK_OK)
        return dk_fail(
            fault, DK_ERR_DATA, options->url, "check the collector's URL",
            "the answer makes no sense: it must hold this device's id, a state and the collector's key");
    *approved = strcmp(state, "approved") == 0;
    err = dk_key_public_jwk(key, collector_jwk);
    return err == DK_OK ? DK_OK : dk_fail(fault, err, NULL, NULL, "%s", dk_err_text(err));
}

enum dk_err dk_enrol(const struct dk_deliver_options *options, const struct dk_key *device, const char *device_id,
                     const char *token, const char *site_code, const char *site_name, struct dk_buf *collector_jwk,
                     bool *approved, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf jws = dk_buf_make(ENROL_MAX_BYTES);
    struct dk_response response = {.body = dk_buf_make(ENROL_MAX_BYTES)};
    struct dk_patience patience = {DK_TRIES};
    enum dk_err err = make_enrolment(options, device, device_id, token, site_code, site_name, &jws, fault);

    if (err == DK_OK)
        err = dk_exchange_start(fault);
    if (err != DK_OK)
        return err;

    bool again = true;

    while (again) {
        struct dk_fault attempt = {0};
        enum dk_err interrupted = DK_OK;

        err = dk_exchange(options, "/v1/devices", "application/jose", jws.data, jws.len, &response, &attempt);
        if (err == DK_OK)
            err = read_answer(options, &response, device_id, collector_jwk, approved, &attempt);
        again = err == DK_ERR_NOT_NOW && !response.pointless &&
                dk_wait_to_retry(options, &patience, response.retry_after_ns, &interrupted);
        if (again && interrupted != DK_OK) {
            err = dk_fail(fault, interrupted, options->url, NULL, "interrupted");
            again = false;
        } else if (!again && err != DK_OK) {
            err = dk_fail(fault, err, attempt.where, attempt.todo, "%s", attempt.what);
        }
    }
    dk_exchange_end();
    dk_buf_free(&response.body);
    return err;
}
