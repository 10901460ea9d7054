// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include "agent/base/message.h"
#include "agent/base/parse.h"
#include "config/ini.h"
#include "config/options.h"
#include "config/value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVER_PREFIX "server "

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
    settings->server_count = 1;
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

// The NAME of "server NAME", or NULL.
static const char *named_server(const char *section)
{
    const size_t len = strlen(SERVER_PREFIX);

    return strncmp(section, SERVER_PREFIX, len) == 0 && section[len] != ' ' ? section + len : NULL;
}

// Of the options of [server], those that [server NAME] has too.
static bool is_of_named_server(const struct dk_option *option)
{
    return dk_option_is_of_server(option) && strcmp(option->key, "name") != 0;
}

// Appends the sections, or the keys of `section`, for a fault.
static void list_names(const char *section, struct dk_buf *out)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    const char *comma = "";

    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || strcmp(options[i - 1].section, options[i].section) != 0;

        if (section == NULL                  ? !first
            : named_server(section) != NULL ? !is_of_named_server(&options[i])
                                            : strcmp(options[i].section, section) != 0)
            continue;
        if (dk_buf_printf(out, "%s%s", comma, section == NULL ? options[i].section : options[i].key) != DK_OK)
            return;
        comma = section == NULL && i == 0 ? ", " SERVER_PREFIX "NAME, " : ", ";
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
    bool section = named_server(entry->section) == NULL && find(entry->section, NULL) == NULL;

    list_names(section ? NULL : entry->section, &names);
    return dk_ini_fail(ini, entry, fault, "correct the name, or remove the line",
                       section ? N_("unknown section \"%s\"; allowed: %s") : N_("unknown key \"%s\"; allowed: %s"),
                       section ? entry->section : entry->key, dk_buf_text(&names));
}

// What is allowed, with the units, for a fault.
static void write_allowed(const struct dk_option *option, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s%s", option->allowed, option->unit[0] != '\0' ? " (units " : "", option->unit,
             option->unit[0] != '\0' ? ")" : "");
}

// What was written, for a fault.
static void quote(const struct dk_option *option, const char *text, char out[static DK_QUOTE_SIZE])
{
    if (dk_option_is_quotable(option))
        dk_quote(text, out);
    else
        snprintf(out, DK_QUOTE_SIZE, "%s", _("the value"));
}

// The section [server NAME] begins: one more server, with defaults.
static enum dk_err add_server(struct dk_settings *settings, const struct dk_ini *ini,
                              const struct dk_ini_entry *entry, struct dk_fault *fault)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    struct dk_server_settings *server = &settings->servers[settings->server_count];

    if (settings->server_count > DK_SERVERS_MAX)
        return dk_ini_fail(ini, entry, fault, "remove one", "too many servers; %d sections [" SERVER_PREFIX "NAME] are "
                           "allowed", (int)DK_SERVERS_MAX);
    memset(server, 0, sizeof *server);
    for (size_t i = 0; i < count; i++)
        if (dk_option_is_of_server(&options[i])) {
            const char *wrong = dk_option_set_server(&options[i], options[i].fallback, server);

            assert(wrong == NULL);
            (void)wrong;
        }
    snprintf(server->name, sizeof server->name, "%s", named_server(entry->section));
    settings->server_count++;
    return DK_OK;
}

static enum dk_err set_entry(struct dk_settings *settings, const struct dk_ini *ini,
                             const struct dk_ini_entry *entry, struct dk_fault *fault)
{
    bool named = named_server(entry->section) != NULL;
    const struct dk_option *option = find(named ? "server" : entry->section, entry->key);

    if (named && entry->key == NULL)
        return add_server(settings, ini, entry, fault);
    if (option == NULL || (named && !is_of_named_server(option)))
        return fail_unknown(ini, entry, fault);
    if (entry->key == NULL)
        return DK_OK;

    // A section's keys follow its own line: they are about the server that was added last.
    const char *wrong =
        named ? dk_option_set_server(option, entry->value, &settings->servers[settings->server_count - 1])
              : dk_option_set(option, entry->value, settings);

    if (wrong == NULL)
        return DK_OK;

    char value[DK_QUOTE_SIZE], allowed[256], todo[128];

    quote(option, entry->value, value);
    write_allowed(option, allowed, sizeof allowed);
    snprintf(todo, sizeof todo, "correct it, or remove the line for the default, %s",
             option->fallback[0] != '\0' ? option->fallback : "not set");
    return dk_ini_fail(ini, entry, fault, todo, "%s %s; allowed: %s", value, _(wrong), allowed);
}

// Every [server NAME] has a URL, and no name is there twice; [server] may have been given one of them as its name.
static enum dk_err check_servers(const struct dk_settings *settings, const struct dk_ini *ini, struct dk_fault *fault)
{
    for (size_t i = 1; i < settings->server_count; i++) {
        const struct dk_server_settings *server = &settings->servers[i];
        struct dk_ini_entry at = {0};

        for (size_t e = 0; e < ini->count; e++)
            if (ini->entries[e].key == NULL && named_server(ini->entries[e].section) != NULL &&
                strcmp(named_server(ini->entries[e].section), server->name) == 0)
                at = ini->entries[e];
        if (server->url[0] == '\0')
            return dk_ini_fail(ini, &at, fault, "add url = …, or remove the section", "has no url");
        for (size_t j = 0; j < i; j++)
            if (strcmp(settings->servers[j].name, server->name) == 0)
                return dk_ini_fail(ini, &at, fault, "give each a name of its own",
                                   "another server is called \"%s\" as well", server->name);
    }
    return DK_OK;
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
        err = check_servers(&changed, ini, fault);
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

// The server that `name` means: one of the settings, else *other, made for the URL that it is. NULL: it is none.
static const struct dk_server_settings *server_called(const struct dk_settings *settings, const char *name,
                                                      struct dk_server_settings *other, const char **wrong)
{
    const struct dk_server_settings *const all = settings->servers;

    for (size_t i = 0; i < settings->server_count; i++)
        if (all[i].url[0] != '\0' && all[i].name[0] != '\0' && strcmp(all[i].name, name) == 0)
            return &all[i];
    *other = all[0];
    other->name[0] = other->location[0] = other->network_operator[0] = '\0';
    if (other->url[0] != '\0')
        other->upload_url[0] = '\0';
    other->net = DK_NET_UNSTATED;
    *wrong = dk_option_set_server(find("server", "url"), name, other);
    if (*wrong == NULL && other->url[0] == '\0')
        *wrong = "is empty";
    for (size_t i = 0; *wrong == NULL && i < settings->server_count; i++)
        if (strcmp(all[i].url, other->url) == 0)
            return &all[i];
    return *wrong == NULL ? other : NULL;
}

enum dk_err dk_settings_choose_servers(struct dk_settings *settings, const char *const *names, size_t count,
                                       struct dk_fault *fault)
{
    struct dk_server_settings chosen[DK_SERVERS_MAX + 1] = {0}, other;

    if (count > DK_SERVERS_MAX)
        return dk_fail(fault, DK_ERR_USAGE, "--server", NULL, "is there too often; %d servers are allowed",
                       (int)DK_SERVERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *wrong = NULL;
        const struct dk_server_settings *server = server_called(settings, names[i], &other, &wrong);
        char quoted[DK_QUOTE_SIZE], allowed[256];

        dk_quote(names[i], quoted);
        if (server == NULL) {
            write_allowed(find("server", "url"), allowed, sizeof allowed);
            return dk_fail(fault, DK_ERR_USAGE, "--server", NULL, "%s %s; allowed: the name of a server, or %s", quoted,
                           wrong, allowed);
        }
        for (size_t j = 0; j < i; j++)
            if (strcmp(chosen[j].url, server->url) == 0 && strcmp(chosen[j].name, server->name) == 0)
                return dk_fail(fault, DK_ERR_USAGE, "--server", NULL, "%s is there twice", quoted);
        chosen[i] = *server;
    }
    memcpy(settings->servers, chosen, sizeof chosen);
    settings->server_count = count;
    return DK_OK;
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
    if (strcmp(argument, "server") == 0)
        return dk_settings_choose_servers(settings, &value, 1, fault);
    // A person types paths as seen from the working directory; the settings keep absolute ones.
    if (dk_option_is_relative_path(&options[i], value) && getcwd(folder, sizeof folder) != NULL &&
        snprintf(path, sizeof path, "%s/%s", folder, value) < (int)sizeof path)
        text = path;

    const char *wrong = dk_option_set(&options[i], text, settings);

    for (size_t s = 1; wrong == NULL && s < settings->server_count && dk_option_is_of_server(&options[i]); s++)
        wrong = dk_option_set_server(&options[i], text, &settings->servers[s]);
    if (wrong == NULL)
        return DK_OK;

    char quoted[DK_QUOTE_SIZE], allowed[256];

    dk_quote(value, quoted);
    write_allowed(&options[i], allowed, sizeof allowed);
    return dk_fail(fault, DK_ERR_USAGE, where, NULL, "%s %s; allowed: %s", quoted, _(wrong), allowed);
}

static enum dk_err print_named_servers(const struct dk_settings *settings, struct dk_buf *out)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    enum dk_err err = DK_OK;

    for (size_t s = 1; s < settings->server_count && err == DK_OK; s++) {
        const struct dk_server_settings *server = &settings->servers[s];

        // One that was named by its URL, or that only [server] name can call so, gets a number.
        if (server->name[0] != '\0' && dk_ini_is_section(server->name))
            err = dk_buf_printf(out, "\n[" SERVER_PREFIX "%s]\n", server->name);
        else
            err = dk_buf_printf(out, "\n[" SERVER_PREFIX "%zu]\n", s + 1);
        for (size_t i = 0; i < count && err == DK_OK; i++) {
            if (!is_of_named_server(&options[i]))
                continue;
            err = dk_buf_printf(out, "%s = ", options[i].key);
            if (err == DK_OK)
                err = dk_option_print_server(&options[i], server, out);
            if (err == DK_OK)
                err = dk_buf_append(out, "\n", 1);
        }
    }
    return err;
}

enum dk_err dk_settings_print(const struct dk_settings *settings, struct dk_buf *out)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < count && err == DK_OK; i++) {
        if (i > 0 && strcmp(options[i - 1].section, "server") == 0 && strcmp(options[i].section, "server") != 0)
            err = print_named_servers(settings, out);
        if (err == DK_OK && (i == 0 || strcmp(options[i - 1].section, options[i].section) != 0))
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
