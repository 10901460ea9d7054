// SPDX-License-Identifier: Apache-2.0
//
// dokiem: finds the verb and runs it.
#include "agent/base/error.h"
#include "agent/base/language.h"
#include "agent/report/text.h"
#include "agent/verbs/verbs.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void print_help(FILE *out)
{
    fputs(_("Usage: dokiem VERB [OPTION...]\n\n"
            "Measures download, upload and latency of a line against a reference server,\n"
            "judges them against thresholds, and keeps and delivers signed records.\n\n"),
          out);
    for (const struct dk_verb *verb = dk_verbs; verb->name != NULL; verb++) {
        dk_auto_buf struct dk_buf help = dk_buf_make(1024);

        if (dk_text_append_wrapped(&help, _(verb->help), 16, 16, 80) == DK_OK)
            fprintf(out, "  %-13s %s\n", verb->name, dk_buf_text(&help));
    }
    fputs(_("\n'dokiem VERB --help' shows a verb's options.\n"
            "Exit status: 0 done; with run --check 1 fail, 2 inconclusive; 64 usage, 65 bad\n"
            "data, 66 no such input, 69 server unreachable, 74 I/O, 75 not now,\n"
            "77 permission, 78 configuration, 130 interrupted.\n"),
          out);
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    dk_language_bind(DK_LOCALE_DIR);
    // A reader that goes away (dokiem list | head) or a server that hangs up is an error to look at, not a death.
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return dk_err_exit_status(DK_ERR_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }

    const struct dk_verb *verb = dk_verb_find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);

    if (verb == NULL) {
        fprintf(stderr, _("dokiem: there is no verb '%s'; 'dokiem --help' lists them\n"), argv[1]);
        return dk_err_exit_status(DK_ERR_USAGE);
    }

    int status = verb->run(argc - 1, argv + 1);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("dokiem: standard output");
        return status != 0 ? status : dk_err_exit_status(DK_ERR_IO);
    }
    return status;
}
