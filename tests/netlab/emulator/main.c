// SPDX-License-Identifier: Apache-2.0
//
// link_emulator: a link of known rate, queue, delay, loss and order between two interfaces, which writes down
// what it really did.
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "tests/netlab/emulator/options.h"
#include "tests/netlab/emulator/wire.h"

static int complain(const struct dk_fault *fault)
{
    fprintf(stderr, "link_emulator: %s: %s%s%s\n", fault->where, fault->what,
            fault->todo[0] != '\0' ? "; " : "", fault->todo);
    return dk_err_exit_status(fault->err);
}

static void close_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

static void close_descriptor(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
}

// On time, also when the processors are busy: before all ordinary processes where that is allowed.
static const char *hurry(void)
{
    const struct sched_param priority = {.sched_priority = 1};

    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    return sched_setscheduler(0, SCHED_FIFO, &priority) == 0 ? "fifo" : "normal";
}

static void print_total(const struct dk_wire *wire, enum dk_direction direction)
{
    const struct dk_account *a = dk_wire_total(wire, direction);

    printf("%s offered=%" PRId64 " packets=%" PRId64 " ip_bytes=%" PRId64 " duplicated=%" PRId64
           " lost=%" PRId64 " queue_full=%" PRId64 " emulator=%" PRId64 " held=%" PRId64
           " late_median_us=%" PRId64 " late_p99_us=%" PRId64 " late_max_us=%" PRId64 "\n",
           dk_direction_names[direction], a->offered, a->delivered, a->ip_bytes, a->duplicated, a->lost,
           a->queue_full, a->emulator, dk_wire_held(wire, direction), dk_account_late_us(a, 500000),
           dk_account_late_us(a, 990000), a->late_max_ns / DK_NS_PER_US);
}

static int help(void)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(8192);

    return dk_emulator_options_help(&text) == DK_OK && fputs(dk_buf_text(&text), stdout) >= 0 &&
                   fflush(stdout) == 0
               ? 0
               : dk_err_exit_status(DK_ERR_IO);
}

int main(int argc, char **argv)
{
    __attribute__((cleanup(dk_emulator_options_free))) struct dk_emulator_options options = {0};
    __attribute__((cleanup(close_file))) FILE *csv = NULL;
    __attribute__((cleanup(close_descriptor))) int signals = -1;
    dk_auto(wire) struct dk_wire *wire = NULL;
    struct dk_wire_settings settings = {0};
    struct dk_fault fault = {0};

    if (dk_emulator_options_read(argc, argv, &options, &fault) != DK_OK)
        return complain(&fault);
    if (options.help)
        return help();
    if (options.csv != NULL && (csv = fopen(options.csv, "we")) == NULL) {
        (void)dk_fail(&fault, dk_err_from_errno(errno), options.csv, NULL, "cannot be written: %s",
                      strerror(errno));
        return complain(&fault);
    }
    signals = open_signals();
    settings = (struct dk_wire_settings){.agent_interface = options.agent,
                                         .server_interface = options.server,
                                         .grain_ns = options.grain_us * DK_NS_PER_US,
                                         .csv = csv};
    memcpy(settings.links, options.links, sizeof settings.links);

    const char *priority = hurry();

    if (dk_wire_new(&settings, &wire, &fault) != DK_OK)
        return complain(&fault);
    printf("ready start_ns=%" PRId64 " priority=%s\n", dk_wire_start(wire).ns, priority);
    (void)fflush(stdout);
    if (dk_wire_run(wire, signals, &fault) != DK_OK)
        return complain(&fault);
    for (int i = 0; i < DK_DIRECTIONS; i++)
        print_total(wire, (enum dk_direction)i);
    return 0;
}
