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

struct dk_loop {
    CURLM *multi;
    uint64_t turn;
    struct watch watches[WATCHES_MAX];
    struct timer timers[TIMERS_MAX];
    size_t socket_count;
    int sockets[CONNECTIONS_MAX];
};

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

static int timeout_ms(const struct dk_loop *loop, struct dk_mono deadline)
{
    int64_t until_ns = deadline.ns;

    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (loop->timers[i].callback != NULL && loop->timers[i].when.ns < until_ns)
            until_ns = loop->timers[i].when.ns;

    int64_t wait_ns = until_ns - dk_mono_now().ns;

    if (wait_ns <= 0)
        return 0;
    if (wait_ns > 3600 * DK_NS_PER_S)
        return 3600 * 1000;
    // Rounded up: a timer must be due when the loop wakes for it.
    return (int)((wait_ns + DK_NS_PER_MS - 1) / DK_NS_PER_MS);
}

enum dk_err dk_loop_turn(struct dk_loop *loop, struct dk_mono deadline)
{
    struct curl_waitfd ready[WATCHES_MAX];
    unsigned count = 0;
    int running;

    loop->turn++;
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        const struct watch *watch = &loop->watches[i];

        if (watch->callback == NULL)
            continue;
        ready[count++] = (struct curl_waitfd){
            .fd = watch->fd,
            .events = (short)((watch->events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                              (watch->events & POLLOUT ? CURL_WAIT_POLLOUT : 0)),
        };
    }
    if (curl_multi_poll(loop->multi, ready, count, timeout_ms(loop, deadline), NULL) != CURLM_OK)
        return DK_ERR_IO;

    // curl_multi_poll() hides POLLERR, which must be seen or it wakes the loop for ever.
    struct pollfd states[WATCHES_MAX];

    for (unsigned i = 0; i < count; i++)
        states[i] = (struct pollfd){.fd = ready[i].fd, .events = ready[i].events};
    if (count > 0 && poll(states, count, 0) < 0 && errno != EINTR)
        return DK_ERR_IO;
    // Datagrams first: their time of arrival is read in the callback.
    for (unsigned i = 0; i < count; i++) {
        struct watch *watch = states[i].revents != 0 ? find_watch(loop, states[i].fd) : NULL;

        if (watch != NULL)
            watch->callback(watch->argument, states[i].revents);
    }
    if (curl_multi_perform(loop->multi, &running) != CURLM_OK)
        return DK_ERR_IO;
    finish_transfers(loop);
    fire_timers(loop);
    return DK_OK;
}
