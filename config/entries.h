// SPDX-License-Identifier: Apache-2.0
//
// Options that are short lists of resolvers or of names, with commas between. For options.c.
#pragma once

// NULL, or what is wrong with `text` as at most DK_DNS_LIST_MAX of ADDRESS[:PORT]; "" is good.
const char *dk_entries_wrong_resolvers(const char *text);

// The same as host names (RFC 1123).
const char *dk_entries_wrong_names(const char *text);
