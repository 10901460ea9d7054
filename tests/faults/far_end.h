// SPDX-License-Identifier: Apache-2.0
//
// A collector to deliver to: the program that $DK_COLLECTOR names, on a free port of the loopback.
#pragma once

#include <stddef.h>

enum { FAR_END_URL_SIZE = 64, FAR_END_TOKEN_SIZE = 64 };

// Starts it with its key and its store in `folder`, and waits until it listens. End it with far_end_stop().
void far_end_start(const char *folder, char url[static FAR_END_URL_SIZE]);
void far_end_stop(void);
// A new token, whose device is approved.
void far_end_token(char out[static FAR_END_TOKEN_SIZE]);
