// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/assess/flat.h"
#include "agent/base/parse.h"

// What a name stands for.
enum {
    SCHEMA,
    ID,
    KIND,
    START,
    SEQ,
    DURATION,
    TEXT,
    RATE,
    TECHNOLOGY,
    ENVIRONMENT,
    SUBSCRIBER,
    IPV6,
    STATUS,
    VALUE,
    VALIDITY,
    FLAGS,       // of a row: "host_limited:download unsteady:all"
    FLAG_CODE,   // of a record
    FLAG_FIGURE, // of a record
    CONFIRMS,
};

struct name {
    const char *path;
    size_t len;
    int what;
    int index;
};

#define ROW(path, what, index) {path, sizeof(path) - 1, what, index}
// In the order of an export.
static const struct name names[] = {
    ROW("schema", SCHEMA, 0),
    ROW("id", ID, 0),
    ROW("kind", KIND, 0),
    ROW("time.start", START, 0),
    ROW("time.duration_ns", DURATION, 0),
    ROW("seq", SEQ, 0),
#define X(name, text) ROW(text, TEXT, DK_ORIGIN_##name),
    DK_ORIGIN_TEXT_LIST(X)
#undef X
#define X(name, text) ROW("site." text "_bps", RATE, DK_SITE_RATE_##name),
    DK_SITE_RATE_LIST(X)
#undef X
    ROW("site.environment", ENVIRONMENT, 0),
    ROW("site.subscriber", SUBSCRIBER, 0),
    ROW("link.technology", TECHNOLOGY, 0),
    ROW("link.ipv6", IPV6, 0),
#define X(name, text) ROW(text, STATUS, DK_PART_##name),
    DK_PART_LIST(X)
#undef X
    ROW("download.rate_bps", VALUE, 0),
    ROW("download.rate_whole_bps", VALUE, 1),
    ROW("upload.rate_bps", VALUE, 2),
    ROW("upload.rate_whole_bps", VALUE, 3),
    ROW("latency.idle.rtt_median_ns", VALUE, 4),
    ROW("server.access_ns", VALUE, 5),
    ROW("validity.state", VALIDITY, 0),
    ROW("validity.flags", FLAGS, 0),
    ROW("inspection.confirms", CONFIRMS, 0),
    // Of a record alone.
    ROW("validity.flags[].code", FLAG_CODE, 0),
    ROW("validity.flags[].figure", FLAG_FIGURE, 0),
};

enum { NAMES = sizeof names / sizeof names[0], COLUMNS_MAX = 256 };
#define SEQ_MAX INT64_C(9999999999) // ten digits, as the journal names its files
_Static_assert(NAMES <= 64, "one bit a name");
_Static_assert(DK_SITE_RATE_MAX_BPS == DK_SAMPLE_VALUE_MAX, "one bound for all rates");

struct dk_csv_columns {
    size_t count;
    int8_t name[COLUMNS_MAX]; // number in `names`; -1 for one that is passed over
    char separator;
};

struct reading {
    struct dk_row *row;
    struct dk_texts *texts;
    struct dk_fault *fault;
    const char *schema; // that it must have
    bool is_record;
    uint64_t seen;
    size_t last; // name that was found last: the next is likely the one behind it
    uint32_t codes[DK_FLAGS_MAX], figures[DK_FLAGS_MAX]; // of flags, by their place; 0 for none
};

int dk_row_column(enum dk_indicator indicator)
{
    switch (indicator) {
    case DK_INDICATOR_DOWNLOAD_RATE:
        return 0;
    case DK_INDICATOR_DOWNLOAD_RATE_WHOLE:
        return 1;
    case DK_INDICATOR_UPLOAD_RATE:
        return 2;
    case DK_INDICATOR_UPLOAD_RATE_WHOLE:
        return 3;
    case DK_INDICATOR_LATENCY_IDLE_MEDIAN:
        return 4;
    case DK_INDICATOR_ACCESS_TIME:
        return 5;
    case DK_INDICATOR_ACCESS:
    case DK_INDICATOR_DOWNLOAD:
    case DK_INDICATOR_UPLOAD:
    default:
        return -1;
    }
}

const char *dk_row_name(size_t number)
{
    return number < NAMES && names[number].what != FLAG_CODE && names[number].what != FLAG_FIGURE
               ? names[number].path
               : NULL;
}

static bool is_name(size_t i, const char *path, size_t len)
{
    return names[i].len == len && memcmp(names[i].path, path, len) == 0;
}

// NAMES when there is none.
static size_t find_name(const char *path, size_t len, size_t last)
{
    for (size_t i = last + 1; i < NAMES; i++)
        if (is_name(i, path, len))
            return i;
    for (size_t i = 0; i <= last && i < NAMES; i++)
        if (is_name(i, path, len))
            return i;
    return NAMES;
}

static enum dk_err wrong(const struct reading *r, const struct name *name, const char *allowed)
{
    return dk_fail(r->fault, DK_ERR_DATA, name->path, NULL, "must be %s", allowed);
}

static bool copy_word(const struct dk_flat_member *member, char *out, size_t size)
{
    if (member->type != DK_FLAT_TEXT || member->len >= size)
        return false;
    memcpy(out, member->text, member->len);
    out[member->len] = '\0';
    return true;
}

static bool read_id(const struct dk_flat_member *member, uint8_t out[static DK_ROW_ID_SIZE])
{
    static const char shape[] = "xxxxxxxx-xxxx-7xxx-vxxx-xxxxxxxxxxxx";
    size_t digits = 0;

    if (member->type != DK_FLAT_TEXT || member->len != sizeof shape - 1)
        return false;
    memset(out, 0, DK_ROW_ID_SIZE);
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        char c = member->text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (shape[i] == '-') {
            if (c != '-')
                return false;
            continue;
        }
        if (digit < 0 || (shape[i] == '7' && c != '7') || (shape[i] == 'v' && (digit < 8 || digit > 11)))
            return false;
        out[digits / 2] = (uint8_t)(out[digits / 2] | digit << (digits % 2 == 0 ? 4 : 0));
        digits++;
    }
    return true;
}

// The bit of a flag; DK_FLAG_OTHER for one of a later version.
static uint32_t flag_bit(const char *text, size_t len)
{
#define X(name, text) text,
    static const char *const codes[] = {DK_FLAG_LIST(X)};
#undef X

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(codes[i], text, len) == 0 && codes[i][len] == '\0')
            return UINT32_C(1) << i;
    return DK_FLAG_OTHER;
}

// The number of a figure + 1; one of a later version bears on all.
static uint32_t flag_figure(const char *text, size_t len)
{
#define X(name, text) text,
    static const char *const figures[] = {DK_FLAG_FIGURE_LIST(X)};
#undef X

    for (uint32_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        if (strncmp(figures[i], text, len) == 0 && figures[i][len] == '\0')
            return i + 1;
    return DK_FLAG_FIGURE_ALL + 1;
}

static bool read_flags(struct reading *r, const struct dk_flat_member *member)
{
    const char *at = member->text, *end = at + member->len;

    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space != NULL ? space : end;
        const char *colon = memchr(at, ':', (size_t)(stop - at));

        if (colon == NULL || colon == at || colon + 1 == stop || stop + 1 == end)
            return false;
        r->row->state.flags[flag_figure(colon + 1, (size_t)(stop - colon - 1)) - 1] |=
            flag_bit(at, (size_t)(colon - at));
        at = stop + (stop < end);
    }
    return true;
}

static enum dk_err read_schema(struct reading *r, const struct dk_flat_member *member)
{
    if (member->type == DK_FLAT_TEXT && member->len == strlen(r->schema) &&
        memcmp(member->text, r->schema, member->len) == 0)
        return DK_OK;
    r->row->has_unknown_schema = true;
    if (member->type != DK_FLAT_TEXT || member->len > 64)
        return dk_fail(r->fault, DK_ERR_DATA, "schema", NULL, "is unknown; here it must be \"%s\"", r->schema);
    return dk_fail(r->fault, DK_ERR_DATA, "schema", NULL, "\"%.*s\" is unknown; here it must be \"%s\"",
                   (int)member->len, member->text, r->schema);
}

static enum dk_err read_text(struct reading *r, const struct name *name, const struct dk_flat_member *member)
{
    if (member->type != DK_FLAT_TEXT || member->len > DK_ROW_TEXT_MAX)
        return wrong(r, name, "a text of at most 4096 bytes");

    enum dk_err err = dk_texts_add(r->texts, member->text, member->len, &r->row->origin.text[name->index]);

    return err == DK_ERR_DATA ? dk_fail(r->fault, err, name->path, NULL, "too many different texts") : err;
}

// Texts that are one of a list.
static enum dk_err read_word(struct reading *r, const struct name *name, const struct dk_flat_member *member)
{
    struct dk_row *row = r->row;
    char word[32];
    bool copied = copy_word(member, word, sizeof word);

    switch (name->what) {
    case KIND:
        return copied && dk_kind_parse(word, &row->state.kind) ? DK_OK : wrong(r, name, "a kind of record");
    case START:
        return copied && dk_wall_parse(word, &row->start) ? DK_OK
                                                          : wrong(r, name, "a time like 2026-11-20T04:05:06.789Z");
    case TECHNOLOGY:
        return copied && dk_technology_parse(word, &row->origin.technology)
                   ? DK_OK
                   : wrong(r, name, "4g, 5g, fixed, auto or unknown");
    case ENVIRONMENT:
        return copied && dk_environment_parse(word, &row->origin.site.environment)
                   ? DK_OK
                   : wrong(r, name, "indoor, outdoor, moving or unstated");
    case SUBSCRIBER:
        return copied && dk_subscriber_parse(word, &row->origin.site.subscriber)
                   ? DK_OK
                   : wrong(r, name, "household, organisation or unstated");
    case STATUS:
        return copied && dk_status_parse(word, &row->state.status[name->index])
                   ? DK_OK
                   : wrong(r, name, "ok, failed, not_measured or invalid");
    default: {
        enum dk_validity_state state = DK_VALIDITY_VALID;

        while (copied && strcmp(dk_validity_text(state), word) != 0 && state != DK_VALIDITY_INVALID)
            state++;
        row->state.validity = state;
        return copied && strcmp(dk_validity_text(state), word) == 0 ? DK_OK
                                                                    : wrong(r, name, "valid, suspect or invalid");
    }
    }
}

static enum dk_err read_number(struct reading *r, const struct name *name, const struct dk_flat_member *member)
{
    int64_t value = member->integer;
    int64_t min = name->what == SEQ ? 1 : 0;
    int64_t max = name->what == DURATION ? INT64_C(86400) * DK_NS_PER_S
                  : name->what == SEQ    ? SEQ_MAX
                  : name->what == IPV6   ? 1
                                         : DK_SAMPLE_VALUE_MAX;

    if (member->type != (name->what == IPV6 ? DK_FLAT_BOOLEAN : DK_FLAT_INTEGER))
        return wrong(r, name, name->what == IPV6 ? "true or false" : "an integer");
    if (value < min || value > max)
        return dk_fail(r->fault, DK_ERR_DATA, name->path, NULL, "must be from %lld to %lld", (long long)min,
                       (long long)max);
    if (name->what == SEQ)
        r->row->seq = value;
    else if (name->what == DURATION)
        r->row->duration_ms = (uint32_t)((value + DK_NS_PER_MS - 1) / DK_NS_PER_MS);
    else if (name->what == IPV6)
        r->row->origin.ipv6 = (int32_t)value;
    else if (name->what == RATE)
        r->row->origin.site.rate_bps[name->index] = value;
    else
        r->row->values[name->index] = value;
    return DK_OK;
}

// A member of a flag of a record; the two of one flag come in any order.
static enum dk_err read_flag(struct reading *r, const struct name *name, const struct dk_flat_member *member)
{
    uint32_t *place = name->what == FLAG_CODE ? r->codes : r->figures;

    if (member->type != DK_FLAT_TEXT || member->item >= DK_FLAGS_MAX || place[member->item] != 0)
        return wrong(r, name, "a text, once in each of at most 16 flags");
    place[member->item] = name->what == FLAG_CODE ? flag_bit(member->text, member->len)
                                                  : flag_figure(member->text, member->len);
    return DK_OK;
}

static enum dk_err read_member(void *argument, const struct dk_flat_member *member)
{
    struct reading *r = argument;
    size_t i = find_name(member->path, member->path_len, r->last);

    if (i == NAMES)
        return DK_OK;

    const struct name *name = &names[i];

    r->last = i;
    if (name->what == FLAG_CODE || name->what == FLAG_FIGURE)
        return r->is_record ? read_flag(r, name, member) : DK_OK;
    if (r->seen >> i & 1)
        return dk_fail(r->fault, DK_ERR_DATA, name->path, NULL, "stands twice");
    r->seen |= UINT64_C(1) << i;
    switch (name->what) {
    case SCHEMA:
        return read_schema(r, member);
    case ID:
        return read_id(member, r->row->id) ? DK_OK : wrong(r, name, "a UUIDv7 in lower case");
    case TEXT:
        return read_text(r, name, member);
    case FLAGS:
        return !r->is_record && member->type == DK_FLAT_TEXT && read_flags(r, member)
                   ? DK_OK
                   : wrong(r, name, "a text like \"host_limited:download unsteady:all\"");
    case CONFIRMS:
        r->row->state.confirms = true;
        return member->type == DK_FLAT_TEXT ? DK_OK : wrong(r, name, "the id of a record");
    case SEQ:
    case DURATION:
    case RATE:
    case IPV6:
    case VALUE:
        return read_number(r, name, member);
    default:
        return read_word(r, name, member);
    }
}

static enum dk_err begin(struct reading *r)
{
    enum dk_err err = DK_OK;

    // Rows are compared byte by byte, padding and all.
    memset(r->row, 0, sizeof *r->row);
    r->row->origin.ipv6 = -1;
    r->row->origin.technology = DK_TECHNOLOGY_UNKNOWN;
    for (size_t i = 0; i < DK_ROW_VALUES; i++)
        r->row->values[i] = -1;
    for (size_t i = 0; i < DK_ORIGIN_TEXT_COUNT && err == DK_OK; i++)
        err = dk_texts_add(r->texts, "", 0, &r->row->origin.text[i]);
    return err;
}

// What every one must say; a record also its place in the chain.
static bool is_needed(const struct reading *r, const struct name *name)
{
    return name->what <= START || (name->what == SEQ && r->is_record) ||
           (name->what == TEXT && name->index == DK_ORIGIN_DEVICE);
}

static enum dk_err finish(struct reading *r, enum dk_err err)
{
    if (err == DK_ERR_MEMORY)
        return dk_fail(r->fault, err, NULL, NULL, "out of memory");
    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < NAMES; i++)
        if (is_needed(r, &names[i]) && (r->seen >> i & 1) == 0)
            return dk_fail(r->fault, DK_ERR_DATA, names[i].path, NULL, "is missing");
    for (size_t i = 0; i < DK_FLAGS_MAX; i++)
        if (r->codes[i] != 0 || r->figures[i] != 0)
            r->row->state.flags[r->figures[i] != 0 ? r->figures[i] - 1 : DK_FLAG_FIGURE_ALL] |=
                r->codes[i] != 0 ? r->codes[i] : DK_FLAG_OTHER;
    if (r->row->origin.text[DK_ORIGIN_DEVICE][0] == '\0')
        return dk_fail(r->fault, DK_ERR_DATA, "device.id", NULL, "is empty");
    return DK_OK;
}

static enum dk_err read_json(struct reading *r, struct dk_buf *scratch, const char *json, size_t len)
{
    enum dk_err err = begin(r);

    if (err == DK_OK)
        err = dk_flat_read(json, len, r->is_record, scratch, read_member, r, r->fault);
    return finish(r, err);
}

enum dk_err dk_row_read_record(struct dk_texts *texts, struct dk_buf *scratch, const char *json, size_t len,
                               struct dk_row *out, struct dk_fault *fault)
{
    struct reading r = {
        .row = out, .texts = texts, .fault = fault, .schema = "dokiem.record/1", .is_record = true, .last = NAMES};

    return read_json(&r, scratch, json, len);
}

enum dk_err dk_row_read_json(struct dk_texts *texts, struct dk_buf *scratch, const char *json, size_t len,
                             struct dk_row *out, struct dk_fault *fault)
{
    struct reading r = {.row = out, .texts = texts, .fault = fault, .schema = DK_ROW_SCHEMA, .last = NAMES};

    if (len > DK_ROW_MAX_BYTES)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "is longer than %d bytes", DK_ROW_MAX_BYTES);
    return read_json(&r, scratch, json, len);
}

// The next field of a line: unquoted into `scratch` where it was quoted. *at is behind it and its separator; NULL after
// the last.
static bool next_field(const char **at, const char *end, char separator, struct dk_buf *scratch, const char **field,
                       size_t *len, enum dk_err *err)
{
    const char *from = *at;

    if (from < end && *from == '"') {
        scratch->len = 0;
        for (from++;; from++) {
            const char *quote = memchr(from, '"', (size_t)(end - from));

            if (quote == NULL)
                return false;
            *err = dk_buf_append(scratch, from, (size_t)(quote - from));
            from = quote + 1;
            if (*err != DK_OK || from == end || *from != '"')
                break;
            *err = dk_buf_append(scratch, "\"", 1);
        }
        *field = dk_buf_text(scratch);
        *len = scratch->len;
        if (*err != DK_OK || (from < end && *from != separator))
            return false;
        *at = from < end ? from + 1 : NULL;
        return true;
    }

    const char *stop = memchr(from, separator, (size_t)(end - from));

    *field = from;
    *len = (size_t)((stop != NULL ? stop : end) - from);
    *at = stop != NULL ? stop + 1 : NULL;
    return memchr(from, '"', *len) == NULL;
}

static size_t without_line_end(const char *line, size_t len)
{
    return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

static enum dk_err name_column(struct dk_csv_columns *columns, const char *field, size_t len, struct dk_fault *fault)
{
    size_t name = find_name(field, len, NAMES);

    if (name < NAMES && dk_row_name(name) == NULL)
        name = NAMES;
    for (size_t i = 0; name < NAMES && i < columns->count; i++)
        if (columns->name[i] == (int8_t)name)
            return dk_fail(fault, DK_ERR_DATA, names[name].path, NULL, "stands twice among the columns");
    if (columns->count == COLUMNS_MAX)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "has more than %d columns", COLUMNS_MAX);
    columns->name[columns->count++] = name < NAMES ? (int8_t)name : -1;
    return DK_OK;
}

enum dk_err dk_csv_columns_read(const char *line, size_t len, struct dk_csv_columns **out, struct dk_fault *fault)
{
    static const char mark[] = "\xef\xbb\xbf"; // U+FEFF, which spreadsheets put at the beginning
    dk_auto_buf struct dk_buf scratch = dk_buf_make(DK_ROW_TEXT_MAX);
    dk_auto(csv_columns) struct dk_csv_columns *columns = calloc(1, sizeof *columns);
    size_t found = 0;
    enum dk_err err = DK_OK;

    if (columns == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    len = without_line_end(line, len);
    if (len >= 3 && memcmp(line, mark, 3) == 0) {
        line += 3;
        len -= 3;
    }
    columns->separator = memchr(line, ';', len) != NULL ? ';' : ',';
    for (const char *at = line; at != NULL && err == DK_OK;) {
        const char *field = NULL;
        size_t field_len = 0;

        if (!next_field(&at, line + len, columns->separator, &scratch, &field, &field_len, &err))
            return dk_fail(fault, err == DK_OK ? DK_ERR_DATA : err, NULL, NULL, "is not a line of CSV");
        err = name_column(columns, field, field_len, fault);
    }
    for (size_t i = 0; i < columns->count; i++)
        found += columns->name[i] >= 0 && names[columns->name[i]].what <= ID;
    if (err == DK_OK && found != 2)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL,
                       "is not the first line of an export: columns \"schema\" and \"id\" are missing");
    if (err != DK_OK)
        return err;
    *out = columns;
    columns = NULL;
    return DK_OK;
}

void dk_csv_columns_free(struct dk_csv_columns *columns)
{
    free(columns);
}

// Makes a member of a field: what is a number elsewhere is a text here.
static bool field_member(const struct name *name, const char *field, size_t len, struct dk_flat_member *out)
{
    char word[24];

    *out = (struct dk_flat_member){
        .path = name->path, .path_len = strlen(name->path), .type = DK_FLAT_TEXT, .text = field, .len = len};
    // An export puts ' before a text that a spreadsheet would compute.
    if (name->what == TEXT && len > 1 && field[0] == '\'' && strchr("=+-@'\t\r", field[1]) != NULL) {
        out->text++;
        out->len--;
    }
    if (name->what == SEQ || name->what == DURATION || name->what == RATE || name->what == VALUE) {
        out->type = DK_FLAT_INTEGER;
        return copy_word(&(struct dk_flat_member){.type = DK_FLAT_TEXT, .text = field, .len = len}, word,
                         sizeof word) &&
               dk_parse_i64(word, 0, INT64_MAX, &out->integer);
    }
    if (name->what == IPV6) {
        out->type = DK_FLAT_BOOLEAN;
        out->integer = len == 4 && memcmp(field, "true", 4) == 0;
        return out->integer == 1 || (len == 5 && memcmp(field, "false", 5) == 0);
    }
    return dk_flat_is_text(field, len);
}

static enum dk_err read_field(struct reading *r, int name, const char *field, size_t len)
{
    struct dk_flat_member member;

    if (name < 0 || len == 0)
        return DK_OK;
    if (!field_member(&names[name], field, len, &member))
        return wrong(r, &names[name],
                     names[name].what == IPV6   ? "true or false"
                     : member.type == DK_FLAT_TEXT ? "clean UTF-8"
                                                   : "an integer without a sign");
    r->last = name > 0 ? (size_t)name - 1 : NAMES;
    return read_member(r, &member);
}

enum dk_err dk_row_read_csv(struct dk_texts *texts, struct dk_buf *scratch, const struct dk_csv_columns *columns,
                            const char *line, size_t len, struct dk_row *out, struct dk_fault *fault)
{
    struct reading r = {.row = out, .texts = texts, .fault = fault, .schema = DK_ROW_SCHEMA, .last = NAMES};
    enum dk_err err = begin(&r);
    size_t column = 0;

    if (err == DK_OK && len > DK_ROW_MAX_BYTES)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "is longer than %d bytes", DK_ROW_MAX_BYTES);
    len = without_line_end(line, len);
    for (const char *at = line; at != NULL && err == DK_OK; column++) {
        const char *field = NULL;
        size_t field_len = 0;

        if (column == columns->count)
            return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "has more fields than there are columns");
        if (!next_field(&at, line + len, columns->separator, scratch, &field, &field_len, &err))
            return dk_fail(fault, err == DK_OK ? DK_ERR_DATA : err, NULL, NULL,
                           "column %zu is not a field of CSV", column + 1);
        err = read_field(&r, columns->name[column], field, field_len);
    }
    if (err == DK_OK && column < columns->count)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "has %zu fields; there are %zu columns", column,
                       columns->count);
    return finish(&r, err);
}
