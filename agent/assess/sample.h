// SPDX-License-Identifier: Apache-2.0
//
// Samples: of each record, or each row of an export, what a finding about a place needs, small enough for a million of
// them. One run is one sample. docs/assess.md, "Rows", has the names.
#pragma once

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/terms.h"
#include "agent/judge/verdict.h"
#include "config/rules.h"
#include "config/site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DK_ROW_SCHEMA "dokiem.sample/1"

// The texts that say where a sample was taken, by their path in the record; also names of a row.
#define DK_ORIGIN_TEXT_LIST(X)                                                                               \
    X(DEVICE, "device.id")                                                                                   \
    X(SITE, "site.code")                                                                                     \
    X(SITE_NAME, "site.name")                                                                                \
    X(COMMUNE, "site.commune")                                                                               \
    X(HAMLET, "site.hamlet")                                                                                 \
    X(OPERATOR, "link.operator")                                                                             \
    X(MEDIUM, "link.medium")                                                                                 \
    X(SERVER, "server.name")

enum dk_origin_text {
#define X(name, text) DK_ORIGIN_##name,
    DK_ORIGIN_TEXT_LIST(X)
#undef X
    DK_ORIGIN_TEXT_COUNT,
};

// What many samples have in common: kept once.
struct dk_origin {
    const char *text[DK_ORIGIN_TEXT_COUNT]; // "" when not said; valid UTF-8, not clean; equal texts are one pointer
    struct dk_site site;
    enum dk_technology technology;
    int32_t ipv6; // 1 the link had IPv6, 0 it had not, -1 not said
};

// The parts of a run that can fail by themselves.
#define DK_PART_LIST(X)                                                                                      \
    X(SERVER, "server.status")                                                                               \
    X(DOWNLOAD, "download.status")                                                                           \
    X(UPLOAD, "upload.status")                                                                               \
    X(LATENCY, "latency.idle.status")

enum dk_part {
#define X(name, text) DK_PART_##name,
    DK_PART_LIST(X)
#undef X
    DK_PART_COUNT,
};

// What became of the run: kept once for all samples that are alike.
struct dk_sample_state {
    enum dk_kind kind; // MEASUREMENT or FAILED
    enum dk_status status[DK_PART_COUNT];
    enum dk_validity_state validity;
    // Bit 1 << code for each flag, by the figure it bears on; DK_FLAG_OTHER for a flag that this program does not know.
    uint32_t flags[DK_FLAG_FIGURE_UPLOAD + 1];
    bool confirms; // the repeat of a run that failed its check: not drawn at random, so no sample
};
#define DK_FLAG_OTHER (UINT32_C(1) << 31)

struct dk_samples;

enum { DK_SAMPLES_MAX = 1 << 24 };
// A figure above is none: more than 1000 Gb/s, more than 1000 s. So the sum of all samples fits 64 bits.
#define DK_SAMPLE_VALUE_MAX INT64_C(1'000'000'000'000)

// What became of one that was handed in.
enum dk_intake {
    DK_INTAKE_TAKEN,
    DK_INTAKE_SKIPPED,   // a run that was skipped measured nothing: no sample
    DK_INTAKE_OTHER,     // a record that is about no run: no sample
    DK_INTAKE_DUPLICATE, // the same id and content as one that is there; not taken
    DK_INTAKE_CONFLICT,  // the same id and other content, in what is kept; both are marked
    DK_INTAKE_SCHEMA,    // its schema is unknown; the fault names it
    DK_INTAKE_MALFORMED, // the fault says why
    DK_INTAKE_REFUSED,   // by who handed it in (dk_samples_accept)
};

// What a record says of itself, borrowed.
struct dk_sample_head {
    const char *device_id;
    int64_t seq;
    struct dk_wall start;
    enum dk_kind kind;
};
// Whether the key that signed may have signed this. DATA refuses it, and `why` says why; other errors end the reading.
typedef enum dk_err dk_samples_accept(void *argument, const struct dk_sample_head *head, struct dk_fault *why);

// An empty set that keeps the figures of `indicators` (a bit 1 << indicator for each; DK_INDICATORS_ALL), no others:
// each takes 8 MB of a million samples, beside 16. Free with dk_samples_free. Errors: MEMORY.
enum dk_err dk_samples_new(uint32_t indicators, struct dk_samples **out);
#define DK_INDICATORS_ALL UINT32_MAX
void dk_samples_free(struct dk_samples *samples);
DK_DEFINE_FREE(samples, struct dk_samples, dk_samples_free)

// Takes the payload of a sealed record whose signature was checked before, and which `accept` accepts; or one row of an
// export (a flat JSON object). Strict: each member that is used stands once and has its form. *intake says what
// became of it; of what was not taken as it should be, `why` says why. Errors: MEMORY; DATA (DK_SAMPLES_MAX of them).
enum dk_err dk_samples_add_record(struct dk_samples *samples, const char *json, size_t len,
                                  dk_samples_accept *accept, void *argument, enum dk_intake *intake,
                                  struct dk_fault *why);
enum dk_err dk_samples_add_row(struct dk_samples *samples, const char *json, size_t len, enum dk_intake *intake,
                               struct dk_fault *why);

// The columns of a CSV export, from its first line: names of a row in any order, separated by ',' or ';'. Columns of
// other names are passed over. Errors: DATA (not such a line; one twice; schema or id is missing), MEMORY.
struct dk_csv_columns;
enum dk_err dk_csv_columns_read(const char *line, size_t len, struct dk_csv_columns **out, struct dk_fault *fault);
void dk_csv_columns_free(struct dk_csv_columns *columns);
DK_DEFINE_FREE(csv_columns, struct dk_csv_columns, dk_csv_columns_free)
// Takes one further line (RFC 4180, no line end within a field). An empty field is not said.
enum dk_err dk_samples_add_csv(struct dk_samples *samples, const struct dk_csv_columns *columns, const char *line,
                               size_t len, enum dk_intake *intake, struct dk_fault *why);

// Forgets what only further adding needs: a third of the memory.
void dk_samples_seal(struct dk_samples *samples);

// How many there are, and of sample 0 … count − 1 its parts; borrowed, good until the next one is added.
size_t dk_samples_count(const struct dk_samples *samples);
struct dk_wall dk_samples_start(const struct dk_samples *samples, size_t i);
// When the run ended, by its own duration.
struct dk_wall dk_samples_end(const struct dk_samples *samples, size_t i);
const struct dk_origin *dk_samples_origin(const struct dk_samples *samples, size_t i);
const struct dk_sample_state *dk_samples_state(const struct dk_samples *samples, size_t i);
// Another sample has the same id and other content: nobody can tell which is true.
bool dk_samples_conflict(const struct dk_samples *samples, size_t i);
// Origins are numbered from 0: that of sample i, how many there are, and one by its number.
size_t dk_samples_origin_number(const struct dk_samples *samples, size_t i);
const struct dk_origin *dk_samples_origin_at(const struct dk_samples *samples, size_t number);
size_t dk_samples_origin_count(const struct dk_samples *samples);
// The figure in bit/s or ns; -1 when there is none or it was not kept, and for a status.
int64_t dk_samples_value(const struct dk_samples *samples, size_t i, enum dk_indicator indicator);
// The part of the run that an indicator belongs to.
enum dk_part dk_part_of(enum dk_indicator indicator);
