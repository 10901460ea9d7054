// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include "agent/base/parse.h"
#include "config/ini.h"
#include "config/options.h"
#include "config/value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_clean_path(const char *path)
{
    return path != NULL && path[0] == '/' && strchr(path, '"') == NULL && strlen(path) < DK_INI_VALUE_MAX - 40 &&
           dk_text_is_clean(path, strlen(path));
}

void dk_settings_default(struct dk_settings *settings)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    memset(settings, 0, sizeof *settings);
    for (size_t i = 0; i < count; i++) {
        const char *wrong = dk_option_set(&options[i], options[i].fallback, settings);

        assert(wrong == NULL);
        (void)wrong;
    }
    if (geteuid() == 0)
        return;
    if (is_clean_path(state))
        snprintf(settings->state_dir, sizeof settings->state_dir, "%s/dokiem", state);
    else if (is_clean_path(home))
        snprintf(settings->state_dir, sizeof settings->state_dir, "%s/.local/state/dokiem", home);
}

// Appends the sections, or the keys of `section`, for a fault.
static void list_names(const char *section, struct dk_buf *out)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    const char *comma = "";

    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || strcmp(options[i - 1].section, options[i].section) != 0;

        if (section == NULL ? !first : strcmp(options[i].section, section) != 0)
            continue;
        if (dk_buf_printf(out, "%s%s", comma, section == NULL ? options[i].section : options[i].key) != DK_OK)
            return;
        comma = ", ";
    }
}

// `key` may be NULL: any row of the section.
static const struct dk_option *find(const char *section, const char *key)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].section, section) == 0 && (key == NULL || strcmp(options[i].key, key) == 0))
            return &options[i];
    return NULL;
}

static enum dk_err fail_unknown(const struct dk_ini *ini, const struct dk_ini_entry *entry, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf names = dk_buf_make(300);
    bool section = find(entry->section, NULL) == NULL;

    list_names(section ? NULL : entry->section, &names);
    return dk_ini_fail(ini, entry, fault, "correct the name, or remove the line", "unknown %s \"%s\"; allowed: %s",
                       section ? "section" : "key", section ? entry->section : entry->key, dk_buf_text(&names));
}

// What is allowed, with the units, for a fault.
static void write_allowed(const struct dk_option *option, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s%s", option->allowed, option->unit[0] != '\0' ? " (units " : "", option->unit,
             option->unit[0] != '\0' ? ")" : "");
}

static enum dk_err set_entry(struct dk_settings *settings, const struct dk_ini *ini,
                             const struct dk_ini_entry *entry, struct dk_fault *fault)
{
    const struct dk_option *option = find(entry->section, entry->key);

    if (option == NULL)
        return fail_unknown(ini, entry, fault);
    if (entry->key == NULL)
        return DK_OK;

    const char *wrong = dk_option_set(option, entry->value, settings);

    if (wrong == NULL)
        return DK_OK;

    char value[DK_QUOTE_SIZE], allowed[256], todo[128];

    dk_quote(entry->value, value);
    write_allowed(option, allowed, sizeof allowed);
    snprintf(todo, sizeof todo, "correct it, or remove the line for the default, %s",
             option->fallback[0] != '\0' ? option->fallback : "not set");
    return dk_ini_fail(ini, entry, fault, todo, "%s %s; allowed: %s", value, wrong, allowed);
}

enum dk_err dk_settings_read_text(struct dk_settings *settings, const char *name, const char *text, size_t len,
                                  struct dk_fault *fault)
{
    dk_auto(ini) struct dk_ini *ini = NULL;
    struct dk_settings changed = *settings;
    enum dk_err err = dk_ini_read(name, text, len, &ini, fault);

    if (err != DK_OK)
        return err;
    for (size_t i = 0; i < ini->count && err == DK_OK; i++)
        err = set_entry(&changed, ini, &ini->entries[i], fault);
    if (err == DK_OK)
        *settings = changed;
    return err;
}

enum dk_err dk_settings_read_file(struct dk_settings *settings, const char *path, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    enum dk_err err = dk_ini_read_file(path, &text, fault);

    return err != DK_OK ? err : dk_settings_read_text(settings, path, dk_buf_text(&text), text.len, fault);
}

enum dk_err dk_settings_set_argument(struct dk_settings *settings, const char *argument, const char *value,
                                     struct dk_fault *fault)
{
    size_t count = 0, i = 0;
    const struct dk_option *options = dk_options(&count);
    char where[64], folder[PATH_MAX], path[2 * PATH_MAX];
    const char *text = value;

    while (i < count && (options[i].argument == NULL || strcmp(options[i].argument, argument) != 0))
        i++;
    snprintf(where, sizeof where, "--%s", argument);
    if (i == count)
        return dk_fail(fault, DK_ERR_NO_INPUT, where, NULL, "there is no such option");
    // A person types paths as seen from the working directory; the settings keep absolute ones.
    if (dk_option_is_relative_path(&options[i], value) && getcwd(folder, sizeof folder) != NULL &&
        snprintf(path, sizeof path, "%s/%s", folder, value) < (int)sizeof path)
        text = path;

    const char *wrong = dk_option_set(&options[i], text, settings);

    if (wrong == NULL)
        return DK_OK;

    char quoted[DK_QUOTE_SIZE], allowed[256];

    dk_quote(value, quoted);
    write_allowed(&options[i], allowed, sizeof allowed);
    return dk_fail(fault, DK_ERR_USAGE, where, NULL, "%s %s; allowed: %s", quoted, wrong, allowed);
}

enum dk_err dk_settings_print(const struct dk_settings *settings, struct dk_buf *out)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < count && err == DK_OK; i++) {
        if (i == 0 || strcmp(options[i - 1].section, options[i].section) != 0)
            err = dk_buf_printf(out, "%s[%s]\n", i == 0 ? "" : "\n", options[i].section);
        if (err == DK_OK)
            err = dk_buf_printf(out, "%s = ", options[i].key);
        if (err == DK_OK)
            err = dk_option_print(&options[i], settings, out);
        if (err == DK_OK)
            err = dk_buf_append(out, "\n", 1);
    }
    return err;
}
