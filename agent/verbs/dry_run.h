// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/rules.h"
#include "config/settings.h"

// Says on stdout what a run would do: servers, seconds, bytes, checks, campaign, collector. Touches nothing.
void dk_dry_run_print(const struct dk_settings *settings, const struct dk_rules *rules);
