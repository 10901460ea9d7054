// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/flat.h"

#include <string.h>

struct reader {
    const char *start, *at, *end;
    bool nested;
    struct dk_buf *scratch;
    dk_flat_callback *callback;
    void *argument;
    struct dk_fault *fault;
    char path[DK_FLAT_PATH_SIZE];
    size_t path_len;
    size_t item;
    int depth;
};

static enum dk_err wrong(const struct reader *r, const char *what)
{
    return dk_fail(r->fault, DK_ERR_DATA, NULL, NULL, "byte %zu: %s", (size_t)(r->at - r->start) + 1, what);
}

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

// Bytes of the UTF-8 sequence (RFC 3629) at `at`; 0 when there is none.
static size_t sequence(const unsigned char *at, size_t left)
{
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

    if (size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

bool dk_flat_is_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t size = sequence((const unsigned char *)text + i, len - i);

        if (size == 0 || text[i] == '\0')
            return false;
        i += size;
    }
    return true;
}

static bool read_hex(struct reader *r, uint32_t *out)
{
    uint32_t value = 0;

    if (r->end - r->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

static enum dk_err append_code(struct reader *r, uint32_t code)
{
    char bytes[4];
    size_t len = 0;

    if (code < 0x80) {
        bytes[len++] = (char)code;
    } else if (code < 0x800) {
        bytes[len++] = (char)(0xc0 | code >> 6);
        bytes[len++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        bytes[len++] = (char)(0xe0 | code >> 12);
        bytes[len++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[len++] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[len++] = (char)(0xf0 | code >> 18);
        bytes[len++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[len++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[len++] = (char)(0x80 | (code & 0x3f));
    }
    return dk_buf_append(r->scratch, bytes, len);
}

// Behind the backslash.
static enum dk_err read_escape(struct reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = r->at < r->end ? memchr(from, *r->at, sizeof from - 1) : NULL;
    uint32_t code = 0, low = 0;

    if (found != NULL) {
        r->at++;
        return dk_buf_append(r->scratch, &to[found - from], 1);
    }
    if (r->at == r->end || *r->at != 'u')
        return wrong(r, "no such escape");
    r->at++;
    if (!read_hex(r, &code) || code == 0 || (code >= 0xdc00 && code < 0xe000))
        return wrong(r, "no such character");
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
            return wrong(r, "half a character");
        r->at += 2;
        if (!read_hex(r, &low) || low < 0xdc00 || low >= 0xe000)
            return wrong(r, "half a character");
        code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
    }
    return append_code(r, code);
}

// A string, from its opening quotation mark. *text is the input itself, or the scratch buffer where there are escapes.
static enum dk_err read_string(struct reader *r, const char **text, size_t *len)
{
    const char *begin = ++r->at;
    bool escaped = false;

    r->scratch->len = 0;
    while (r->at < r->end && *r->at != '"') {
        unsigned char c = (unsigned char)*r->at;
        size_t size = 1;

        if (c < 0x20)
            return wrong(r, "a control character in a string");
        if (c == '\\') {
            enum dk_err err = DK_OK;

            if (!escaped)
                err = dk_buf_append(r->scratch, begin, (size_t)(r->at - begin));
            escaped = true;
            r->at++;
            if (err == DK_OK)
                err = read_escape(r);
            if (err != DK_OK)
                return err;
            continue;
        }
        if (c >= 0x80)
            size = sequence((const unsigned char *)r->at, (size_t)(r->end - r->at));
        if (size == 0)
            return wrong(r, "not UTF-8");
        if (escaped) {
            enum dk_err err = dk_buf_append(r->scratch, r->at, size);

            if (err != DK_OK)
                return err;
        }
        r->at += size;
    }
    if (r->at == r->end)
        return wrong(r, "a string without an end");
    *text = escaped ? dk_buf_text(r->scratch) : begin;
    *len = escaped ? r->scratch->len : (size_t)(r->at - begin);
    r->at++;
    return DK_OK;
}

static enum dk_err read_integer(struct reader *r, int64_t *out)
{
    bool negative = *r->at == '-';
    int64_t value = 0;

    r->at += negative;

    const char *digits = r->at;

    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
        int64_t digit = *r->at - '0';

        if (__builtin_mul_overflow(value, INT64_C(10), &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return wrong(r, "an integer of more than 64 bits");
    }
    if (r->at == digits || (*digits == '0' && (r->at - digits > 1 || negative)))
        return wrong(r, "no value that is allowed here");
    if (r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E'))
        return wrong(r, "a number that is not an integer");
    *out = value;
    return DK_OK;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return false;
    r->at += len;
    return true;
}

static enum dk_err read_scalar(struct reader *r, struct dk_flat_member *member)
{
    if (*r->at == '"') {
        member->type = DK_FLAT_TEXT;
        return read_string(r, &member->text, &member->len);
    }
    if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) {
        member->type = DK_FLAT_INTEGER;
        return read_integer(r, &member->integer);
    }
    if (read_word(r, "true") || read_word(r, "false")) {
        member->type = DK_FLAT_BOOLEAN;
        member->integer = r->at[-2] == 'u';
        return DK_OK;
    }
    if (read_word(r, "null")) {
        member->type = DK_FLAT_NULL;
        return DK_OK;
    }
    return wrong(r, "no value that is allowed here");
}

static enum dk_err read_inner(struct reader *r);

static enum dk_err read_array(struct reader *r)
{
    size_t outer = r->item;

    r->at++;
    skip_space(r);
    if (r->at < r->end && *r->at == ']') {
        r->at++;
        return DK_OK;
    }
    for (size_t i = 0;; i++) {
        struct dk_flat_member element;
        enum dk_err err = DK_OK;

        skip_space(r);
        if (r->at == r->end)
            return wrong(r, "an array without an end");
        r->item = i;
        err = *r->at == '{' || *r->at == '[' ? read_inner(r) : read_scalar(r, &element);
        if (err != DK_OK)
            return err;
        skip_space(r);
        if (r->at < r->end && *r->at == ']')
            break;
        if (r->at == r->end || *r->at != ',')
            return wrong(r, "',' or ']' is missing");
        r->at++;
    }
    r->at++;
    r->item = outer;
    return DK_OK;
}

// Lengthens the path; one that is too long is cut, and then longer than any that is asked for.
static void push(struct reader *r, const char *text, size_t len)
{
    size_t room = sizeof r->path - 1 - r->path_len;

    if (len > room)
        len = room;
    memcpy(r->path + r->path_len, text, len);
    r->path_len += len;
}

// One member, from its name's quotation mark.
static enum dk_err read_member(struct reader *r)
{
    size_t outer = r->path_len, len = 0;
    const char *name = NULL;
    enum dk_err err = read_string(r, &name, &len);

    if (err != DK_OK)
        return err;
    if (r->nested && (memchr(name, '.', len) != NULL || memchr(name, '[', len) != NULL))
        return wrong(r, "a name with a dot or a bracket");
    if (outer > 0)
        push(r, ".", 1);
    push(r, name, len);
    skip_space(r);
    if (r->at == r->end || *r->at != ':')
        return wrong(r, "':' is missing");
    r->at++;
    skip_space(r);
    if (r->at == r->end)
        return wrong(r, "a value is missing");
    if (*r->at == '{' || *r->at == '[') {
        err = read_inner(r);
    } else {
        struct dk_flat_member member = {.path = r->path, .path_len = r->path_len, .item = r->item};

        err = read_scalar(r, &member);
        if (err == DK_OK)
            err = r->callback(r->argument, &member);
    }
    r->path_len = outer;
    return err;
}

static enum dk_err read_object(struct reader *r)
{
    r->at++;
    skip_space(r);
    if (r->at < r->end && *r->at == '}') {
        r->at++;
        return DK_OK;
    }
    for (;;) {
        enum dk_err err = DK_OK;

        skip_space(r);
        if (r->at == r->end || *r->at != '"')
            return wrong(r, "a member's name is missing");
        err = read_member(r);
        if (err != DK_OK)
            return err;
        skip_space(r);
        if (r->at < r->end && *r->at == '}')
            break;
        if (r->at == r->end || *r->at != ',')
            return wrong(r, "',' or '}' is missing");
        r->at++;
    }
    r->at++;
    return DK_OK;
}

// An object or array. Its members' paths begin with the path as it is.
static enum dk_err read_inner(struct reader *r)
{
    size_t outer = r->path_len;
    enum dk_err err = DK_OK;

    if (!r->nested)
        return wrong(r, "a row is flat: no objects or arrays in it");
    if (++r->depth > DK_FLAT_DEPTH_MAX)
        return wrong(r, "too many levels");
    if (*r->at == '[')
        push(r, "[]", 2);
    err = *r->at == '{' ? read_object(r) : read_array(r);
    r->path_len = outer;
    r->depth--;
    return err;
}

enum dk_err dk_flat_read(const char *json, size_t len, bool nested, struct dk_buf *scratch,
                         dk_flat_callback *callback, void *argument, struct dk_fault *fault)
{
    struct reader r = {.start = json,
                       .at = json,
                       .end = json + len,
                       .nested = nested,
                       .scratch = scratch,
                       .callback = callback,
                       .argument = argument,
                       .fault = fault};

    skip_space(&r);
    if (r.at == r.end || *r.at != '{')
        return wrong(&r, "is not a JSON object");

    enum dk_err err = read_object(&r);

    if (err == DK_ERR_MEMORY)
        return dk_fail(fault, err, NULL, NULL, "out of memory");
    if (err != DK_OK)
        return err;
    skip_space(&r);
    return r.at == r.end ? DK_OK : wrong(&r, "something follows the object");
}
