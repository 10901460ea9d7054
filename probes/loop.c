// SPDX-License-Identifier: Apache-2.0
#include "probes/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { WATCHES_MAX = 64, TIMERS_MAX = 64, CONNECTIONS_MAX = 128 };

struct watch {
    int fd;
    short events;
    dk_loop_fd_callback *callback; // NULL: the slot is free
    void *argument;
};

struct timer {
    struct dk_mono when;
    uint64_t set_in_turn;
    dk_loop_timer_callback *callback; // NULL: the slot is free
    void *argument;
};

// Hangs on CURLOPT_PRIVATE of each transfer on the loop.
struct transfer {
    dk_loop_transfer_callback *callback;
    void *argument;
};

// A descriptor that libcurl asked to be told about.
struct curl_watch {
    int fd; // -1: the slot is free
    short events;
};

struct dk_loop {
    CURLM *multi;
    bool curl_waits;         // libcurl wants its turn at `curl_due` at the latest
    struct dk_mono curl_due;
    uint64_t turn;
    struct watch watches[WATCHES_MAX];
    struct timer timers[TIMERS_MAX];
    struct curl_watch curl_watches[CONNECTIONS_MAX];
    size_t socket_count;
    int sockets[CONNECTIONS_MAX];
};

static struct curl_watch *find_curl_watch(struct dk_loop *loop, int fd)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (loop->curl_watches[i].fd == fd)
            return &loop->curl_watches[i];
    return NULL;
}

static int on_curl_socket(CURL *transfer, curl_socket_t fd, int what, void *argument, void *unused)
{
    struct dk_loop *loop = argument;
    struct curl_watch *slot = find_curl_watch(loop, fd);

    (void)transfer, (void)unused;
    if (slot == NULL && what != CURL_POLL_REMOVE)
        slot = find_curl_watch(loop, -1);
    if (slot == NULL)
        return what == CURL_POLL_REMOVE ? 0 : -1;
    if (what == CURL_POLL_REMOVE)
        fd = -1;
    *slot = (struct curl_watch){fd, (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0))};
    return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *argument)
{
    struct dk_loop *loop = argument;

    (void)multi;
    loop->curl_waits = timeout_ms >= 0;
    if (loop->curl_waits)
        loop->curl_due = dk_mono_add_ns(dk_mono_now(), timeout_ms * DK_NS_PER_MS);
    return 0;
}

enum dk_err dk_loop_new(struct dk_loop **out, struct dk_fault *fault)
{
    struct dk_loop *loop = calloc(1, sizeof *loop);

    if (loop == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    // Who uses the library starts it: the verbs that do not need the network do without its half a megabyte.
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(loop);
        return dk_fail(fault, DK_ERR_INTERNAL, NULL, NULL, "libcurl cannot start");
    }
    loop->multi = curl_multi_init();
    if (loop->multi == NULL) {
        curl_global_cleanup();
        free(loop);
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "libcurl cannot start");
    }
    // Streams are connections of their own; one that was opened in the warm-up must still be there for the test.
    curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        loop->curl_watches[i].fd = -1;
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    *out = loop;
    return DK_OK;
}

void dk_loop_free(struct dk_loop *loop)
{
    if (loop == NULL)
        return;
    curl_multi_cleanup(loop->multi);
    curl_global_cleanup();
    free(loop);
}

static struct watch *find_watch(struct dk_loop *loop, int fd)
{
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (loop->watches[i].callback != NULL && loop->watches[i].fd == fd)
            return &loop->watches[i];
    return NULL;
}

enum dk_err dk_loop_watch(struct dk_loop *loop, int fd, short events, dk_loop_fd_callback *callback,
                          void *argument)
{
    struct watch *slot = find_watch(loop, fd);

    for (size_t i = 0; slot == NULL && i < WATCHES_MAX; i++)
        if (loop->watches[i].callback == NULL)
            slot = &loop->watches[i];
    if (slot == NULL)
        return DK_ERR_INTERNAL;
    *slot = (struct watch){fd, events, callback, argument};
    return DK_OK;
}

void dk_loop_unwatch(struct dk_loop *loop, int fd)
{
    struct watch *slot = find_watch(loop, fd);

    if (slot != NULL)
        slot->callback = NULL;
}

static struct timer *find_timer(struct dk_loop *loop, const void *argument)
{
    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (loop->timers[i].callback != NULL && loop->timers[i].argument == argument)
            return &loop->timers[i];
    return NULL;
}

enum dk_err dk_loop_set_timer(struct dk_loop *loop, struct dk_mono when, dk_loop_timer_callback *callback,
                              void *argument)
{
    struct timer *slot = find_timer(loop, argument);

    for (size_t i = 0; slot == NULL && i < TIMERS_MAX; i++)
        if (loop->timers[i].callback == NULL)
            slot = &loop->timers[i];
    if (slot == NULL)
        return DK_ERR_INTERNAL;
    *slot = (struct timer){when, loop->turn, callback, argument};
    return DK_OK;
}

void dk_loop_clear_timer(struct dk_loop *loop, void *argument)
{
    struct timer *slot = find_timer(loop, argument);

    if (slot != NULL)
        slot->callback = NULL;
}

enum dk_err dk_loop_add_transfer(struct dk_loop *loop, CURL *transfer, dk_loop_transfer_callback *callback,
                                 void *argument)
{
    struct transfer *entry = malloc(sizeof *entry);

    if (entry == NULL)
        return DK_ERR_MEMORY;
    *entry = (struct transfer){callback, argument};
    curl_easy_setopt(transfer, CURLOPT_PRIVATE, entry);

    CURLMcode code = curl_multi_add_handle(loop->multi, transfer);

    if (code == CURLM_OK)
        return DK_OK;
    curl_easy_setopt(transfer, CURLOPT_PRIVATE, NULL);
    free(entry);
    return code == CURLM_OUT_OF_MEMORY ? DK_ERR_MEMORY : DK_ERR_INTERNAL;
}

// The entry of a transfer that is on the loop, taken from it; NULL when it is not on the loop.
static struct transfer *take_entry(CURL *transfer)
{
    char *entry = NULL;

    curl_easy_getinfo(transfer, CURLINFO_PRIVATE, &entry);
    curl_easy_setopt(transfer, CURLOPT_PRIVATE, NULL);
    return (struct transfer *)(void *)entry;
}

void dk_loop_remove_transfer(struct dk_loop *loop, CURL *transfer)
{
    struct transfer *entry = take_entry(transfer);

    if (entry == NULL)
        return;
    curl_multi_remove_handle(loop->multi, transfer);
    free(entry);
}

static void finish_transfers(struct dk_loop *loop)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;

        CURL *transfer = message->easy_handle;
        CURLcode result = message->data.result;
        struct transfer *entry = take_entry(transfer);

        // The message dies with the removal.
        curl_multi_remove_handle(loop->multi, transfer);
        if (entry == NULL)
            continue;

        struct transfer copy = *entry;

        free(entry);
        copy.callback(copy.argument, transfer, result);
    }
}

void dk_loop_note_socket(struct dk_loop *loop, int fd)
{
    if (loop->socket_count < CONNECTIONS_MAX)
        loop->sockets[loop->socket_count++] = fd;
}

void dk_loop_forget_socket(struct dk_loop *loop, int fd)
{
    for (size_t i = 0; i < loop->socket_count; i++)
        if (loop->sockets[i] == fd)
            loop->sockets[i--] = loop->sockets[--loop->socket_count];
}

int dk_loop_find_socket(const struct dk_loop *loop, long local_port)
{
    for (size_t i = 0; i < loop->socket_count; i++) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;

        if (getsockname(loop->sockets[i], (struct sockaddr *)&address, &len) != 0)
            continue;

        in_port_t port = address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                       : ((struct sockaddr_in *)&address)->sin_port;

        if (ntohs(port) == local_port)
            return loop->sockets[i];
    }
    return -1;
}

// A timer set during this turn waits for the next one, so that a timer that is always due cannot hold the loop.
static void fire_timers(struct dk_loop *loop)
{
    struct dk_mono now = dk_mono_now();

    for (;;) {
        struct timer *due = NULL;

        for (size_t i = 0; i < TIMERS_MAX; i++) {
            struct timer *timer = &loop->timers[i];

            if (timer->callback != NULL && timer->set_in_turn != loop->turn && timer->when.ns <= now.ns &&
                (due == NULL || timer->when.ns < due->when.ns))
                due = timer;
        }
        if (due == NULL)
            return;

        struct timer copy = *due;

        due->callback = NULL;
        copy.callback(copy.argument, now);
    }
}

static struct timespec time_to_wait(const struct dk_loop *loop, struct dk_mono deadline)
{
    int64_t until_ns = deadline.ns;

    if (loop->curl_waits && loop->curl_due.ns < until_ns)
        until_ns = loop->curl_due.ns;
    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (loop->timers[i].callback != NULL && loop->timers[i].when.ns < until_ns)
            until_ns = loop->timers[i].when.ns;

    int64_t wait_ns = until_ns - dk_mono_now().ns;

    wait_ns = wait_ns > 0 ? wait_ns : 0;
    return (struct timespec){.tv_sec = wait_ns / DK_NS_PER_S, .tv_nsec = wait_ns % DK_NS_PER_S};
}

// libcurl is called only when it has something to do: what a drained connection wakes the loop for is not its own.
static enum dk_err turn_curl(struct dk_loop *loop, const struct pollfd states[], size_t count)
{
    bool called = false;
    int running;

    for (size_t i = 0; i < count; i++) {
        short events = states[i].revents;
        int what = (events & POLLIN ? CURL_CSELECT_IN : 0) | (events & POLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events & (POLLERR | POLLHUP | POLLNVAL) ? CURL_CSELECT_ERR : 0);

        // Another's callback may have ended the transfer meanwhile.
        if (what == 0 || find_curl_watch(loop, states[i].fd) == NULL)
            continue;
        called = true;
        if (curl_multi_socket_action(loop->multi, states[i].fd, what, &running) != CURLM_OK)
            return DK_ERR_IO;
    }
    if (loop->curl_waits && loop->curl_due.ns <= dk_mono_now().ns) {
        called = true;
        // It sets the next one when it wants one.
        loop->curl_waits = false;
        if (curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running) != CURLM_OK)
            return DK_ERR_IO;
    }
    if (called)
        finish_transfers(loop);
    return DK_OK;
}

enum dk_err dk_loop_turn(struct dk_loop *loop, struct dk_mono deadline)
{
    struct pollfd states[WATCHES_MAX + CONNECTIONS_MAX];
    size_t own = 0, count;

    loop->turn++;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (loop->watches[i].callback != NULL)
            states[own++] = (struct pollfd){.fd = loop->watches[i].fd, .events = loop->watches[i].events};
    count = own;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (loop->curl_watches[i].fd >= 0)
            states[count++] = (struct pollfd){.fd = loop->curl_watches[i].fd, .events = loop->curl_watches[i].events};

    // In nanoseconds: a poll() in milliseconds would make every timer late.
    struct timespec wait = time_to_wait(loop, deadline);
    int ready = ppoll(states, count, &wait, NULL);

    if (ready < 0 && errno != EINTR)
        return DK_ERR_IO;
    if (ready < 0)
        count = own = 0;
    // Datagrams first: their time of arrival is read in the callback.
    for (size_t i = 0; i < own; i++) {
        struct watch *watch = states[i].revents != 0 ? find_watch(loop, states[i].fd) : NULL;

        if (watch != NULL)
            watch->callback(watch->argument, states[i].revents);
    }

    enum dk_err err = turn_curl(loop, states + own, count - own);

    if (err == DK_OK)
        fire_timers(loop);
    return err;
}
