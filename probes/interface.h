// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a network interface that was asked for.
#pragma once

#include "agent/base/terms.h"

#include <stdbool.h>
#include <stddef.h>

// True when nothing can be reached over `interface` with addresses of `family`: there is no such interface, it is down,
// or it has no address of the family that reaches beyond its link. Then `reason` (of `size` bytes) says which.
bool dk_interface_trouble(const char *interface, enum dk_family family, char *reason, size_t size);
