// SPDX-License-Identifier: Apache-2.0
//
// Lets the libraries' allocations fail as ours do (inject.h).
#pragma once

// Before anything of them is used: OpenSSL and jansson allocate by our malloc() from then on.
void memory_start(void);
// As strdup(), by our malloc().
char *memory_strdup(const char *text);
