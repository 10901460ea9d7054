// SPDX-License-Identifier: Apache-2.0
//
// The one poll loop that carries a run: libcurl's multi interface, further descriptors and timers. Callbacks run one
// after another on the caller's thread; they may add and remove anything, themselves included.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/error.h"

#include <curl/curl.h>
#include <stdint.h>

struct dk_loop;

// Called when `fd` is ready; `events` are those of poll(2).
typedef void dk_loop_fd_callback(void *argument, short events);
// Called once, when the timer's moment has come; `now` is the time of this turn of the loop.
typedef void dk_loop_timer_callback(void *argument, struct dk_mono now);
// Called once, when the transfer has ended; it is off the loop by then and still the caller's.
typedef void dk_loop_transfer_callback(void *argument, CURL *transfer, CURLcode result);

// *out is owned by the caller. Errors: MEMORY.
enum dk_err dk_loop_new(struct dk_loop **out, struct dk_fault *fault);
void dk_loop_free(struct dk_loop *loop); // NULL is fine; transfers must have been removed

// Watches a descriptor (at most 64) for `events` (POLLIN, POLLOUT). Watching it again replaces the entry.
// Errors: INTERNAL when full.
enum dk_err dk_loop_watch(struct dk_loop *loop, int fd, short events, dk_loop_fd_callback *callback,
                          void *argument);
void dk_loop_unwatch(struct dk_loop *loop, int fd);

// Calls back at `when` or as soon after as the loop gets there. One timer per `argument` (at most 64); setting it
// again moves it. Errors: INTERNAL when full.
enum dk_err dk_loop_set_timer(struct dk_loop *loop, struct dk_mono when, dk_loop_timer_callback *callback,
                              void *argument);
void dk_loop_clear_timer(struct dk_loop *loop, void *argument);

// Adds a transfer; CURLOPT_PRIVATE is used by the loop. Errors: MEMORY, INTERNAL.
enum dk_err dk_loop_add_transfer(struct dk_loop *loop, CURL *transfer, dk_loop_transfer_callback *callback,
                                 void *argument);
// Takes a transfer off without a callback; one that is not on the loop is fine. The connection is closed when the
// transfer was not finished.
void dk_loop_remove_transfer(struct dk_loop *loop, CURL *transfer);

// The sockets that transfers opened, because libcurl does not say which one a running transfer uses: found by the
// local port it does say (CURLINFO_LOCAL_PORT). At most 128; one more is simply not known.
void dk_loop_note_socket(struct dk_loop *loop, int fd);
void dk_loop_forget_socket(struct dk_loop *loop, int fd);
// The noted socket bound to `local_port`, or -1.
int dk_loop_find_socket(const struct dk_loop *loop, long local_port);

// One turn: waits until something is ready, a timer is due, or `deadline`, and calls back.
// Errors: IO when polling itself fails.
enum dk_err dk_loop_turn(struct dk_loop *loop, struct dk_mono deadline);
