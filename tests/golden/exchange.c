// SPDX-License-Identifier: Apache-2.0
//
// A datagram probe's exchange with the far end, recorded or replayed:
//
//     exchange record FILE SERVER TARGET COUNT INTERVAL_US TIMEOUT_MS     over a real network
//     exchange replay FILE                                                without any, by the recording's clock
//
// It includes the probe, and stands between it and the machine (-Wl,--wrap): what the probe learns from outside, times
// included, goes through here. A replay gives it the same again, compares what it sends byte by byte, and prints the
// whole result. A recording is text, a line an event, in the order in which they came; times are ns:
//
//     plan SERVER TARGET COUNT INTERVAL_US TIMEOUT_MS     clock ERROR_ESTIMATE     random HEX
//     start MONO                           when it began
//     socket 1                             one was to be had (0: none of that kind)
//     send NOW MONO WALL KERNEL HEX        the timer's look at the clock, the probe's, when the kernel sent it (-1)
//     read MONO WALL STAMP STAMP_MONO KERNEL TTL HEX     a datagram that was there; `more`: another one at once
//     timer NOW                            the timer came due, and nothing was sent
#include DK_CARRIER_FILE

#include "agent/base/parse.h"
#include "probes/stamp/packet.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <time.h>

enum { EVENTS_MAX = 4096, FIELDS_MAX = 8, LINE_MAX_BYTES = 8192 };

struct event {
    char kind[8];
    int64_t fields[FIELDS_MAX];
    size_t count; // of fields
    uint8_t data[DK_DATAGRAM_MAX];
    size_t len;
};

static struct {
    FILE *record; // NULL: this is a replay
    struct event *events;
    size_t count, at;
    struct dk_mono now;      // replay: what the clocks say
    struct dk_instant instant;
    bool looked;             // record: `now` is the first look since the timer came due
    bool sent;               // since then
    bool drained;            // record: the next datagram is not one of those before
    struct dk_mono due;
    dk_loop_timer_callback *timer;
    void *timer_argument;
    dk_loop_fd_callback *readable;
    void *readable_argument;
    int fd;
} world = {.fd = -1, .drained = true};

__attribute__((format(printf, 1, 2))) static void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ", at event %zu\n", world.at);
    exit(1);
}

static void put_hex(const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        fprintf(world.record, "%02x", ((const uint8_t *)data)[i]);
    fprintf(world.record, "\n");
}

// The next event of the recording, which must be of that kind.
static const struct event *next(const char *kind)
{
    if (world.at == world.count || strcmp(world.events[world.at].kind, kind) != 0)
        give_up("the probe asks for %s, the recording has %s", kind,
                world.at == world.count ? "ended" : world.events[world.at].kind);
    return &world.events[world.at++];
}

struct dk_mono __real_dk_mono_now(void);
struct dk_mono __wrap_dk_mono_now(void);
struct dk_mono __wrap_dk_mono_now(void)
{
    if (world.record == NULL)
        return world.now;

    struct dk_mono now = __real_dk_mono_now();

    if (!world.looked)
        world.now = now;
    world.looked = true;
    return now;
}

struct dk_instant __real_dk_instant_now(void);
struct dk_instant __wrap_dk_instant_now(void);
struct dk_instant __wrap_dk_instant_now(void)
{
    if (world.record != NULL)
        world.instant = __real_dk_instant_now();
    return world.instant;
}

ssize_t __real_getrandom(void *data, size_t len, unsigned int flags);
ssize_t __wrap_getrandom(void *data, size_t len, unsigned int flags);
ssize_t __wrap_getrandom(void *data, size_t len, unsigned int flags)
{
    if (world.record != NULL) {
        ssize_t got = __real_getrandom(data, len, flags);

        fprintf(world.record, "random ");
        put_hex(data, len);
        return got;
    }

    const struct event *event = next("random");

    if (event->len != len)
        give_up("the probe wants %zu random bytes, the recording has %zu", len, event->len);
    memcpy(data, event->data, len);
    return (ssize_t)len;
}

uint16_t __real_dk_stamp_clock_error(void);
uint16_t __wrap_dk_stamp_clock_error(void);
uint16_t __wrap_dk_stamp_clock_error(void)
{
    if (world.record == NULL)
        return (uint16_t)next("clock")->fields[0];

    uint16_t error = __real_dk_stamp_clock_error();

    fprintf(world.record, "clock %u\n", (unsigned)error);
    return error;
}

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    if (world.record != NULL) {
        int fd = __real_socket(family, type, protocol);

        fprintf(world.record, "socket %d\n", fd >= 0);
        return fd;
    }
    errno = EPERM;
    return next("socket")->fields[0] != 0 ? dup(STDERR_FILENO) : -1;
}

bool __real_dk_datagram_open(int fd, const char *interface, const struct sockaddr *peer, socklen_t len, char *reason,
                             size_t size);
bool __wrap_dk_datagram_open(int fd, const char *interface, const struct sockaddr *peer, socklen_t len, char *reason,
                             size_t size);
bool __wrap_dk_datagram_open(int fd, const char *interface, const struct sockaddr *peer, socklen_t len, char *reason,
                             size_t size)
{
    return world.record == NULL || __real_dk_datagram_open(fd, interface, peer, len, reason, size);
}

void __real_dk_datagram_forget(int fd);
void __wrap_dk_datagram_forget(int fd);
void __wrap_dk_datagram_forget(int fd)
{
    if (world.record != NULL)
        __real_dk_datagram_forget(fd);
}

// What was sent, kept until the kernel has said when.
static uint8_t sent_data[DK_DATAGRAM_MAX];
static size_t sent_len;

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
    world.sent = true;
    if (world.record != NULL) {
        memcpy(sent_data, data, len);
        sent_len = len;
        return __real_send(fd, data, len, flags);
    }

    const struct event *event = &world.events[world.at];

    if (strcmp(event->kind, "send") != 0)
        give_up("the probe sends, the recording has %s", event->kind);
    if (event->len != len || memcmp(event->data, data, len) != 0)
        give_up("the probe sends other bytes than it did");
    return (ssize_t)len;
}

bool __real_dk_datagram_sent(int fd, struct dk_sendings *sendings, struct dk_instant before, struct dk_mono *out);
bool __wrap_dk_datagram_sent(int fd, struct dk_sendings *sendings, struct dk_instant before, struct dk_mono *out);
bool __wrap_dk_datagram_sent(int fd, struct dk_sendings *sendings, struct dk_instant before, struct dk_mono *out)
{
    if (world.record != NULL) {
        bool kernel = __real_dk_datagram_sent(fd, sendings, before, out);

        fprintf(world.record, "send %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " ", world.now.ns, before.mono.ns,
                before.wall.ns, kernel ? out->ns : -1);
        put_hex(sent_data, sent_len);
        return kernel;
    }

    int64_t kernel_ns = next("send")->fields[3];

    if (kernel_ns >= 0)
        out->ns = kernel_ns;
    return kernel_ns >= 0;
}

int __real_dk_datagram_receive(int fd, struct dk_datagram *out);
int __wrap_dk_datagram_receive(int fd, struct dk_datagram *out);
int __wrap_dk_datagram_receive(int fd, struct dk_datagram *out)
{
    if (world.record != NULL) {
        int got = __real_dk_datagram_receive(fd, out);

        if (got == 1) {
            fprintf(world.record, "%s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %d ",
                    world.drained ? "read" : "more", out->read.mono.ns, out->read.wall.ns, out->received.ns,
                    out->received_at.ns, out->kernel, out->ttl);
            put_hex(out->data, out->len);
        }
        world.drained = got != 1;
        return got;
    }

    const struct event *event = &world.events[world.at];
    bool waits = world.at < world.count && strcmp(event->kind, world.drained ? "read" : "more") == 0;

    if (!waits) {
        world.drained = true;
        return 0;
    }
    world.at++;
    world.drained = false;
    *out = (struct dk_datagram){.len = event->len,
                                .read = {{event->fields[0]}, {event->fields[1]}},
                                .received = {event->fields[2]},
                                .received_at = {event->fields[3]},
                                .kernel = event->fields[4] != 0,
                                .ttl = (uint8_t)event->fields[5]};
    memcpy(out->data, event->data, event->len);
    return 1;
}

enum dk_err __wrap_dk_loop_watch(struct dk_loop *loop, int fd, short events, dk_loop_fd_callback *callback,
                                 void *argument);
enum dk_err __wrap_dk_loop_watch(struct dk_loop *loop, int fd, short events, dk_loop_fd_callback *callback,
                                 void *argument)
{
    (void)loop, (void)events;
    world.fd = fd;
    world.readable = callback;
    world.readable_argument = argument;
    return DK_OK;
}

void __wrap_dk_loop_unwatch(struct dk_loop *loop, int fd);
void __wrap_dk_loop_unwatch(struct dk_loop *loop, int fd)
{
    (void)loop, (void)fd;
    world.readable = NULL;
}

enum dk_err __wrap_dk_loop_set_timer(struct dk_loop *loop, struct dk_mono when, dk_loop_timer_callback *callback,
                                     void *argument);
enum dk_err __wrap_dk_loop_set_timer(struct dk_loop *loop, struct dk_mono when, dk_loop_timer_callback *callback,
                                     void *argument)
{
    (void)loop;
    world.due = when;
    world.timer = callback;
    world.timer_argument = argument;
    return DK_OK;
}

void __wrap_dk_loop_clear_timer(struct dk_loop *loop, void *argument);
void __wrap_dk_loop_clear_timer(struct dk_loop *loop, void *argument)
{
    (void)loop, (void)argument;
    world.timer = NULL;
}

#if DK_RESOLVES
// The target is numeric, and is there at once.
enum dk_err __wrap_dk_resolve(struct dk_loop *loop, const char *host_port, int default_port, enum dk_family family,
                              int64_t timeout_ns, dk_resolve_callback *callback, void *argument,
                              struct dk_resolution **out);
enum dk_err __wrap_dk_resolve(struct dk_loop *loop, const char *host_port, int default_port, enum dk_family family,
                              int64_t timeout_ns, dk_resolve_callback *callback, void *argument,
                              struct dk_resolution **out)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    char host[64];
    const char *colon = strrchr(host_port, ':');
    int64_t port = default_port;

    (void)loop, (void)family, (void)timeout_ns;
    *out = NULL;
    snprintf(host, sizeof host, "%.*s", (int)(colon != NULL ? (size_t)(colon - host_port) : strlen(host_port)),
             host_port);
    if ((colon != NULL && !dk_parse_i64(colon + 1, 1, UINT16_MAX, &port)) ||
        !dk_socket_address(host, (uint16_t)port, &address, &len))
        return DK_ERR_DATA;
    callback(argument, (struct sockaddr *)&address, len, "");
    return DK_OK;
}
#endif

static void fire(void)
{
    dk_loop_timer_callback *timer = world.timer;

    world.timer = NULL;
    world.sent = false;
    timer(world.timer_argument, world.now);
}

// One turn of a real loop.
static void turn(void)
{
    struct pollfd state = {world.fd, POLLIN, 0};
    int64_t wait_ns = world.due.ns - __real_dk_mono_now().ns;
    struct timespec wait = {0, 0};

    if (world.timer != NULL && wait_ns > 0)
        wait = (struct timespec){(time_t)(wait_ns / DK_NS_PER_S), (long)(wait_ns % DK_NS_PER_S)};
    world.drained = true;
    if (ppoll(&state, 1, &wait, NULL) > 0 && world.readable != NULL)
        world.readable(world.readable_argument, state.revents);
    if (world.timer == NULL || __real_dk_mono_now().ns < world.due.ns)
        return;
    world.looked = true;
    world.now = __real_dk_mono_now();
    world.drained = true;

    struct dk_mono came = world.now;

    world.looked = false;
    fire();
    if (!world.sent)
        fprintf(world.record, "timer %" PRId64 "\n", came.ns);
}

static void replay_event(void)
{
    const struct event *event = &world.events[world.at];

    world.now.ns = event->fields[0];
    world.drained = true;
    if (strcmp(event->kind, "read") == 0) {
        if (world.readable == NULL)
            give_up("the probe does not read");
        world.readable(world.readable_argument, POLLIN);
        return;
    }
    if (world.timer == NULL || world.due.ns > world.now.ns)
        give_up("the probe does not wait for that moment, %" PRId64, event->fields[0]);
    if (strcmp(event->kind, "send") == 0) {
        world.instant = (struct dk_instant){{event->fields[1]}, {event->fields[2]}};
        fire();
        if (!world.sent)
            give_up("the probe sends nothing");
        return;
    }
    next("timer");
    fire();
    if (world.sent)
        give_up("the probe sends something");
}

static size_t read_hex(const char *text, uint8_t *out)
{
    size_t len = strspn(text, "0123456789abcdef") / 2;

    for (size_t i = 0; i < len && i < DK_DATAGRAM_MAX; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

// Reads the recording: its plan goes to `words`, its start to the clock, and the rest to the events.
static void read_recording(const char *path, char words[5][DK_ADDRESS_SIZE])
{
    static char line[LINE_MAX_BYTES];
    FILE *file = fopen(path, "r");

    world.events = calloc(EVENTS_MAX, sizeof *world.events);
    if (file == NULL || world.events == NULL)
        give_up("%s cannot be read", path);
    while (fgets(line, sizeof line, file) != NULL && world.count < EVENTS_MAX) {
        struct event *event = &world.events[world.count];
        char *save = NULL, *word = strtok_r(line, " \n", &save);
        bool plan = word != NULL && strcmp(word, "plan") == 0, hex = false;

        if (word == NULL || word[0] == '#')
            continue;
        snprintf(event->kind, sizeof event->kind, "%s", word);
        hex = strcmp(word, "random") == 0;
        for (size_t i = 0; (word = strtok_r(NULL, " \n", &save)) != NULL; i++) {
            if (plan && i < 5)
                snprintf(words[i], sizeof words[i], "%s", word);
            else if (hex || event->count == (strcmp(event->kind, "send") == 0 ? 4 : 6))
                event->len = read_hex(word, event->data);
            else
                event->fields[event->count++] = strtoll(word, NULL, 10);
        }
        if (strcmp(event->kind, "start") == 0)
            world.now.ns = event->fields[0];
        else if (!plan)
            world.count++;
        if (plan || strcmp(event->kind, "start") == 0)
            *event = (struct event){0};
    }
    fclose(file);
}

static void print_result(const struct dk_latency *r, int64_t data_used_bytes)
{
    printf("{\"status\": \"%s\", \"reason\": \"%s\", \"method\": \"%s\", \"timestamps\": \"%s\", "
           "\"sampling\": \"%s\",\n"
           " \"sent\": %" PRId64 ", \"received\": %" PRId64 ", \"lost\": %" PRId64 ", \"late\": %" PRId64
           ", \"duplicate\": %" PRId64 ", \"reordered\": %" PRId64 ", \"foreign\": %" PRId64 ",\n"
           " \"directed\": %d, \"lost_forward\": %" PRId64 ", \"lost_return\": %" PRId64 ",\n"
           " \"reflector_clock\": \"%s\", \"reflector_timestamps\": \"%s\",\n"
           " \"interval_ns\": %" PRId64 ", \"timeout_ns\": %" PRId64 ", \"send_late_median_ns\": %" PRId64
           ", \"send_late_max_ns\": %" PRId64 ",\n"
           " \"rtt_min_ns\": %" PRId64 ", \"rtt_median_ns\": %" PRId64 ", \"rtt_p95_ns\": %" PRId64
           ", \"rtt_p99_ns\": %" PRId64 ", \"rtt_max_ns\": %" PRId64 ",\n"
           " \"pdv_p95_ns\": %" PRId64 ", \"ipdv_mean_ns\": %" PRId64 ", \"data_used_bytes\": %" PRId64 ",\n"
           " \"series_ns\": [",
           dk_status_text(r->status), r->reason, dk_method_text(r->method), dk_timestamps_text(r->timestamps),
           dk_sampling_text(r->sampling), r->sent, r->received, r->lost, r->late, r->duplicate, r->reordered,
           r->foreign, r->directed, r->lost_forward, r->lost_return, r->reflector_clock, r->reflector_timestamps,
           r->interval_ns, r->timeout_ns, r->send_late_median_ns, r->send_late_max_ns, r->rtt_min_ns,
           r->rtt_median_ns, r->rtt_p95_ns,
           r->rtt_p99_ns, r->rtt_max_ns, r->pdv_p95_ns, r->ipdv_mean_ns, data_used_bytes);
    for (int64_t i = 0; i < r->sent; i++)
        printf("%s%" PRId64, i > 0 ? ", " : "", r->series_ns[i]);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    char words[5][DK_ADDRESS_SIZE] = {{0}};
    bool recording = argc == 8 && strcmp(argv[1], "record") == 0;
    struct dk_plan plan = {.interface = "", .connect_timeout_ns = DK_NS_PER_S, .latency_method = DK_PROBE_METHOD};
    struct dk_measurement measured = {0};
    struct dk_probe_run *run = NULL;

    if (!recording && (argc != 3 || strcmp(argv[1], "replay") != 0)) {
        fprintf(stderr, "usage: exchange record FILE SERVER TARGET COUNT INTERVAL_US TIMEOUT_MS\n"
                        "       exchange replay FILE\n");
        return 64;
    }
    if (recording)
        for (size_t i = 0; i < 5; i++)
            snprintf(words[i], sizeof words[i], "%s", argv[3 + i]);
    else
        read_recording(argv[2], words);
    plan.stamp = words[1];
    plan.latency_count = strtoll(words[2], NULL, 10);
    plan.latency_interval_ns = strtoll(words[3], NULL, 10) * DK_NS_PER_US;
    plan.latency_timeout_ns = strtoll(words[4], NULL, 10) * DK_NS_PER_MS;
    snprintf(measured.server.address, sizeof measured.server.address, "%s", words[0]);
    if (recording) {
        world.record = fopen(argv[2], "w");
        if (world.record == NULL)
            give_up("%s cannot be written", argv[2]);
        fprintf(world.record, "plan %s %s %s %s %s\n", words[0], words[1], words[2], words[3], words[4]);
    }
    if (DK_PROBE.start(NULL, &plan, &measured, &run, NULL) != DK_OK)
        give_up("the probe cannot begin");
    if (recording) // the first sending is due at once
        fprintf(world.record, "start %" PRId64 "\n", world.due.ns);
    while (!DK_PROBE.done(run))
        if (recording)
            turn();
        else if (world.at == world.count)
            give_up("the recording is over, and the probe is not");
        else
            replay_event();
    if (!recording && world.at != world.count)
        give_up("the probe is done, and the recording goes on");
    DK_PROBE.fill(run, &measured);
    print_result(&measured.latency_idle, measured.data_used_bytes);
    DK_PROBE.free(run);
    dk_measurement_free(&measured);
    free(world.events);
    if (world.record != NULL)
        fclose(world.record);
    return 0;
}
