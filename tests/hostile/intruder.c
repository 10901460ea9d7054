// SPDX-License-Identifier: Apache-2.0
//
// Somebody who has taken a program over. Preloaded, it waits until the program turns to what comes from outside (a
// connection it makes or takes, a file of a stranger), tries once what must be refused, and writes what came of it to
// the descriptor $INTRUDER_FD, a line "NAME ERRNO" each (0: it was let), "end" at the end:
//
//   $INTRUDER_ON         connect, accept, or the end of a file's name: when it begins
//   $INTRUDER_KEY        the private key's file          $INTRUDER_SECRET  another file
//   $INTRUDER_UNSEALED   a file to make among what the next run seals
//   $INTRUDER_ELSEWHERE  a TCP port of this machine where somebody listens
//   $INTRUDER_NEEDLES    parts of the private key, as hexadecimal digits of their bytes XOR 0x5a, blanks between:
//                        looked for in this process's memory (line "memory N": found N times)
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NEEDLES_MAX = 8, NEEDLE_SIZE = 64, MASK = 0x5a, REGION_MAX_BYTES = 64 << 20, PART_BYTES = 1 << 16 };

struct needle {
    uint8_t masked[NEEDLE_SIZE];
    size_t len;
};

static bool tried;

static const char *word(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? text : "";
}

static long number(const char *name)
{
    return strtol(word(name), NULL, 10);
}

static void say(const char *name, long result)
{
    dprintf((int)number("INTRUDER_FD"), "%s %ld\n", name, result);
}

// Says the errno of a call that returned `result`; what it opened is closed again.
static void tell(const char *name, long result)
{
    say(name, result < 0 ? errno : 0);
    if (result > STDERR_FILENO && strncmp(name, "open", 4) == 0)
        close((int)result);
}

// --- the memory -----------------------------------------------------------------------------------------------------

static size_t read_needles(struct needle needles[static NEEDLES_MAX])
{
    size_t count = 0;

    for (const char *at = word("INTRUDER_NEEDLES"); *at != '\0' && count < NEEDLES_MAX; count++) {
        struct needle *needle = &needles[count];

        for (; at[0] > ' ' && at[1] > ' ' && needle->len < NEEDLE_SIZE; at += 2)
            needle->masked[needle->len++] = (uint8_t)strtoul((char[]){at[0], at[1], '\0'}, NULL, 16);
        at += strspn(at, " ");
    }
    return count;
}

static bool is_at(const uint8_t *at, const struct needle *needle)
{
    for (size_t i = 0; i < needle->len; i++)
        if ((at[i] ^ MASK) != needle->masked[i])
            return false;
    return true;
}

// A copy of the part would be found again: it is looked through in a buffer that is left out.
static uint8_t part[PART_BYTES + NEEDLE_SIZE];

static long count_in_part(size_t len, const struct needle *needle)
{
    const uint8_t *at = part, *end = part + len;
    long found = 0;

    for (; needle->len > 0 && at < end && (at = memchr(at, needle->masked[0] ^ MASK, (size_t)(end - at))) != NULL; at++)
        found += at < part + PART_BYTES && (size_t)(end - at) >= needle->len && is_at(at, needle);
    return found;
}

static long look_through(int memory, uint64_t from, uint64_t to, const struct needle *needles, size_t count)
{
    long found = 0;

    for (uint64_t at = from; at < to; at += PART_BYTES) {
        size_t wanted = to - at < sizeof part ? (size_t)(to - at) : sizeof part;
        ssize_t got = pread(memory, part, wanted, (off_t)at);

        for (size_t n = 0; got > 0 && n < count; n++)
            found += count_in_part((size_t)got, &needles[n]);
    }
    memset(part, 0, sizeof part);
    return found;
}

static void search_memory(void)
{
    struct needle needles[NEEDLES_MAX] = {{.len = 0}};
    size_t count = read_needles(needles);
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    FILE *lines = maps >= 0 ? fdopen(maps, "r") : NULL;
    char line[512];
    long found = 0, regions = 0;

    while (lines != NULL && fgets(line, sizeof line, lines) != NULL) {
        char *at = line;
        uint64_t from = strtoul(at, &at, 16), to = strtoul(at + 1, &at, 16);

        if (strncmp(at, " rw", 3) == 0 && to - from <= REGION_MAX_BYTES) {
            regions++;
            found += look_through(memory, from, to, needles, count);
        }
    }
    if (lines != NULL)
        fclose(lines);
    if (memory >= 0)
        close(memory);
    say("regions", regions);
    say("memory", found);
}

// --- the rest of the system -----------------------------------------------------------------------------------------

// The program's child: its signer, when it has one.
static pid_t first_child(void)
{
    char path[64], text[64] = "";

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());

    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!read(fd, text, sizeof text - 1);
        close(fd);
    }
    return (pid_t)strtol(text, NULL, 10);
}

static void try_files(void)
{
    char path[4200];

    tell("open-key", open(word("INTRUDER_KEY"), O_RDONLY | O_CLOEXEC));
    tell("open-secret", open(word("INTRUDER_SECRET"), O_RDONLY | O_CLOEXEC));
    tell("open-shadow", open("/etc/shadow", O_RDONLY | O_CLOEXEC));
    snprintf(path, sizeof path, "%.4000s.new", word("INTRUDER_SECRET"));
    tell("open-new", open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    tell("unlink", unlink(word("INTRUDER_SECRET")));
    tell("open-unsealed", open(word("INTRUDER_UNSEALED"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

// Traces another process, and lets it go on.
static void try_tracing(const char *name, pid_t other)
{
    long result = ptrace(PTRACE_ATTACH, other, NULL, NULL);

    tell(name, result);
    if (result == 0) {
        waitpid(other, NULL, __WALL);
        ptrace(PTRACE_DETACH, other, NULL, NULL);
    }
}

static void try_signer(pid_t signer)
{
    char path[64], byte = 0;
    const struct iovec here = {&byte, 1}, there = {&signer, 1};

    if (signer <= 0)
        return;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)signer);
    tell("open-signer", open(path, O_RDONLY | O_CLOEXEC));
    try_tracing("ptrace-signer", signer);
    tell("vm-signer", process_vm_readv(signer, &here, 1, &there, 1, 0));
    tell("signal-signer", kill(signer, 0));
}

static void try_network(void)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)number("INTRUDER_ELSEWHERE"))};
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    tell("tcp", tcp);
    if (tcp >= 0) {
        tell("elsewhere", syscall(SYS_connect, tcp, &there, sizeof there));
        close(tcp);
        tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        tell("listen", listen(tcp, 1));
        close(tcp);
    }
    tell("open-unix", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    tell("open-packet", socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    tell("open-raw", socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}

static void try_programs(void)
{
    struct timespec now = {0};
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *arguments[] = {(char[]){"true"}, NULL};

    say("code", code == MAP_FAILED ? errno : 0);
    clock_gettime(CLOCK_REALTIME, &now);
    tell("clock", clock_settime(CLOCK_REALTIME, &now));
    try_tracing("ptrace-parent", getppid());

    pid_t child = fork();

    if (child == 0)
        _exit(0);
    tell("fork", child);
    if (child > 0)
        waitpid(child, NULL, 0);
    tell("exec", execv("/bin/true", arguments));
}

static void intrude(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[2] = {{0}};

    if (tried)
        return;
    tried = true;
    search_memory();
    try_files();
    try_signer(first_child());
    try_network();
    tell("capget", syscall(SYS_capget, &header, held));
    say("capabilities", (long)(held[0].permitted | (uint64_t)held[1].permitted << 32));
    try_programs();
    dprintf((int)number("INTRUDER_FD"), "end\n");
}

// --- where it waits -------------------------------------------------------------------------------------------------

__attribute__((visibility("default"))) int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    int type = 0;
    socklen_t size = sizeof type;

    if (strcmp(word("INTRUDER_ON"), "connect") == 0 && address.__sockaddr__->sa_family == AF_INET &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM)
        intrude();
    return (int)syscall(SYS_connect, fd, address.__sockaddr__, len);
}

__attribute__((visibility("default"))) int accept4(int fd, __SOCKADDR_ARG address, socklen_t *len, int flags)
{
    if (strcmp(word("INTRUDER_ON"), "accept") == 0)
        intrude();
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, len, flags);
}

__attribute__((visibility("default"))) FILE *fopen64(const char *path, const char *mode)
{
    union {
        void *symbol;
        FILE *(*call)(const char *, const char *);
    } next = {dlsym(RTLD_NEXT, "fopen64")};
    size_t len = strlen(path), end = strlen(word("INTRUDER_ON"));

    if (end > 0 && len >= end && strcmp(path + len - end, word("INTRUDER_ON")) == 0)
        intrude();
    return next.call(path, mode);
}
