// SPDX-License-Identifier: Apache-2.0
#include "collector/read.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/seal.h"

enum { ANSWER_MAX_BYTES = 64 << 20, BLOCK_BYTES = 64 << 10 };

// Records on their way out: one is held at a time.
struct stream {
    struct dk_store *store;
    struct dk_mono *progress;
    char device[DK_SHA256_TEXT_SIZE];
    bool receipts; // after each record, a line of its own
    bool all; // when this device has no more, the next one follows
    int64_t since, next, left;
    struct dk_buf line;
    size_t sent; // of line
};

static void set_type(struct MHD_Response *response, const char *type)
{
    if (response != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

struct MHD_Response *dk_read_text(const char *type, const char *text, size_t len)
{
    // Copied, so the cast does not let anyone write.
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);

    set_type(response, type);
    return response;
}

static struct MHD_Response *refuse(unsigned status, const char *reason, unsigned *out)
{
    dk_auto_buf struct dk_buf line = dk_buf_make(4096);

    *out = status;
    return dk_answer_refusal(status, reason, &line) == DK_OK
               ? dk_read_text("application/json", dk_buf_text(&line), line.len)
               : NULL;
}

static enum dk_err next_line(struct stream *stream)
{
    int64_t found = 0;

    if (stream->left == 0)
        return DK_ERR_NO_INPUT;
    dk_buf_free(&stream->line);
    stream->sent = 0;

    enum dk_err err =
        dk_store_next_record(stream->store, stream->device, stream->next, &found, &stream->line, NULL);

    while (err == DK_ERR_NO_INPUT && stream->all) {
        err = dk_store_next_device(stream->store, stream->device, stream->device, NULL);
        if (err != DK_OK)
            break;
        err = dk_store_next_record(stream->store, stream->device, stream->since, &found, &stream->line, NULL);
    }
    if (err == DK_OK)
        err = dk_buf_append(&stream->line, "\n", 1);
    if (err == DK_OK && stream->receipts)
        err = dk_store_receipt(stream->store, stream->device, found, &stream->line, NULL);
    if (err == DK_OK && stream->receipts)
        err = dk_buf_append(&stream->line, "\n", 1);
    stream->next = found + 1;
    stream->left--;
    return err;
}

static ssize_t send_block(void *argument, uint64_t position, char *out, size_t max)
{
    struct stream *stream = argument;
    size_t filled = 0;

    (void)position;
    *stream->progress = dk_mono_now();
    while (filled < max) {
        if (stream->sent == stream->line.len) {
            enum dk_err err = next_line(stream);

            if (err != DK_OK && filled > 0 && err == DK_ERR_NO_INPUT) {
                stream->left = 0;
                break;
            }
            if (err != DK_OK)
                return err == DK_ERR_NO_INPUT ? MHD_CONTENT_READER_END_OF_STREAM
                                              : MHD_CONTENT_READER_END_WITH_ERROR;
        }

        size_t part = stream->line.len - stream->sent;

        if (part > max - filled)
            part = max - filled;
        memcpy(out + filled, stream->line.data + stream->sent, part);
        stream->sent += part;
        filled += part;
    }
    return (ssize_t)filled;
}

static void free_stream(void *argument)
{
    struct stream *stream = argument;

    dk_buf_free(&stream->line);
    free(stream);
}

struct MHD_Response *dk_read_records(struct dk_store *store, const char *device, int64_t since, int64_t limit,
                                     bool receipts, struct dk_mono *progress, unsigned *status)
{
    struct dk_device found = {0};
    enum dk_err err = device != NULL ? dk_store_device(store, device, &found, NULL) : DK_OK;

    if (err == DK_ERR_NO_INPUT)
        return refuse(404, "there is no such device", status);
    if (err != DK_OK)
        return refuse(503, "the store cannot be read now", status);

    struct stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL)
        return NULL;
    *stream = (struct stream){.store = store,
                              .progress = progress,
                              .all = device == NULL,
                              .receipts = receipts,
                              .since = since,
                              .next = since,
                              .left = limit,
                              .line = dk_buf_make(DK_BODY_MAX_BYTES)};
    memcpy(stream->device, found.id, sizeof stream->device);

    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, send_block, stream, free_stream);

    if (response == NULL)
        free_stream(stream);
    set_type(response, "application/jose");
    *status = 200;
    return response;
}

static enum dk_err append_device(void *argument, const struct dk_device_summary *summary)
{
    struct dk_buf *out = argument;
    const struct dk_device *device = &summary->device;
    char enrolled[DK_RFC3339_SIZE];

    dk_wall_rfc3339(device->enrolled, enrolled);

    json_t *json =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "id", device->id, "state",
                  device->state, "site", "code", device->site_code, "name", device->site_name, "enrolled",
                  enrolled, "last_seq", (json_int_t)summary->last_seq, "records",
                  (json_int_t)summary->records, "gaps", (json_int_t)summary->gaps, "dropped",
                  (json_int_t)summary->dropped, "forks", (json_int_t)summary->forks, "cloned",
                  summary->forks > 0 && strcmp(device->state, DK_DEVICE_APPROVED) == 0, "jwk",
                  json_loads(device->jwk, 0, NULL));

    if (json != NULL && device->replaces[0] != '\0')
        json_object_set_new(json, "replaces", json_string(device->replaces));
    if (json != NULL && device->revoked_since.ns > 0) {
        dk_wall_rfc3339(device->revoked_since, enrolled);
        json_object_set_new(json, "revoked", json_string(enrolled));
    }

    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    enum dk_err err =
        text == NULL ? DK_ERR_MEMORY : dk_buf_printf(out, "%s\n%s", out->len == 1 ? "" : ",", text);

    free(text);
    json_decref(json);
    return err;
}

struct MHD_Response *dk_read_devices(struct dk_store *store, unsigned *status)
{
    dk_auto_buf struct dk_buf out = dk_buf_make(ANSWER_MAX_BYTES);
    enum dk_err err = dk_buf_append(&out, "[", 1);

    if (err == DK_OK)
        err = dk_store_devices(store, append_device, &out, NULL);
    if (err == DK_OK)
        err = dk_buf_append(&out, "\n]\n", 3);
    if (err != DK_OK)
        return refuse(503, "the store cannot be read now", status);
    *status = 200;
    return dk_read_text("application/json", dk_buf_text(&out), out.len);
}

struct MHD_Response *dk_read_metrics(struct dk_store *store, const struct dk_counters *counters,
                                     unsigned *status)
{
    const struct dk_intake_counts *records = &counters->records;
    int64_t cloned = 0;

    if (dk_store_count_cloned(store, &cloned, NULL) != DK_OK)
        return refuse(503, "the store cannot be read now", status);

    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"# TYPE dokiem_collector_records_total counter\ndokiem_collector_records_total{answer=\"stored\"}",
         records->stored},
        {"dokiem_collector_records_total{answer=\"there_already\"}", records->there},
        {"dokiem_collector_records_total{answer=\"malformed\"}", records->malformed},
        {"dokiem_collector_records_total{answer=\"unauthenticated\"}", records->unauthenticated},
        {"dokiem_collector_records_total{answer=\"forbidden\"}", records->forbidden},
        {"dokiem_collector_records_total{answer=\"fork\"}", records->forks},
        {"# TYPE dokiem_collector_not_now_total counter\ndokiem_collector_not_now_total",
         records->unavailable},
        {"# TYPE dokiem_collector_enrolments_total "
         "counter\ndokiem_collector_enrolments_total{answer=\"taken\"}",
         counters->enrolled},
        {"dokiem_collector_enrolments_total{answer=\"refused\"}", counters->enrolments_refused},
        {"# TYPE dokiem_collector_requests_total counter\ndokiem_collector_requests_total",
         counters->requests},
        {"# TYPE dokiem_collector_limited_total counter\ndokiem_collector_limited_total", counters->limited},
        {"# TYPE dokiem_collector_cloned_devices gauge\ndokiem_collector_cloned_devices", cloned},
        {"# TYPE dokiem_collector_held_bytes gauge\ndokiem_collector_held_bytes", counters->bytes_held},
    };
    dk_auto_buf struct dk_buf out = dk_buf_make(16384);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (dk_buf_printf(&out, "%s %" PRId64 "\n", rows[i].name, rows[i].value) != DK_OK)
            return NULL;
    *status = 200;
    return dk_read_text("text/plain; version=0.0.4; charset=utf-8", dk_buf_text(&out), out.len);
}
