// SPDX-License-Identifier: Apache-2.0
//
// SQLite's calls of the system go through inject.h and disk.h: by its own interface for that, and fdatasync(), which
// that one leaves out, by its name. fdatasync() is only pretended, as fsync() is. The library is the installed one.
#pragma once

// Before SQLite is used for the first time. Also makes it allocate by our malloc().
void database_start(void);
