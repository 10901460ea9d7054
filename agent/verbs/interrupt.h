// SPDX-License-Identifier: Apache-2.0
#pragma once

// Turns SIGINT and SIGTERM, from here on, into a descriptor that becomes readable, so that a loop can end in order.
// Returns it (close-on-exec, the process keeps it), or -1 when the kernel refuses.
int dk_interrupt_fd(void);
