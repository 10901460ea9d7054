// SPDX-License-Identifier: Apache-2.0
#include "agent/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Numbers that older headers lack; they are the same on all machines.
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule       445
#define __NR_landlock_restrict_self  446
#endif

// What later versions have, and older headers lack.
enum {
    ABI_REFER = 2,
    ABI_TRUNCATE = 3,
    ABI_NET = DK_SANDBOX_PORTS_VERSION,
    ABI_IOCTL = 5,
    ABI_SCOPE = 6,
    FS_FIRST = (1 << 13) - 1, // all rights of the first version
    FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,
    NET_CONNECT_TCP = 1 << 1,
    RULE_NET_PORT = 2,
    SCOPE_ABSTRACT_UNIX = 1 << 0,
    SCOPE_SIGNAL = 1 << 1,
};

struct ruleset {
    uint64_t files, ports, scope; // handled
};
struct port_rule {
    uint64_t rights, port;
};

enum {
    CAPABILITY_LAST = 63,
    FILTER_MAX = 256,
    READ_RIGHTS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    MAKE_RIGHTS = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                  LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE,
    WRITE_RIGHTS = READ_RIGHTS | MAKE_RIGHTS | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR,
    FILE_RIGHTS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE,
};

// --- capabilities ---------------------------------------------------------------------------------------------------

static bool drop_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int capability = 0; capability <= CAPABILITY_LAST; capability++)
        if ((keep & UINT64_C(1) << capability) == 0)
            (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(keep >> (32 * i));
        data[i].effective &= (uint32_t)(keep >> (32 * i));
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) == 0;
}

// --- files ----------------------------------------------------------------------------------------------------------

static int landlock_version(void)
{
    long version = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (int)version : 0;
}

static void allow(int rules, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights};
    struct stat status;

    if (path == NULL || path[0] == '\0')
        return;
    beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0)
        return;
    if (fstat(beneath.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        beneath.allowed_access &= FILE_RIGHTS;
    (void)syscall(__NR_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent_fd);
}

// Of /etc what libraries read, and no more: others keep secrets there.
static const char *const system_paths[] = {
    "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev/null", "/dev/urandom", "/proc/self/exe",
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
    "/etc/protocols", "/etc/localtime", "/etc/timezone", "/etc/TZ", "/etc/locale.alias", "/etc/ld.so.cache",
    "/etc/ld.so.preload", "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/ca-certificates",
    "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf", "/etc/pki/ca-trust",
    "/etc/crypto-policies", "/etc/gnutls", "/var/lib/ca-certificates",
    "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman",
    "/tmp/resolv.conf.d", "/tmp/resolv.conf", // OpenWrt
};

static void allow_all(int rules, const struct dk_sandbox *wanted, uint64_t handled)
{
    for (size_t i = 0; wanted->system && i < sizeof system_paths / sizeof system_paths[0]; i++)
        allow(rules, system_paths[i], READ_RIGHTS);
    for (size_t i = 0; i < DK_SANDBOX_PATHS_MAX; i++) {
        allow(rules, wanted->read[i], READ_RIGHTS);
        allow(rules, wanted->write[i], WRITE_RIGHTS & handled);
    }
    for (size_t i = 0; i < wanted->file_count; i++)
        allow(rules, wanted->files[i], READ_RIGHTS);
    allow(rules, wanted->list, LANDLOCK_ACCESS_FS_READ_DIR);
    allow(rules, wanted->make, MAKE_RIGHTS & handled);
    for (size_t i = 0; i < wanted->port_count; i++) {
        const struct port_rule rule = {NET_CONNECT_TCP, wanted->ports[i]};

        (void)syscall(__NR_landlock_add_rule, rules, RULE_NET_PORT, &rule, 0);
    }
}

static bool restrict_files(const struct dk_sandbox *wanted, int version)
{
    struct ruleset handled = {.files = FS_FIRST};
    size_t size = sizeof handled.files;

    if (version >= ABI_REFER)
        handled.files |= FS_REFER;
    if (version >= ABI_TRUNCATE)
        handled.files |= FS_TRUNCATE;
    if (version >= ABI_IOCTL)
        handled.files |= FS_IOCTL_DEV;
    if (wanted->any_file)
        handled.files = 0;
    if (version >= ABI_NET) {
        handled.ports = wanted->port_count > 0 || wanted->network == DK_SANDBOX_NO_NETWORK ? NET_CONNECT_TCP : 0;
        size = offsetof(struct ruleset, scope);
    }
    if (version >= ABI_SCOPE) {
        handled.scope = SCOPE_SIGNAL | (wanted->network == DK_SANDBOX_ANY_NETWORK ? 0 : SCOPE_ABSTRACT_UNIX);
        size = sizeof handled;
    }

    int rules = (int)syscall(__NR_landlock_create_ruleset, &handled, size, 0);

    if (rules < 0)
        return false;
    allow_all(rules, wanted, handled.files);

    bool done = syscall(__NR_landlock_restrict_self, rules, 0) == 0;

    close(rules);
    return done;
}

// --- system calls ---------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(__ARM_EABI__)
#define MACHINE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define MACHINE AUDIT_ARCH_RISCV64
#endif

// The search for leaks makes a process, which traces this one.
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#ifdef MACHINE
// What no measuring, delivering or serving needs, and an intruder does: other programs, other processes, the kernel,
// the system's identity and clock. A list of what is refused, not of what is allowed: the libraries' next version must
// not find itself locked out in the field.
static const int refused[] = {
    __NR_execve, __NR_execveat, __NR_process_vm_readv, __NR_process_vm_writev, __NR_kcmp,
#if !SANITIZED
    __NR_ptrace,
#endif
    __NR_bpf, __NR_perf_event_open, __NR_userfaultfd, __NR_io_setup, __NR_io_submit, __NR_keyctl, __NR_add_key,
    __NR_request_key, __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_reboot,
    __NR_swapon, __NR_swapoff, __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_unshare, __NR_setns,
    __NR_acct, __NR_quotactl, __NR_syslog, __NR_sethostname, __NR_setdomainname, __NR_settimeofday, __NR_clock_settime,
    __NR_personality, __NR_setuid, __NR_setgid, __NR_setreuid, __NR_setregid, __NR_setresuid, __NR_setresgid,
    __NR_setgroups, __NR_setfsuid, __NR_setfsgid, __NR_name_to_handle_at, __NR_open_by_handle_at,
    __NR_mknodat, __NR_fchownat, __NR_lookup_dcookie, __NR_fanotify_init, __NR_move_pages, __NR_migrate_pages,
    __NR_vhangup, __NR_nfsservctl,
#if defined(__NR_fork) && !SANITIZED
    __NR_fork, __NR_vfork,
#endif
#ifdef __NR_io_uring_setup
    __NR_io_uring_setup, __NR_io_uring_enter, __NR_io_uring_register,
#endif
#ifdef __NR_pidfd_getfd
    __NR_pidfd_getfd, __NR_pidfd_open,
#endif
#ifdef __NR_process_madvise
    __NR_process_madvise,
#endif
#ifdef __NR_open_tree
    __NR_open_tree, __NR_move_mount, __NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick,
#endif
#ifdef __NR_mount_setattr
    __NR_mount_setattr,
#endif
#ifdef __NR_kexec_file_load
    __NR_kexec_file_load,
#endif
#ifdef __NR_clock_settime64
    __NR_clock_settime64,
#endif
};

struct program {
    struct sock_filter code[FILTER_MAX];
    unsigned short count;
};

static void add(struct program *program, unsigned code, unsigned value, unsigned on_true, unsigned on_false)
{
    if (program->count < FILTER_MAX)
        program->code[program->count++] = (struct sock_filter){
            .code = (unsigned short)code, .jt = (unsigned char)on_true, .jf = (unsigned char)on_false, .k = value};
}

static void load(struct program *program, size_t offset)
{
    add(program, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void answer(struct program *program, int error_number)
{
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error_number, 0, 0);
}

static void refuse_call(struct program *program, int number, int error_number)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1);
    answer(program, error_number);
}

// The low half of an argument, on machines of both byte orders that are listed above (all little-endian).
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + (n) * sizeof(uint64_t))

// Refuses call `number` when of the bits `mask` of argument `n` all are set.
static void refuse_bits(struct program *program, int number, unsigned n, unsigned mask)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 5);
    load(program, ARGUMENT(n));
    add(program, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, mask, 0, 1);
    answer(program, EPERM);
    load(program, offsetof(struct seccomp_data, nr));
}

// Refuses call `number` when argument `n` is `value`.
static void refuse_value(struct program *program, int number, unsigned n, unsigned value)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 4);
    load(program, ARGUMENT(n));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    answer(program, EPERM);
    load(program, offsetof(struct seccomp_data, nr));
}

#if !SANITIZED
// Of clone() only threads: the resolver of libcurl is one.
static void allow_threads(struct program *program)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4);
    load(program, ARGUMENT(0));
    add(program, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
    answer(program, EPERM);
    load(program, offsetof(struct seccomp_data, nr));
#ifdef __NR_clone3
    // Its flags lie in memory, where no filter sees them. With ENOSYS the C library takes clone().
    refuse_call(program, __NR_clone3, ENOSYS);
#endif
}
#endif

static void restrict_sockets(struct program *program, const struct dk_sandbox *wanted)
{
    const unsigned families[] = {AF_INET, AF_INET6, AF_NETLINK, wanted->capture ? AF_PACKET : AF_INET};
    unsigned count = sizeof families / sizeof families[0];

    if (wanted->network == DK_SANDBOX_ANY_NETWORK)
        return;
    if (wanted->network == DK_SANDBOX_NO_NETWORK) {
        refuse_call(program, __NR_socket, EPERM);
        refuse_call(program, __NR_connect, EPERM);
        return;
    }
    refuse_call(program, __NR_listen, EPERM);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, count + 3);
    load(program, ARGUMENT(0));
    for (unsigned i = 0; i < count; i++)
        add(program, BPF_JMP | BPF_JEQ | BPF_K, families[i], count - i, 0);
    answer(program, EPERM);
    load(program, offsetof(struct seccomp_data, nr));
}

static bool restrict_calls(const struct dk_sandbox *wanted)
{
    struct program program = {.count = 0};

    load(&program, offsetof(struct seccomp_data, arch));
    add(&program, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
    answer(&program, EPERM);
    load(&program, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
    add(&program, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); // x32
    answer(&program, EPERM);
#endif
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        refuse_call(&program, refused[i], EPERM);
#if !SANITIZED
    allow_threads(&program);
#endif
    restrict_sockets(&program, wanted);
    refuse_value(&program, __NR_ioctl, 1, TIOCSTI); // typing on the user's terminal
#ifdef __NR_mmap
    refuse_bits(&program, __NR_mmap, 2, PROT_WRITE | PROT_EXEC);
#endif
    refuse_bits(&program, __NR_mprotect, 2, PROT_EXEC);
    add(&program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);

    const struct sock_fprog filter = {.len = program.count, .filter = program.code};

    return program.count < FILTER_MAX && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}
#else
static bool restrict_calls(const struct dk_sandbox *wanted)
{
    (void)wanted;
    return false;
}
#endif

// --- all of them ----------------------------------------------------------------------------------------------------

struct dk_sandbox_state dk_sandbox_enter(const struct dk_sandbox *wanted)
{
    int version = landlock_version();
    struct dk_sandbox_state state = {.capabilities = drop_capabilities(wanted->keep)};

    state.no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (state.no_new_privileges && version > 0 && restrict_files(wanted, version))
        state.landlock = version;
    state.seccomp = state.no_new_privileges && restrict_calls(wanted);
    return state;
}

bool dk_sandbox_drop(uint64_t capabilities)
{
    return drop_capabilities(~capabilities);
}

struct dk_sandbox_state dk_sandbox_available(void)
{
    struct dk_sandbox_state state = {.capabilities = true,
                                     .no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0,
                                     .landlock = landlock_version()};

#ifdef MACHINE
    // Without a program: EFAULT when filters are known.
    state.seccomp = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) == -1 && errno == EFAULT;
#endif
    return state;
}
