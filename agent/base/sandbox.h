// SPDX-License-Identifier: Apache-2.0
//
// A program's own walls: capabilities dropped, no_new_privs, Landlock for files and TCP ports, seccomp for system
// calls. What the kernel does not have is left out and said. They cannot be taken down again, and children inherit
// them: open, or load, before what is needed afterwards and not named here.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DK_SANDBOX_PATHS_MAX = 48, DK_SANDBOX_PORTS_MAX = 64 };

enum dk_sandbox_network {
    DK_SANDBOX_NO_NETWORK,  // no socket is made, none is connected; what is open is used, and connections are accepted
    DK_SANDBOX_CLIENT,      // sockets are made (AF_INET, AF_INET6, AF_NETLINK) and connected; none listens
    DK_SANDBOX_ANY_NETWORK, // no wall
};

struct dk_sandbox {
    // Files and folders with all below; NULL or "" entries, and what does not exist, are passed over. Reading is for
    // both; writing is making, changing and removing files.
    const char *read[DK_SANDBOX_PATHS_MAX], *write[DK_SANDBOX_PATHS_MAX];
    char *const *files; // more to read, `file_count` of them; NULL for none
    size_t file_count;
    const char *list, *make; // folders whose names may be read, and in which files may be made and replaced; none of
                             // them is read, and of what is named above none is hidden; NULL for none
    bool any_file;           // no wall: for a library of others, which does not say what it needs
    bool system;             // what programs read at run time: libraries, names and addresses, authorities, /proc, /sys
    enum dk_sandbox_network network;
    bool capture; // a client's AF_PACKET too
    // TCP ports to connect to; none: to any. Linux 6.7 or later.
    uint16_t ports[DK_SANDBOX_PORTS_MAX];
    size_t port_count;
    uint64_t keep; // capabilities that stay, as bits (1 << CAP_NET_RAW)
};

// What holds.
struct dk_sandbox_state {
    bool capabilities; // none but those to be kept
    bool no_new_privileges;
    int landlock; // version of its interface; 0: not there; from DK_SANDBOX_PORTS_VERSION on it knows ports
    bool seccomp;
};
enum { DK_SANDBOX_PORTS_VERSION = 4 };

// Puts the walls up, as far as this kernel has them, for good. With AddressSanitizer processes may still be made and
// traced, which it does itself.
struct dk_sandbox_state dk_sandbox_enter(const struct dk_sandbox *wanted);

// Gives up capabilities, as bits, that were kept. False when it cannot be done.
bool dk_sandbox_drop(uint64_t capabilities);

// What this kernel has, without entering.
struct dk_sandbox_state dk_sandbox_available(void);
