// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/ask.h"

#include "agent/report/text.h"
#include "config/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = 1024 };

// The arguments that are asked for, by the name of their option.
static const struct {
    const char *argument, *question;
} questions[] = {
    {"case", N_("Case number")},
    {"inspector", N_("Inspector")},
    {"site", N_("Code of the site")},
    {"place", N_("Place (address, building, room)")},
    {"environment", N_("Indoor, outdoor or moving")},
    {"operator", N_("Operator of the line")},
    {"technology", N_("Technology of the line")},
    {"tariff", N_("Tariff")},
    {"photo", N_("Photo (path of a file)")},
    {"note", N_("Remark")},
};

static const struct dk_option *find_option(const char *argument)
{
    size_t count = 0;
    const struct dk_option *options = dk_options(&count);

    for (size_t i = 0; i < count; i++)
        if (options[i].argument != NULL && strcmp(options[i].argument, argument) == 0)
            return &options[i];
    return NULL;
}

// Reads one line without its end and without blanks around it. False: there is none any more, or it is too long.
static bool read_answer(char answer[static ANSWER_MAX_BYTES])
{
    if (fgets(answer, ANSWER_MAX_BYTES, stdin) == NULL)
        return false;

    size_t len = strlen(answer), blanks = strspn(answer, " \t");

    if (len == 0 || answer[len - 1] != '\n')
        return false;
    while (len > blanks && strchr(" \t\n", answer[len - 1]) != NULL)
        len--;
    memmove(answer, answer + blanks, len - blanks);
    answer[len - blanks] = '\0';
    return true;
}

static enum dk_err ask_one(const struct dk_option *option, const char *question, struct dk_settings *settings,
                           struct dk_fault *fault)
{
    for (;;) {
        dk_auto_buf struct dk_buf now = dk_buf_make(4096);
        char answer[ANSWER_MAX_BYTES];
        struct dk_fault own = {0};

        if (dk_option_print(option, settings, &now) != DK_OK)
            return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        fprintf(stderr, "%s", _(question));
        if (strncmp(option->allowed, "at most", 7) != 0 && strcmp(option->allowed, "absolute") != 0)
            fprintf(stderr, " (%s)", option->allowed);
        if (strcmp(dk_buf_text(&now), "\"\"") != 0)
            fprintf(stderr, " [%s]", dk_buf_text(&now));
        fputs(": ", stderr);
        if (!read_answer(answer)) {
            fputs("\n", stderr);
            return dk_fail(fault, DK_ERR_INTERRUPTED, NULL, NULL, "the questions were not all answered");
        }
        if (answer[0] == '\0' || dk_settings_set_argument(settings, option->argument,
                                                          strcmp(answer, "-") == 0 ? "" : answer, &own) == DK_OK)
            return DK_OK;
        fprintf(stderr, "  %s; %s\n", own.what, own.todo);
    }
}

enum dk_err dk_ask(struct dk_settings *settings, struct dk_fault *fault)
{
    struct dk_settings answered = *settings;
    enum dk_err err = DK_OK;

    if (!isatty(STDIN_FILENO))
        return dk_fail(fault, DK_ERR_USAGE, "--ask", "give the answers as options", "there is nobody to ask");
    for (size_t i = 0; i < sizeof questions / sizeof questions[0] && err == DK_OK; i++) {
        const struct dk_option *option = find_option(questions[i].argument);

        if (option != NULL)
            err = ask_one(option, questions[i].question, &answered, fault);
    }
    if (err == DK_OK)
        *settings = answered;
    return err;
}
