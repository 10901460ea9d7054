// SPDX-License-Identifier: Apache-2.0
//
// The parts of a record that are about the way to the server and about those who help to find it. Addresses on the
// user's side are cut to their networks. For record.c.
#pragma once

#include "probes/measurement.h"

#include <jansson.h>

// The members "dns" and "path", which the caller owns; NULL when memory is short. `local_address` is the device's own,
// "" when not known.
json_t *dk_way_dns(const struct dk_dns *dns, const char *local_address);
json_t *dk_way_path(const struct dk_way_found *path, const char *local_address);
