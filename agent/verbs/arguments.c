// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/arguments.h"

#include "agent/base/language.h"
#include "agent/report/text.h"
#include "agent/verbs/verbs.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLAGS_MAX = 64, SHORT_HELP = 'h' };

// One long option as getopt_long() is told of it; `own` or `option` says whose it is, neither means --config/--help.
struct row {
    const struct dk_own_flag *own;
    const struct dk_option *option;
    const char *value; // as given; NULL when it was not
};

struct table {
    struct option longs[FLAGS_MAX + 1];
    struct row rows[FLAGS_MAX];
    int count;
    const char *config;
    const char *servers[DK_SERVERS_MAX + 1]; // each --server
    size_t server_count;
};

static void add(struct table *table, const char *name, bool has_value, struct row row)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->longs[i].name, name) == 0)
            return;
    if (table->count == FLAGS_MAX)
        return;
    table->longs[table->count] = (struct option){name, has_value ? required_argument : no_argument, NULL, 0};
    table->rows[table->count++] = row;
}

static void fill_table(struct table *table, enum dk_arguments_kind kind, const struct dk_own_flag *own)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);

    add(table, "help", false, (struct row){0}); // row 0, see scan()
    for (; own->name != NULL; own++)
        add(table, own->name, own->argument != NULL, (struct row){.own = own});
    if (kind == DK_ARGUMENTS_NO_CONFIG)
        return;
    add(table, "config", true, (struct row){0});
    for (size_t i = 0; i < count; i++)
        if (options[i].argument != NULL &&
            (kind == DK_ARGUMENTS_MEASURING || strcmp(options[i].argument, "state") == 0))
            add(table, options[i].argument, true, (struct row){.option = &options[i]});
}

// An option on the left, what it does on the right, broken so that the line stays within 80 columns.
static void print_option(const char *left, const char *text)
{
    enum { INDENT = 29, COLUMNS = 80 };
    dk_auto_buf struct dk_buf right = dk_buf_make(8192);
    size_t at = 2 + dk_text_columns(left) + 1;

    if (dk_text_append_wrapped(&right, text, at > INDENT ? at : INDENT, INDENT, COLUMNS) == DK_OK)
        printf("  %-*s %s\n", INDENT - 3, left, dk_buf_text(&right));
}

static void print_help(const char *name, enum dk_arguments_kind kind, const struct table *table)
{
    const struct dk_verb *verb = dk_verb_find(name);

    printf(_("Usage: dokiem %s [OPTION...]%s%s\n"), name, verb != NULL && verb->operands[0] != '\0' ? " " : "",
           verb != NULL ? verb->operands : "");
    if (verb != NULL) {
        const char *help = _(verb->help);

        dk_auto_buf struct dk_buf line = dk_buf_make(1024);

        if (dk_text_append_wrapped(&line, help, 0, 0, 79) == DK_OK && line.len > 0)
            printf("%c%s.\n", help[0] >= 'a' && help[0] <= 'z' ? help[0] - 'a' + 'A' : help[0],
                   dk_buf_text(&line) + 1);
    }
    printf("\n");
    for (int i = 1; i < table->count; i++) {
        const struct row *row = &table->rows[i];
        char left[64], text[512];

        if (row->own != NULL) {
            snprintf(left, sizeof left, "--%s%s%s", row->own->name, row->own->argument != NULL ? " " : "",
                     row->own->argument != NULL ? row->own->argument : "");
            print_option(left, _(row->own->help));
        } else if (row->option != NULL) {
            bool server = strcmp(row->option->argument, "server") == 0;

            snprintf(left, sizeof left, "--%s %s", row->option->argument, server ? "NAME|URL" : "VALUE");
            snprintf(text, sizeof text, "%s%s", _(row->option->help), server ? _("; may be there more than once") : "");
            print_option(left, text);
            snprintf(text, sizeof text, _("  %s; default %s"), row->option->allowed,
                     row->option->fallback[0] != '\0' ? row->option->fallback : _("none"));
            print_option("", text);
        } else {
            print_option("--config FILE", _("the configuration file to read"));
        }
    }
    if (kind == DK_ARGUMENTS_MEASURING)
        print_option("-4, -6", _("IPv4 or IPv6 only; with both, one run after the other"));
}

static enum dk_err scan(int argc, char **argv, enum dk_arguments_kind kind, struct table *table,
                        struct dk_arguments *out, struct dk_fault *fault)
{
    const char *shorts = kind == DK_ARGUMENTS_MEASURING ? ":h46" : ":ho:";
    const char *family = NULL;

    opterr = 0;
    optind = 0;
    for (;;) {
        int index = -1, letter = getopt_long(argc, argv, shorts, table->longs, &index);

        if (letter == -1)
            break;
        // -o is the --output of the verbs that have one.
        for (int i = 0; letter == 'o' && i < table->count; i++)
            if (table->rows[i].own != NULL && strcmp(table->longs[i].name, "output") == 0) {
                index = i;
                letter = 0;
            }
        if (letter == '4' || letter == '6') {
            const char *one = letter == '4' ? "ipv4" : "ipv6";

            family = family == NULL || strcmp(family, one) == 0 ? one : "both";
        } else if (letter == SHORT_HELP || (letter == 0 && index == 0)) {
            print_help(argv[0], kind, table);
            out->help_shown = true;
            return DK_OK;
        } else if (letter != 0) {
            char todo[64];

            snprintf(todo, sizeof todo, _("see 'dokiem %s --help'"), argv[0]);
            return dk_fail(fault, DK_ERR_USAGE, argv[optind > 1 ? optind - 1 : 1], todo,
                           letter == ':' ? N_("needs a value") : N_("is not an option here"));
        } else if (table->rows[index].own == NULL && table->rows[index].option == NULL) {
            table->config = optarg;
        } else if (table->rows[index].own != NULL && table->rows[index].own->argument == NULL) {
            *table->rows[index].own->set = true;
        } else if (table->rows[index].own != NULL) {
            *table->rows[index].own->value = optarg;
        } else if (strcmp(table->longs[index].name, "server") == 0) {
            // One too many is kept, for the settings to refuse.
            if (table->server_count <= DK_SERVERS_MAX)
                table->servers[table->server_count++] = optarg;
        } else {
            table->rows[index].value = optarg;
        }
    }
    out->operands = argv + optind;
    out->operand_count = argc - optind;
    for (int i = 0; family != NULL && i < table->count; i++)
        if (strcmp(table->longs[i].name, "family") == 0)
            table->rows[i].value = family;
    return DK_OK;
}

// Writes FOLDER/END when FOLDER is an absolute path and the file exists: the environment is believed in no other form.
static bool file_below(const char *folder, const char *end, char path[static PATH_MAX])
{
    if (folder != NULL && folder[0] == '/' && snprintf(path, PATH_MAX, "%s/%s", folder, end) < PATH_MAX &&
        access(path, F_OK) == 0)
        return true;
    path[0] = '\0';
    return false;
}

enum dk_err dk_arguments_read(int argc, char **argv, enum dk_arguments_kind kind, const struct dk_own_flag *own,
                              struct dk_arguments *out, struct dk_fault *fault)
{
    struct table table = {0};

    *out = (struct dk_arguments){0};
    fill_table(&table, kind, own);

    enum dk_err err = scan(argc, argv, kind, &table, out, fault);

    if (err != DK_OK || out->help_shown)
        return err;
    dk_settings_default(&out->settings);
    if (kind == DK_ARGUMENTS_NO_CONFIG)
        return DK_OK;
    if (table.config != NULL)
        snprintf(out->config_path, sizeof out->config_path, "%s", table.config);
    else if (!file_below(getenv("XDG_CONFIG_HOME"), "dokiem/dokiem.ini", out->config_path) &&
             !file_below(getenv("HOME"), ".config/dokiem/dokiem.ini", out->config_path))
        (void)file_below("/etc", "dokiem/dokiem.ini", out->config_path);
    if (out->config_path[0] != '\0') {
        err = dk_settings_read_file(&out->settings, out->config_path, fault);
        if (err != DK_OK)
            return err;
    }
    if (table.server_count > 0) {
        err = dk_settings_choose_servers(&out->settings, table.servers, table.server_count, fault);
        if (err != DK_OK)
            return err;
    }
    for (int i = 0; i < table.count; i++)
        if (table.rows[i].value != NULL) {
            err = dk_settings_set_argument(&out->settings, table.longs[i].name, table.rows[i].value, fault);
            if (err != DK_OK)
                return err;
        }
    return DK_OK;
}

int dk_verb_fail(const char *verb, const struct dk_fault *fault)
{
    fprintf(stderr, "dokiem %s: %s%s%s%s%s\n", verb, fault->where, fault->where[0] != '\0' ? ": " : "",
            fault->what[0] != '\0' ? fault->what : _(dk_err_text(fault->err)), fault->todo[0] != '\0' ? "; " : "",
            fault->todo);
    return dk_err_exit_status(fault->err);
}

enum dk_err dk_format_is_json(const char *text, bool *json, struct dk_fault *fault)
{
    if (text != NULL && strcmp(text, "text") != 0 && strcmp(text, "json") != 0)
        return dk_fail(fault, DK_ERR_USAGE, "--format", "use text or json", "'%s' is no format", text);
    *json = text != NULL && strcmp(text, "json") == 0;
    // What a program reads is the same wherever it runs.
    if (*json)
        (void)dk_language_use("en");
    return DK_OK;
}
