// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

int dk_interrupt_fd(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return -1;
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}
