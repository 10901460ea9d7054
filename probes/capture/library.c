// SPDX-License-Identifier: Apache-2.0
#include "probes/capture/library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

static bool find(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
    return *(void **)function != NULL;
}

const struct dk_pcap *dk_pcap_library(void)
{
    static struct dk_pcap functions;
    static bool tried, loaded;
    // As Debian names it, and as others do.
    static const char *const names[] = {"libpcap.so.0.8", "libpcap.so.1"};
    void *library = NULL;

    for (size_t i = 0; !tried && library == NULL && i < sizeof names / sizeof names[0]; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    tried = true;
    if (library != NULL) {
        loaded = true;
#define X(name) loaded = loaded && find(library, "pcap_" #name, (void *)&functions.name);
        DK_PCAP_LIST(X)
#undef X
    }
    return loaded ? &functions : NULL;
}
