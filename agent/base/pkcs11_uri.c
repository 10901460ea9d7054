// SPDX-License-Identifier: Apache-2.0
#include "agent/base/pkcs11_uri.h"

#include "agent/base/message.h"
#include "agent/base/parse.h"

#include <stdbool.h>
#include <string.h>

// Beside letters, digits and %XX (RFC 7512 section 2.3: pk11-path-res-avail, pk11-query-res-avail, unreserved).
static const char path_marks[] = "-._~:[]@!$'()*+,=&", query_marks[] = "-._~:[]@!$'()*+,=/?|";

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) % 16 : -1;
}

// The `len` characters of `text` as bytes; false when they are not a value of RFC 7512, empty, or too long for `size`.
static bool decode(const char *text, size_t len, const char *marks, uint8_t *out, size_t size, size_t *out_len)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++, used++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (used == size)
            return false;
        out[used] = (uint8_t)c;
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(text[i + 1]) : -1, low = len - i > 2 ? hex_digit(text[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            out[used] = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (!letter && (c == '\0' || strchr(marks, c) == NULL)) {
            return false;
        }
    }
    *out_len = used;
    return used > 0;
}

static const char *read_text(const char *text, size_t len, const char *marks, char *out, size_t size)
{
    size_t used = 0;

    if (out[0] != '\0')
        return N_("names an attribute twice");
    if (!decode(text, len, marks, (uint8_t *)out, size - 1, &used))
        return N_("has an attribute that is empty, too long, or holds a character that must be written as %XX");
    out[used] = '\0';
    if (!dk_text_is_clean(out, used))
        return N_("has an attribute that holds control characters or is not UTF-8");
    return NULL;
}

static bool is_name(const char *text, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(text, name, len) == 0;
}

static const char *read_id(const char *text, size_t len, struct dk_pkcs11_uri *out)
{
    if (out->id_len > 0)
        return N_("names an attribute twice");
    if (!decode(text, len, path_marks, out->id, sizeof out->id, &out->id_len))
        return N_("has an attribute that is empty, too long, or holds a character that must be written as %XX");
    return NULL;
}

// One attribute of the path: what to look for.
static const char *read_path_attribute(const char *name, size_t name_len, const char *value, size_t len,
                                       struct dk_pkcs11_uri *out)
{
    const struct {
        const char *name;
        char *field;
    } texts[] = {
        {"token", out->token}, {"manufacturer", out->manufacturer}, {"model", out->model},
        {"serial", out->serial}, {"object", out->object},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (is_name(name, name_len, texts[i].name))
            return read_text(value, len, path_marks, texts[i].field, DK_PKCS11_TEXT_SIZE);
    if (is_name(name, name_len, "id"))
        return read_id(value, len, out);
    if (is_name(name, name_len, "type"))
        return is_name(value, len, "private") ? NULL : N_("has a type other than private");
    return N_("has an attribute other than token, manufacturer, model, serial, object, id and type");
}

// RFC 7512 section 2.4: pin-source is a URI of its own, or a name; only files are read.
static const char *read_pin_source(const char *text, size_t len, struct dk_pkcs11_uri *out)
{
    const char *wrong = read_text(text, len, query_marks, out->pin_path, sizeof out->pin_path);
    char *path = out->pin_path;

    if (wrong != NULL)
        return wrong;
    if (strncmp(path, "file:///", 8) == 0)
        path += 7;
    else if (strncmp(path, "file:/", 6) == 0)
        path += 5;
    if (path[0] != '/' || path[1] == '/')
        return N_("has a pin-source that is not file: and an absolute path");
    memmove(out->pin_path, path, strlen(path) + 1);
    return NULL;
}

// One attribute of the query: how to get there.
static const char *read_query_attribute(const char *name, size_t name_len, const char *value, size_t len,
                                        struct dk_pkcs11_uri *out)
{
    const char *wrong = NULL;

    if (is_name(name, name_len, "pin-source"))
        return read_pin_source(value, len, out);
    if (!is_name(name, name_len, "module-path"))
        return N_("has something other than module-path and pin-source after the ?");
    wrong = read_text(value, len, query_marks, out->module_path, sizeof out->module_path);
    return wrong == NULL && out->module_path[0] != '/' ? N_("has a module-path that is not an absolute path") : wrong;
}

typedef const char *read_attribute(const char *name, size_t name_len, const char *value, size_t len,
                                   struct dk_pkcs11_uri *out);

// name=value, with `separator` between; `len` characters, which may be none.
static const char *read_attributes(const char *text, size_t len, char separator, read_attribute *read,
                                   struct dk_pkcs11_uri *out)
{
    const char *end = text + len, *wrong = NULL;

    while (len > 0 && wrong == NULL) {
        const char *next = memchr(text, separator, (size_t)(end - text));
        const char *stop = next != NULL ? next : end;
        const char *equals = memchr(text, '=', (size_t)(stop - text));

        if (equals == NULL)
            return N_("has an attribute without =");
        wrong = read(text, (size_t)(equals - text), equals + 1, (size_t)(stop - equals - 1), out);
        if (next == NULL)
            break;
        text = next + 1;
    }
    return wrong;
}

const char *dk_pkcs11_uri_read(const char *text, struct dk_pkcs11_uri *out)
{
    const size_t scheme_len = sizeof DK_PKCS11_SCHEME - 1;
    const char *wrong = NULL;

    *out = (struct dk_pkcs11_uri){0};
    if (strncmp(text, DK_PKCS11_SCHEME, scheme_len) != 0)
        return N_("does not begin with pkcs11:");
    text += scheme_len;

    size_t path_len = strcspn(text, "?");
    const char *query = text[path_len] == '?' ? text + path_len + 1 : "";

    // A PIN is refused before anything else is said, so that nobody is told to mend a URI that holds one.
    if (strstr(text, "pin-value") != NULL)
        wrong = N_("holds a PIN; write it into a file of mode 0600 and name that with pin-source=file:");
    if (wrong == NULL)
        wrong = read_attributes(text, path_len, ';', read_path_attribute, out);
    if (wrong == NULL)
        wrong = read_attributes(query, strlen(query), '&', read_query_attribute, out);
    if (wrong == NULL && out->module_path[0] == '\0')
        wrong = N_("names no module-path");
    return wrong;
}
