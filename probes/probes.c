// SPDX-License-Identifier: Apache-2.0
#include "probes/dns/dns.h"
#include "probes/http/http.h"
#include "probes/path/path.h"
#include "probes/ping/ping.h"
#include "probes/probe.h"
#include "probes/responsiveness/responsiveness.h"
#include "probes/stamp/stamp.h"
#include "probes/throughput/throughput.h"
#include "probes/word/word.h"

#include <stddef.h>
#include <string.h>

const struct dk_probe *const dk_probes[] = {
    &dk_probe_reach,        &dk_probe_gateway,        &dk_probe_dns,      &dk_probe_path,   &dk_probe_stamp,
    &dk_probe_icmp,         &dk_probe_tcp,            &dk_probe_http_latency, &dk_probe_download,
    &dk_probe_upload,       &dk_probe_responsiveness, &dk_probe_word,     NULL,
};

const struct dk_probe *dk_probe_find(const char *name)
{
    for (size_t i = 0; dk_probes[i] != NULL; i++)
        if (strcmp(dk_probes[i]->name, name) == 0)
            return dk_probes[i];
    return NULL;
}
