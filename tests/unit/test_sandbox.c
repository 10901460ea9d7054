// SPDX-License-Identifier: Apache-2.0
//
// What must be refused inside the walls is tried there, in a child each.
#include "agent/base/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_alg.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/harness.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

// Which wall an attempt is about: seccomp, or from this version on Landlock.
enum { SECCOMP = 0, FILES = 1, PORTS = DK_SANDBOX_PORTS_VERSION, SIGNALS = 6 };

enum { MISSING = 77 };

static char inside[4200], secret[4200], listed[4200], made[4200];
static int open_socket = -1;

// Runs `attempt` behind the walls, of which it needs `wall`. True when it says that all was as it should be, or this
// kernel has no such wall.
static bool behind(const struct dk_sandbox *wanted, int wall, bool (*attempt)(void))
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        const struct dk_sandbox_state there = dk_sandbox_available(), state = dk_sandbox_enter(wanted);

        if (wall == SECCOMP ? !there.seccomp : there.landlock < wall)
            _exit(MISSING);
        // With no wall around files and sockets Landlock has nothing to do before it knows signals.
        bool landlock = wanted->any_file && there.landlock < SIGNALS ? state.landlock == 0
                                                                     : state.landlock == there.landlock;

        if (!state.no_new_privileges || state.seccomp != there.seccomp || !landlock)
            _exit(1);
        _exit(attempt() ? 0 : 1);
    }
    CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) == MISSING)
        printf("    this wall is not there\n");
    return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == MISSING;
}

static bool fails_with(long result, int error_number)
{
    return result < 0 && errno == error_number;
}

static bool cannot_read_elsewhere(void)
{
    return fails_with(open(secret, O_RDONLY), EACCES) && fails_with(open(secret, O_WRONLY), EACCES);
}

static bool cannot_write_elsewhere(void)
{
    char path[4300];

    snprintf(path, sizeof path, "%s/new", listed);
    return fails_with(open(path, O_WRONLY | O_CREAT, 0600), EACCES) && fails_with(unlink(secret), EACCES) &&
           fails_with(rename(secret, path), EACCES);
}

static bool can_list_and_work_inside(void)
{
    char path[4300], other[4300];

    snprintf(path, sizeof path, "%s/.x.tmp", inside);
    snprintf(other, sizeof other, "%s/x", inside);

    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    return fd >= 0 && write(fd, "x", 1) == 1 && rename(path, other) == 0 && truncate(other, 0) == 0 &&
           unlink(other) == 0 && open(listed, O_RDONLY | O_DIRECTORY) >= 0;
}

// Made and put in the place of an older one, and not read.
static bool can_make_and_not_read(void)
{
    char path[4300], other[4300];

    snprintf(path, sizeof path, "%s/.x.tmp", made);
    snprintf(other, sizeof other, "%s/key", made);

    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    return fails_with(open(other, O_RDONLY), EACCES) && fd >= 0 && write(fd, "x", 1) == 1 &&
           fails_with(open(path, O_RDONLY), EACCES) && rename(path, other) == 0 &&
           open(made, O_RDONLY | O_DIRECTORY) >= 0;
}

static bool cannot_start_programs(void)
{
    char *arguments[] = {(char[]){"true"}, NULL};

    return fails_with(execv("/bin/true", arguments), EPERM) && (SANITIZED || fails_with(fork(), EPERM));
}

static bool cannot_touch_others(void)
{
    return (SANITIZED || fails_with(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), EPERM)) &&
           fails_with(syscall(SYS_process_vm_readv, getppid(), NULL, 0L, NULL, 0L, 0L), EPERM);
}

static bool cannot_make_odd_sockets(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return fails_with(socket(AF_ALG, SOCK_SEQPACKET, 0), EPERM) && fails_with(socket(AF_UNIX, SOCK_STREAM, 0), EPERM) &&
           fails_with(socket(AF_PACKET, SOCK_RAW, 0), EPERM) && fd >= 0 && fails_with(listen(fd, 1), EPERM);
}

static bool cannot_make_sockets(void)
{
    struct sockaddr_in there = {.sin_family = AF_INET};

    return fails_with(socket(AF_INET, SOCK_STREAM, 0), EPERM) && fails_with(socket(AF_UNIX, SOCK_STREAM, 0), EPERM) &&
           fails_with(connect(open_socket, (struct sockaddr *)&there, sizeof there), EPERM);
}

// Nobody listens on either port: what is allowed is refused by the other end.
static bool connects_only_to_its_ports(void)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7)};

    if (!fails_with(connect(open_socket, (struct sockaddr *)&there, sizeof there), EACCES))
        return false;
    there.sin_port = htons(9);
    return fails_with(connect(open_socket, (struct sockaddr *)&there, sizeof there), ECONNREFUSED);
}

static bool cannot_signal_others(void)
{
    return fails_with(kill(getppid(), 0), EPERM);
}

static bool cannot_type(void)
{
    return fails_with(ioctl(STDIN_FILENO, TIOCSTI, "x"), EPERM);
}

static bool cannot_read_secrets_of_the_system(void)
{
    return fails_with(open("/etc/shadow", O_RDONLY), EACCES) && fails_with(open("/etc/passwd", O_RDONLY), EACCES) &&
           fails_with(open("/root", O_RDONLY), EACCES) && fails_with(open("/tmp", O_RDONLY), EACCES);
}

static bool cannot_make_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page != MAP_FAILED && both == MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0;
}

// What a run needs of the system still works: names, the tables of /proc.
static bool can_resolve(void)
{
    struct addrinfo *found = NULL;
    bool good = getaddrinfo("localhost", "http", NULL, &found) == 0;

    if (good)
        freeaddrinfo(found);
    return good && open("/proc/self/stat", O_RDONLY) >= 0 && open("/proc/net/dev", O_RDONLY) >= 0;
}

static bool has_no_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return syscall(SYS_capget, &header, data) == 0 && (data[0].permitted & ~(1U << CAP_NET_RAW)) == 0 &&
           data[1].permitted == 0;
}

static bool drops_the_rest(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return dk_sandbox_drop(UINT64_C(1) << CAP_NET_RAW) && syscall(SYS_capget, &header, data) == 0 &&
           data[0].permitted == 0 && data[0].effective == 0 && data[1].permitted == 0;
}

static bool can_use_files(void)
{
    char path[4300];
    int fd = open(secret, O_RDWR), system_fd = open("/etc/passwd", O_RDONLY);

    snprintf(path, sizeof path, "%s/locked", listed);

    int new_fd = open(path, O_RDWR | O_CREAT, 0600);
    bool good = fd >= 0 && system_fd >= 0 && new_fd >= 0 && flock(new_fd, LOCK_EX | LOCK_NB) == 0;

    return unlink(path) == 0 && good;
}

static bool can_use_sockets(void)
{
    const struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
    const struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                      .sin_port = htons(7)};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);

    return fails_with(connect(fd, (const struct sockaddr *)&local, sizeof local), ENOENT) &&
           fails_with(connect(tcp, (const struct sockaddr *)&there, sizeof there), ECONNREFUSED);
}

static struct dk_sandbox walls(void)
{
    return (struct dk_sandbox){.network = DK_SANDBOX_CLIENT,
                               .system = true,
                               .write = {inside},
                               .list = listed,
                               .make = made,
                               .ports = {9},
                               .port_count = 1,
                               .keep = UINT64_C(1) << CAP_NET_RAW};
}

static void make_files(void)
{
    snprintf(listed, sizeof listed, "%s", dk_harness_directory());
    snprintf(inside, sizeof inside, "%.4000s/inside", listed);
    snprintf(secret, sizeof secret, "%.4000s/secret", listed);
    snprintf(made, sizeof made, "%.4000s/made", listed);
    (void)mkdir(inside, 0700);
    (void)mkdir(made, 0700);

    char key[4300];

    snprintf(key, sizeof key, "%s/key", made);

    int fd = open(secret, O_WRONLY | O_CREAT, 0600), key_fd = open(key, O_WRONLY | O_CREAT, 0600);

    CU_ASSERT_FATAL(fd >= 0 && key_fd >= 0);
    close(fd);
    close(key_fd);
}

static void test_files(void)
{
    make_files();

    const struct dk_sandbox here = walls();

    CU_ASSERT(behind(&here, FILES, cannot_read_elsewhere));
    CU_ASSERT(behind(&here, FILES, cannot_write_elsewhere));
    CU_ASSERT(behind(&here, FILES, can_list_and_work_inside));
    CU_ASSERT(behind(&here, FILES, can_resolve));
    CU_ASSERT(behind(&here, FILES, can_make_and_not_read));
    CU_ASSERT(behind(&here, FILES, cannot_read_secrets_of_the_system));
    CU_ASSERT(behind(&here, FILES, has_no_capabilities));
    CU_ASSERT(behind(&here, FILES, drops_the_rest));
    CU_ASSERT(behind(&here, SIGNALS, cannot_signal_others));
}

static void test_calls(void)
{
    const struct dk_sandbox here = walls(), nothing = {.network = DK_SANDBOX_NO_NETWORK};

    CU_ASSERT(behind(&here, SECCOMP, cannot_start_programs));
    CU_ASSERT(behind(&here, SECCOMP, cannot_touch_others));
    CU_ASSERT(behind(&here, SECCOMP, cannot_make_odd_sockets));
    CU_ASSERT(behind(&here, SECCOMP, cannot_make_code));
    CU_ASSERT(behind(&here, SECCOMP, cannot_type));
    open_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(open_socket >= 0);
    CU_ASSERT(behind(&nothing, SECCOMP, cannot_make_sockets));
    CU_ASSERT(behind(&here, PORTS, connects_only_to_its_ports));
    close(open_socket);
}

// For a library of others: files and sockets as ever, and the rest as everywhere.
static void test_any_file_and_network(void)
{
    make_files();

    const struct dk_sandbox any = {.any_file = true, .network = DK_SANDBOX_ANY_NETWORK};

    CU_ASSERT(behind(&any, SECCOMP, can_use_files));
    CU_ASSERT(behind(&any, SECCOMP, can_use_sockets));
    CU_ASSERT(behind(&any, SECCOMP, cannot_start_programs));
    CU_ASSERT(behind(&any, SECCOMP, cannot_touch_others));
    CU_ASSERT(behind(&any, SECCOMP, cannot_make_code));
    CU_ASSERT(behind(&any, SECCOMP, has_no_capabilities));
    CU_ASSERT(behind(&any, SIGNALS, cannot_signal_others));
}

static void test_available(void)
{
    struct dk_sandbox_state state = dk_sandbox_available();

    CU_ASSERT(state.no_new_privileges);
    printf("    landlock %d, seccomp %s\n", state.landlock, state.seccomp ? "yes" : "no");
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(test_files), DK_CASE(test_calls),
                                           DK_CASE(test_any_file_and_network), DK_CASE(test_available), {0}};

    return dk_harness_main(argc, argv, "sandbox", cases);
}
