// SPDX-License-Identifier: Apache-2.0
#include "agent/report/field.h"

#include <string.h>

const json_t *dk_field(const json_t *record, const char *path)
{
    const json_t *at = record;

    while (at != NULL && *path != '\0') {
        char name[64];
        size_t len = strcspn(path, ".");

        if (len >= sizeof name)
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        at = json_object_get(at, name);
        path += len + (path[len] == '.' ? 1 : 0);
    }
    return at;
}

const char *dk_field_text(const json_t *record, const char *path)
{
    const char *text = json_string_value(dk_field(record, path));

    return text != NULL ? text : "";
}

int64_t dk_field_integer(const json_t *record, const char *path, int64_t none)
{
    const json_t *value = dk_field(record, path);

    return json_is_integer(value) ? json_integer_value(value) : none;
}

bool dk_field_true(const json_t *record, const char *path)
{
    return json_is_true(dk_field(record, path));
}

bool dk_field_is(const json_t *record, const char *path, const char *text)
{
    return strcmp(dk_field_text(record, path), text) == 0;
}
