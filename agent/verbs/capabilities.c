// SPDX-License-Identifier: Apache-2.0
#include "agent/base/message.h"
#include "agent/base/sandbox.h"
#include "agent/record/token.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/calibrate.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/text.h"
#include "agent/verbs/verbs.h"
#include "probes/capture/file.h"
#include "probes/probe.h"

#include <inttypes.h>
#include <jansson.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

// One thing that can be had here or not.
struct capability {
    const char *name, *help;
    bool available;
    const char *todo; // what would make it available; NULL when there is nothing to do
};

enum { SYSTEM_COUNT = 11, PROBES_MAX = 16 };

static const char *const grant =
    N_("grant CAP_NET_RAW: setcap cap_net_raw+ep on the program, AmbientCapabilities= in its unit, or root");

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define auto_fd __attribute__((cleanup(close_fd)))

static bool may_open_raw_sockets(void)
{
    auto_fd int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

    return fd >= 0;
}

static bool may_ping(void)
{
    auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);

    return fd >= 0 || may_open_raw_sockets();
}

static bool may_bind_to_interface(void)
{
    auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0;
}

static bool may_capture(void)
{
    auto_fd int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    return fd >= 0;
}

static bool stamps_datagrams(void)
{
    auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int stamps = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED;

    return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps) == 0;
}

// True when the kernel fills struct tcp_info up to `end`.
static bool has_tcp_info(size_t end)
{
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct tcp_info info;
    socklen_t len = sizeof info;

    return fd >= 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && len >= end;
}

#define TCP_INFO_END(field) (offsetof(struct tcp_info, field) + sizeof(((struct tcp_info *)NULL)->field))

static void look_at_system(struct capability out[static SYSTEM_COUNT])
{
    static const char *const newer = N_("use a newer kernel");

    out[0] = (struct capability){"interface", N_("--interface binds to a network interface"), may_bind_to_interface(),
                                 N_("use Linux 5.7 or later, or grant CAP_NET_RAW")};
    out[1] = (struct capability){"acknowledged", N_("upload is counted by what the receiver acknowledged"),
                                 has_tcp_info(TCP_INFO_END(tcpi_bytes_received)), newer};
    out[2] = (struct capability){"segments", N_("the test's own bytes on the interface are known exactly"),
                                 has_tcp_info(TCP_INFO_END(tcpi_bytes_sent)), newer};
    out[3] = (struct capability){"timestamps", N_("the kernel says when STAMP and ICMP packets were sent and came"),
                                 stamps_datagrams(), newer};
    out[4] = (struct capability){"processors", N_("/proc/stat: whether interrupts limit a figure"),
                                 access("/proc/stat", R_OK) == 0, N_("mount /proc")};
    out[5] = (struct capability){"interfaces", N_("/sys/class/net: other traffic, lost carriers, the medium"),
                                 access("/sys/class/net/lo/statistics/rx_bytes", R_OK) == 0, N_("mount /sys")};
    out[6] = (struct capability){"capture", N_("--only ...,wire captures the test's own packets"),
                                 dk_capture_built_in() && may_capture(),
                                 dk_capture_built_in() ? grant : N_("build with libpcap (-Dcapture=enabled)")};

    struct dk_sandbox_state walls = dk_sandbox_available();

    out[7] = (struct capability){"landlock",
                                 N_("what reads from outside cannot reach the key, nor files it does not need"),
                                 walls.landlock > 0, N_("use Linux 5.13 or later, with landlock among its lsm=")};
    out[8] = (struct capability){"landlock-tcp", N_("a run connects to the TCP ports of its servers only"),
                                 walls.landlock >= DK_SANDBOX_PORTS_VERSION, N_("use Linux 6.7 or later")};
    out[9] = (struct capability){"seccomp",
                                 N_("what reads from outside cannot start programs or touch other processes"),
                                 walls.seccomp, N_("use a kernel with CONFIG_SECCOMP_FILTER")};
    out[10] = (struct capability){"token",
                                  N_("[device] key names a key in a token; its module keeps its files and sockets"),
                                  dk_token_built_in(), N_("build with libp11 (-Dpkcs11=enabled)")};
}

static size_t look_at_probes(struct capability out[static PROBES_MAX])
{
    const bool allowed[] = {[DK_PRIVILEGE_NONE] = true,
                            [DK_PRIVILEGE_PING] = may_ping(),
                            [DK_PRIVILEGE_NET_RAW] = may_open_raw_sockets()};
    size_t count = 0;

    for (; dk_probes[count] != NULL && count < PROBES_MAX; count++)
        out[count] = (struct capability){
            dk_probes[count]->name, dk_probes[count]->help, allowed[dk_probes[count]->privilege],
            grant};
    return count;
}

static void print_rows(const char *title, const struct capability rows[], size_t count)
{
    printf("%s\n", _(title));
    for (size_t i = 0; i < count; i++) {
        printf("  %-13s %-4s %s\n", rows[i].name, rows[i].available ? _("yes") : _("no"), _(rows[i].help));
        if (!rows[i].available)
            printf(_("  %-13s      to have it: %s\n"), "", _(rows[i].todo));
    }
}

static int64_t agent_percent(const struct dk_conditions *conditions)
{
    return conditions->duration_ns > 0 && conditions->agent_cpu_ns >= 0
               ? conditions->agent_cpu_ns * 100 / conditions->duration_ns
               : 0;
}

static void print_calibration(const struct dk_throughput *found)
{
    char rate[DK_RATE_TEXT_SIZE];

    printf("%s\n", _("Highest rate"));
    if (found->status != DK_STATUS_OK) {
        printf(_("  %-13s not known: "), "download");
        dk_text_print(found->reason);
        printf("\n");
        return;
    }
    dk_rate_text(found->rate_bps, rate);
    printf(_("  %-13s %s, %" PRId64 " streams over loopback, %s, %" PRId64 " %% of a processor\n"), "download", rate,
           found->streams, dk_path_text(found->path), agent_percent(&found->conditions));
    printf(_("  %-13s The sender is on this device too, and there is no network driver in it: a line near this\n"
             "  %-13s rate cannot be measured here. What limited a run is said by that run (host_limited).\n"),
           "", "");
}

static json_t *rows_json(const struct capability rows[], size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:b, s:s?}", "name", rows[i].name, "help", rows[i].help,
                                               "available", rows[i].available, "todo",
                                               rows[i].available ? NULL : rows[i].todo));
    return array;
}

static json_t *calibration_json(const struct dk_throughput *found)
{
    if (found->status != DK_STATUS_OK)
        return json_pack("{s:s, s:s}", "status", dk_status_text(found->status), "reason", found->reason);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "status", dk_status_text(found->status),
                     "download_rate_bps", (json_int_t)found->rate_bps, "bytes", (json_int_t)found->bytes,
                     "duration_ns", (json_int_t)found->duration_ns, "streams", (json_int_t)found->streams,
                     "agent_cpu_ns", (json_int_t)found->conditions.agent_cpu_ns, "path", dk_path_text(found->path));
}

int dk_verb_capabilities(int argc, char **argv)
{
    const char *format = NULL;
    const struct dk_own_flag flags[] = {
        {"format", "text|json", N_("for people, or one JSON object"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    struct dk_measurement measured = {0};
    struct capability probes[PROBES_MAX], system[SYSTEM_COUNT];
    bool json = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK && arguments.operand_count > 0)
        err = dk_fail(&fault, DK_ERR_USAGE, arguments.operands[0], NULL, "capabilities takes no operands");
    if (err == DK_OK)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        err = dk_calibrate(&arguments.settings, &measured, &fault);
    if (err != DK_OK)
        return dk_verb_fail("capabilities", &fault);

    size_t count = look_at_probes(probes);

    look_at_system(system);
    if (json) {
        err = dk_json_print(json_pack("{s:s, s:o, s:o, s:o}", "version", DK_VERSION, "probes",
                                      rows_json(probes, count), "system", rows_json(system, SYSTEM_COUNT),
                                      "calibration", calibration_json(&measured.download)),
                            &fault);
    } else {
        print_rows(N_("Probes"), probes, count);
        print_rows(N_("System"), system, SYSTEM_COUNT);
        print_calibration(&measured.download);
    }
    dk_measurement_free(&measured);
    return err == DK_OK ? 0 : dk_verb_fail("capabilities", &fault);
}
