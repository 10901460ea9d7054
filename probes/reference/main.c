// SPDX-License-Identifier: Apache-2.0
//
// dokiem-reference: the far ends of the probes, in one process and one thread.
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/language.h"
#include "agent/base/sandbox.h"
#include "agent/record/key.h"
#include "agent/record/seal.h"
#include "agent/record/signer.h"
#include "probes/reference/http.h"
#include "probes/reference/listen.h"
#include "probes/reference/options.h"
#include "probes/stamp/reflector.h"

DK_DEFINE_FREE(http, struct dk_http, dk_http_free)
DK_DEFINE_FREE(reflector, struct dk_reflector, dk_reflector_free)

static void close_descriptor(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define AUTO_CLOSE __attribute__((cleanup(close_descriptor)))

static int complain(const struct dk_fault *fault)
{
    fprintf(stderr, "dokiem-reference: %s: %s%s%s\n", fault->where, fault->what,
            fault->todo[0] != '\0' ? "; " : "", fault->todo);
    return dk_err_exit_status(fault->err);
}

// A descriptor that is readable when SIGTERM or SIGINT has come; SIGPIPE is ignored.
static int open_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
}

static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int wait_ms(const struct dk_http *http)
{
    if (http == NULL)
        return -1;

    struct dk_mono deadline = dk_http_deadline(http); // before "now": one that is due must not become a wait
    int64_t wait_ns = dk_mono_diff_ns(deadline, dk_mono_now());

    return wait_ns <= 0 ? 0 : (int)((wait_ns + DK_NS_PER_MS - 1) / DK_NS_PER_MS);
}

// Serves until a signal comes. `http` or `reflector` may be NULL; poll(2) passes over a descriptor of -1.
static enum dk_err serve(struct dk_http *http, struct dk_reflector *reflector, int stamp_fd, int signals)
{
    struct pollfd ready[] = {{.fd = signals, .events = POLLIN},
                             {.fd = reflector != NULL ? stamp_fd : -1, .events = POLLIN},
                             {.fd = http != NULL ? dk_http_fd(http) : -1, .events = POLLIN}};

    for (;;) {
        if (poll(ready, sizeof ready / sizeof ready[0], wait_ms(http)) < 0) {
            if (errno == EINTR)
                continue;
            return DK_ERR_IO;
        }
        if (ready[0].revents != 0)
            return DK_OK;
        if (reflector != NULL && ready[1].revents != 0)
            dk_reflector_serve(reflector);
        if (http != NULL)
            dk_http_run(http);
    }
}

static enum dk_err start_signer(const char *path, struct dk_key **out, struct dk_fault *fault)
{
    const struct dk_signer_plan plan = {.get = dk_signer_get_file, .argument = path, .typ = DK_TYP_WORD};

    return dk_signer_start(&plan, out, fault);
}

int main(int argc, char **argv)
{
    struct dk_reference_options options;
    struct dk_fault fault = {0};
    char address[DK_LISTEN_TEXT_SIZE];
    AUTO_CLOSE int stamp_fd = -1;
    AUTO_CLOSE int signals = -1;
    dk_auto(reflector) struct dk_reflector *reflector = NULL;
    dk_auto(key) struct dk_key *word_key = NULL;
    dk_auto(http) struct dk_http *http = NULL;

    setlocale(LC_ALL, "");
    dk_language_bind(DK_LOCALE_DIR);
    if (dk_reference_options_read(argc, argv, &options, &fault) != DK_OK)
        return complain(&fault);
    if (options.help) {
        dk_auto_buf struct dk_buf help = dk_buf_make(8192);

        return dk_reference_options_help(&help) == DK_OK && fputs(dk_buf_text(&help), stdout) >= 0 &&
                       fflush(stdout) == 0
                   ? 0
                   : dk_err_exit_status(DK_ERR_IO);
    }
    // What a server answers and logs is English, whoever started it.
    setlocale(LC_ALL, "C");
    signals = open_signals();
    allow_descriptors();
    if (options.http != NULL) {
        int fd = -1;

        if ((options.word_key != NULL && start_signer(options.word_key, &word_key, &fault) != DK_OK) ||
            dk_listen_open(options.http, SOCK_STREAM, &fd, address, &fault) != DK_OK ||
            dk_http_new(fd, &options, word_key, &http, &fault) != DK_OK)
            return complain(&fault);
        printf("http %s\n", address);
    }
    if (options.stamp != NULL) {
        struct dk_stamp_key key = {0};

        if (options.stamp_key != NULL && dk_stamp_key_read(options.stamp_key, &key, &fault) != DK_OK)
            return complain(&fault);
        if (dk_listen_open(options.stamp, SOCK_DGRAM, &stamp_fd, address, &fault) != DK_OK ||
            dk_reflector_new(stamp_fd, options.packets_per_second, options.stamp_key != NULL ? &key : NULL, &reflector,
                             &fault) != DK_OK)
            return complain(&fault);
        printf("stamp %s\n", address);
    }
    // Everything is open that needed a right, a file or a socket.
    (void)dk_language(); // the catalogue is read with the first text
    (void)dk_sandbox_enter(&(const struct dk_sandbox){.system = true});
    // Whoever started us may have stopped reading; the work goes on.
    (void)fflush(stdout);
    return dk_err_exit_status(serve(http, reflector, stamp_fd, signals));
}
