// SPDX-License-Identifier: Apache-2.0
#include "agent/record/form.h"

#include "agent/base/parse.h"
#include "agent/record/json.h"
#include "agent/record/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <locale.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 64, DEPTH_MAX = 32, PATTERN_MAX_BYTES = 256 };

struct pattern {
    const json_t *text; // borrowed from the schema
    regex_t compiled;
};

struct dk_form {
    json_t *schema; // owned
    struct pattern patterns[PATTERNS_MAX];
    size_t pattern_count;
};

// One payload before one schema. The first fault stands.
struct check {
    const struct dk_form *form;
    struct dk_fault *fault; // NULL while a condition is only tried
    const char *path[DEPTH_MAX];
    size_t depth;
};

static const unsigned char schema_text[] = {
#include "agent/record/schema.inc"
};

DK_DEFINE_FREE(json, json_t, json_decref)

static void free_locale(locale_t *locale)
{
    if (*locale != (locale_t)0)
        freelocale(*locale);
}

// What of an ECMA 262 expression a POSIX one writes otherwise. C1 controls are found by dk_text_is_clean().
static const struct {
    const char *from, *to;
} rewritten[] = {{"\\u0000-\\u001f", "\x01-\x1f"}, {"\\u007f-\\u009f", "\x7f"}, {"\\u007f", "\x7f"}, {"\\s", " "}};

static bool rewrite(const char *pattern, struct dk_buf *out)
{
    while (*pattern != '\0') {
        size_t i = 0, count = sizeof rewritten / sizeof rewritten[0];

        while (i < count && strncmp(pattern, rewritten[i].from, strlen(rewritten[i].from)) != 0)
            i++;

        const char *text = i < count ? rewritten[i].to : pattern;
        size_t len = i < count ? strlen(text) : 1;

        if (dk_buf_append(out, text, len) != DK_OK)
            return false;
        pattern += i < count ? strlen(rewritten[i].from) : 1;
    }
    return true;
}

static bool compile(struct dk_form *form, const json_t *text)
{
    dk_auto_buf struct dk_buf posix = dk_buf_make(PATTERN_MAX_BYTES);
    __attribute__((cleanup(free_locale))) locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    if (form->pattern_count == PATTERNS_MAX || c == (locale_t)0 || !rewrite(json_string_value(text), &posix))
        return false;

    // Ranges are of bytes, whatever the user's language.
    locale_t before = uselocale(c);
    struct pattern *pattern = &form->patterns[form->pattern_count];
    bool good = regcomp(&pattern->compiled, dk_buf_text(&posix), REG_EXTENDED | REG_NOSUB) == 0;

    uselocale(before);
    pattern->text = text;
    form->pattern_count += good;
    return good;
}

static bool prepare_all(struct dk_form *form, const json_t *schemas, size_t depth, struct dk_fault *fault);

static bool is_known(const char *keyword)
{
    static const char *const known[] = {
        "$schema", "$id", "title", "description", "$defs", "$ref", "type", "const", "enum", "pattern", "minLength",
        "maxLength", "minimum", "maximum", "required", "dependentRequired", "properties", "additionalProperties",
        "items", "minItems", "maxItems", "if", "then", "else", "not", "allOf", "anyOf", "oneOf"};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(keyword, known[i]) == 0)
            return true;
    return false;
}

// Compiles the patterns of one schema and those within, and sees that all it says is understood.
static bool prepare(struct dk_form *form, const json_t *schema, size_t depth, struct dk_fault *fault)
{
    static const char *const single[] = {"items", "if", "then", "else", "not"};
    static const char *const several[] = {"properties", "$defs", "allOf", "anyOf", "oneOf"};
    const json_t *value;
    const char *keyword;

    if (json_is_false(schema))
        return true;
    if (!json_is_object(schema) || depth > DEPTH_MAX)
        return false;
    // jansson's iterator takes no const object.
    json_object_foreach((json_t *)(uintptr_t)schema, keyword, value) {
        // A list of types, or a schema for all other members, is nothing that this reader knows.
        bool good = is_known(keyword) && (strcmp(keyword, "type") != 0 || json_is_string(value)) &&
                    (strcmp(keyword, "additionalProperties") != 0 || json_is_false(value)) &&
                    (strcmp(keyword, "pattern") != 0 || compile(form, value));

        if (!good) {
            (void)dk_fail(fault, DK_ERR_INTERNAL, "record.schema.json", NULL, "%s is not understood", keyword);
            return false;
        }
    }
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        value = json_object_get(schema, single[i]);
        if (value != NULL && !prepare(form, value, depth + 1, fault))
            return false;
    }
    for (size_t i = 0; i < sizeof several / sizeof several[0]; i++) {
        value = json_object_get(schema, several[i]);
        if (value != NULL && !prepare_all(form, value, depth + 1, fault))
            return false;
    }
    return true;
}

static bool prepare_all(struct dk_form *form, const json_t *schemas, size_t depth, struct dk_fault *fault)
{
    const json_t *value;
    const char *name;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)schemas, name, value) {
        if (!prepare(form, value, depth, fault))
            return false;
    }
    json_array_foreach(schemas, i, value) {
        if (!prepare(form, value, depth, fault))
            return false;
    }
    return true;
}

enum dk_err dk_form_open(struct dk_form **out, struct dk_fault *fault)
{
    dk_auto(form) struct dk_form *form = calloc(1, sizeof *form);
    json_error_t error;
    enum dk_err err = DK_ERR_MEMORY;

    if (form != NULL)
        form->schema = dk_json_load((const char *)schema_text, sizeof schema_text, &error, &err);
    if (err != DK_OK)
        return dk_fail(fault, err == DK_ERR_DATA ? DK_ERR_INTERNAL : err, "record.schema.json", NULL,
                       "cannot be read: %s", dk_err_text(err));
    if (!prepare(form, form->schema, 0, fault))
        return dk_fail(fault, DK_ERR_INTERNAL, "record.schema.json", NULL, "cannot be used");
    *out = form;
    form = NULL;
    return DK_OK;
}

static bool wrong(struct check *check, const char *what)
{
    char where[DK_FAULT_WHERE_SIZE] = "";
    size_t at = 0;

    if (check->fault == NULL)
        return false;
    for (size_t i = 0; i < check->depth && at < sizeof where; i++)
        at += (size_t)snprintf(where + at, sizeof where - at, "%s%.40s", i > 0 ? "." : "", check->path[i]);
    (void)dk_fail(check->fault, DK_ERR_DATA, at > 0 ? where : "record", NULL, "%s", what);
    return false;
}

static bool wrong_with(struct check *check, const char *what, const char *name)
{
    char text[DK_FAULT_WHAT_SIZE];

    snprintf(text, sizeof text, "%s: %.80s", what, name);
    return wrong(check, text);
}

static bool fits(struct check *check, const json_t *schema, const json_t *value);

// Tries a schema without saying what is wrong.
static bool tries(const struct check *check, const json_t *schema, const json_t *value)
{
    struct check quiet = *check;

    quiet.fault = NULL;
    return fits(&quiet, schema, value);
}

static bool fits_below(struct check *check, const char *name, const json_t *schema, const json_t *value)
{
    if (check->depth == DEPTH_MAX)
        return wrong(check, "is nested too deeply");
    check->path[check->depth++] = name;

    bool fitting = fits(check, schema, value);

    check->depth--;
    return fitting;
}

static bool has_type(const char *type, const json_t *value)
{
    return strcmp(type, "object") == 0    ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "string") == 0  ? json_is_string(value)
           : strcmp(type, "integer") == 0 ? json_is_integer(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
           : strcmp(type, "null") == 0    ? json_is_null(value)
                                          : false;
}

static bool is_within(int64_t value, const json_t *schema, const char *min, const char *max)
{
    const json_t *low = json_object_get(schema, min), *high = json_object_get(schema, max);

    return (low == NULL || value >= json_integer_value(low)) && (high == NULL || value <= json_integer_value(high));
}

static bool matches(const struct check *check, const json_t *pattern, const char *text)
{
    for (size_t i = 0; i < check->form->pattern_count; i++)
        if (check->form->patterns[i].text == pattern)
            return regexec(&check->form->patterns[i].compiled, text, 0, NULL, 0) == 0;
    return false;
}

static bool fits_string(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *pattern = json_object_get(schema, "pattern");
    const char *text = json_string_value(value);
    int64_t characters = 0;

    if (!dk_text_is_clean(text, json_string_length(value)))
        return wrong(check, "holds control characters");
    for (const char *at = text; *at != '\0'; at++)
        characters += ((unsigned char)*at & 0xc0) != 0x80;
    if (!is_within(characters, schema, "minLength", "maxLength"))
        return wrong(check, "is too long or empty");
    return pattern == NULL || matches(check, pattern, text) || wrong(check, "has not the form of this member");
}

static bool fits_scalar(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *expected = json_object_get(schema, "const"), *allowed = json_object_get(schema, "enum"), *one;
    bool found = false;
    size_t i;

    if (expected != NULL && !json_equal(expected, value))
        return wrong(check, "is not the value that it must have");
    json_array_foreach(allowed, i, one) {
        found = found || json_equal(one, value);
    }
    if (allowed != NULL && !found)
        return wrong(check, "is none of the values that are allowed");
    if (json_is_string(value))
        return fits_string(check, schema, value);
    if (json_is_integer(value) && !is_within(json_integer_value(value), schema, "minimum", "maximum"))
        return wrong(check, "is out of range");
    return true;
}

static bool has_all(struct check *check, const json_t *names, const json_t *object)
{
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name) {
        if (json_object_get(object, json_string_value(name)) == NULL)
            return wrong_with(check, "lacks a member", json_string_value(name));
    }
    return true;
}

static bool fits_object(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *dependent = json_object_get(schema, "dependentRequired"), *member;
    bool closed = json_is_false(json_object_get(schema, "additionalProperties"));
    const char *name;

    if (!has_all(check, json_object_get(schema, "required"), value))
        return false;
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        const json_t *own = json_object_get(properties, name);

        if (own == NULL && closed)
            return wrong_with(check, "has a member that this version of dokiem does not know", name);
        if (json_is_false(own))
            return wrong_with(check, "has a member that does not belong beside the others", name);
        if ((own != NULL && !fits_below(check, name, own, member)) ||
            !has_all(check, json_object_get(dependent, name), value))
            return false;
    }
    return true;
}

static bool fits_array(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *items = json_object_get(schema, "items"), *item;
    size_t i;

    if (!is_within((int64_t)json_array_size(value), schema, "minItems", "maxItems"))
        return wrong(check, "has too many entries or too few");
    if (items == NULL)
        return true;
    json_array_foreach(value, i, item) {
        if (!fits(check, items, item))
            return false;
    }
    return true;
}

static bool fits_combined(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *condition = json_object_get(schema, "if"), *one = json_object_get(schema, "oneOf"), *part;
    const json_t *any = json_object_get(schema, "anyOf"), *none = json_object_get(schema, "not");
    size_t i, fitting = 0;
    bool found = false;

    if (condition != NULL) {
        const json_t *then = json_object_get(schema, tries(check, condition, value) ? "then" : "else");

        if (then != NULL && !fits(check, then, value))
            return false;
    }
    json_array_foreach(json_object_get(schema, "allOf"), i, part) {
        if (!fits(check, part, value))
            return false;
    }
    json_array_foreach(any, i, part) {
        found = found || tries(check, part, value);
    }
    if ((any != NULL && !found) || (none != NULL && tries(check, none, value)))
        return wrong(check, "has none of the forms that are allowed here");
    json_array_foreach(one, i, part) {
        fitting += tries(check, part, value);
    }
    return one == NULL || fitting == 1 || wrong(check, "has none of the forms that are allowed here, or several");
}

static bool fits(struct check *check, const json_t *schema, const json_t *value)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    const json_t *type = json_object_get(schema, "type");

    if (ref != NULL) {
        static const char prefix[] = "#/$defs/";
        const json_t *definitions = json_object_get(check->form->schema, "$defs");

        const json_t *named =
            strncmp(ref, prefix, sizeof prefix - 1) == 0 ? json_object_get(definitions, ref + sizeof prefix - 1) : NULL;

        if (named == NULL)
            return wrong(check, "is not defined");
        if (!fits(check, named, value))
            return false;
    }
    if (type != NULL && !has_type(json_string_value(type), value))
        return wrong(check, "is of another type than it must be");
    if (!fits_scalar(check, schema, value))
        return false;
    if (json_is_object(value) && !fits_object(check, schema, value))
        return false;
    if (json_is_array(value) && !fits_array(check, schema, value))
        return false;
    return fits_combined(check, schema, value);
}

enum dk_err dk_form_check(struct dk_form *form, const char *json, size_t len, struct dk_fault *fault)
{
    struct dk_fault own = {0};
    struct check check = {.form = form, .fault = &own};
    json_error_t error;
    enum dk_err err = DK_OK;
    dk_auto(json) json_t *root = dk_json_load(json, len, &error, &err);

    if (root == NULL)
        return dk_fail(fault, err, "record", NULL, "is no JSON, or memory is short");
    if (fits(&check, form->schema, root))
        return DK_OK;
    return dk_fail(fault, DK_ERR_DATA, own.where, NULL, "%s", own.what);
}

void dk_form_free(struct dk_form *form)
{
    if (form == NULL)
        return;
    for (size_t i = 0; i < form->pattern_count; i++)
        regfree(&form->patterns[i].compiled);
    json_decref(form->schema);
    free(form);
}
