// SPDX-License-Identifier: Apache-2.0
#include "agent/report/listed.h"

#include <stdio.h>
#include <string.h>

#include "agent/assess/flat.h"

enum { CHECKS_MAX = 64, TEXT_MAX_BYTES = 1200 };

struct reading {
    struct dk_listed *out;
    struct dk_texts *texts;
    uint64_t seen;
    uint64_t qcvn, pass, fail; // bit i: of check i
    char kind[16], start[DK_RFC3339_SIZE];
};

enum form {
    TEXT,   // const char *
    FIXED,  // char[], of any length that fits
    NUMBER, // int64_t
};

struct field {
    const char *path;
    enum form form;
    size_t offset, size;
};

#define LISTED(path, form, member)                                                                           \
    {                                                                                                        \
        path, form, offsetof(struct dk_listed, member), sizeof((struct dk_listed *)0)->member                \
    }

static const struct field fields[] = {
    LISTED("schema", FIXED, head.schema),
    LISTED("id", FIXED, head.id),
    LISTED("seq", NUMBER, head.seq),
    LISTED("prev", FIXED, head.prev),
    LISTED("device.id", FIXED, head.device_id),
    LISTED("site.code", TEXT, site),
    LISTED("site.name", TEXT, site_name),
    LISTED("link.operator", TEXT, link_operator),
    LISTED("link.technology", TEXT, technology),
    LISTED("verdict.outcome", TEXT, outcome),
    LISTED("validity.state", TEXT, validity),
    LISTED("download.rate_bps", NUMBER, download_bps),
    LISTED("upload.rate_bps", NUMBER, upload_bps),
    LISTED("latency.idle.rtt_median_ns", NUMBER, latency_ns),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static bool is(const char *text, size_t len, const char *wanted)
{
    return strlen(wanted) == len && memcmp(text, wanted, len) == 0;
}

static enum dk_err take(struct reading *reading, const struct field *field,
                        const struct dk_flat_member *member)
{
    char *place = (char *)reading->out + field->offset;

    if (field->form == NUMBER && member->type == DK_FLAT_INTEGER) {
        memcpy(place, &member->integer, sizeof member->integer);
    } else if (field->form == FIXED && member->type == DK_FLAT_TEXT && member->len < field->size) {
        memcpy(place, member->text, member->len);
        place[member->len] = '\0';
    } else if (field->form == TEXT && member->type == DK_FLAT_TEXT) {
        const char *text = "";
        size_t len = member->len < TEXT_MAX_BYTES ? member->len : TEXT_MAX_BYTES;
        enum dk_err err = dk_texts_add(reading->texts, member->text, len, &text);

        memcpy(place, &text, sizeof text);
        return err;
    } else if (member->type != DK_FLAT_NULL) {
        return DK_ERR_DATA;
    }
    return DK_OK;
}

// A text kept for later, of the reading itself.
static enum dk_err keep(const struct dk_flat_member *member, char *out, size_t size)
{
    if (member->type != DK_FLAT_TEXT || member->len >= size || out[0] != '\0')
        return DK_ERR_DATA;
    memcpy(out, member->text, member->len);
    out[member->len] = '\0';
    return DK_OK;
}

static enum dk_err on_member(void *argument, const struct dk_flat_member *member)
{
    struct reading *reading = argument;

    if (is(member->path, member->path_len, "kind"))
        return keep(member, reading->kind, sizeof reading->kind);
    if (is(member->path, member->path_len, "time.start"))
        return keep(member, reading->start, sizeof reading->start);
    if (member->path_len > 17 && memcmp(member->path, "verdict.checks[].", 17) == 0 &&
        member->item < CHECKS_MAX && member->type == DK_FLAT_TEXT) {
        const char *name = member->path + 17;
        size_t len = member->path_len - 17;

        if (is(name, len, "family") && is(member->text, member->len, "qcvn"))
            reading->qcvn |= UINT64_C(1) << member->item;
        if (is(name, len, "outcome") && is(member->text, member->len, "pass"))
            reading->pass |= UINT64_C(1) << member->item;
        if (is(name, len, "outcome") && is(member->text, member->len, "fail"))
            reading->fail |= UINT64_C(1) << member->item;
        return DK_OK;
    }
    for (size_t i = 0; i < FIELDS; i++)
        if (is(member->path, member->path_len, fields[i].path)) {
            if ((reading->seen & UINT64_C(1) << i) != 0)
                return DK_ERR_DATA;
            reading->seen |= UINT64_C(1) << i;
            return take(reading, &fields[i], member);
        }
    return DK_OK;
}

static enum dk_err wrong(struct dk_fault *fault, const char *where, const char *allowed)
{
    return dk_fail(fault, DK_ERR_DATA, where, NULL, "must be %s", allowed);
}

// The head as a whole: what record.c demands of it as well.
static enum dk_err check_head(const struct reading *reading, struct dk_fault *fault)
{
    struct dk_record_head *head = &reading->out->head;

    if (strcmp(head->schema, DK_RECORD_SCHEMA) != 0)
        return dk_fail(fault, DK_ERR_DATA, "schema", NULL, "'%s' is not %s, the one that is known here",
                       head->schema, DK_RECORD_SCHEMA);
    if (strlen(head->id) != DK_UUID_SIZE - 1 || strspn(head->id, "0123456789abcdef-") != DK_UUID_SIZE - 1)
        return wrong(fault, "id", "a UUID");
    if (head->seq < 1 || head->seq > DK_RECORD_SEQ_MAX)
        return wrong(fault, "seq", "a number from 1 to 9999999999");
    if (strlen(head->device_id) != DK_SHA256_TEXT_SIZE - 1)
        return wrong(fault, "device.id", "a thumbprint of 43 characters");
    if (!dk_kind_parse(reading->kind, &head->kind))
        return wrong(fault, "kind", "measurement, skipped or failed");
    if (!dk_wall_parse(reading->start, &head->start))
        return wrong(fault, "time.start", "a date in UTC with milliseconds");
    return DK_OK;
}

enum dk_err dk_listed_read(const char *json, size_t len, struct dk_texts *texts, struct dk_buf *scratch,
                           struct dk_listed *out, struct dk_fault *fault)
{
    struct reading reading = {.out = out, .texts = texts};

    out->head = (struct dk_record_head){0};
    out->site = out->site_name = out->link_operator = out->technology = out->outcome = out->validity = "";
    out->download_bps = out->upload_bps = out->latency_ns = -1;
    out->readable = false;

    enum dk_err err = dk_flat_read(json, len, true, scratch, on_member, &reading, fault);

    if (err == DK_OK)
        err = check_head(&reading, fault);
    if (err == DK_ERR_DATA)
        return dk_fail(fault, err, "record", NULL,
                       "a member of the record has another form, or stands twice");
    out->readable = err == DK_OK;
    out->qcvn = reading.fail != 0 ? (reading.fail & reading.qcvn) != 0
                                  : reading.pass != 0 && (reading.pass & ~reading.qcvn) == 0;
    return err;
}
