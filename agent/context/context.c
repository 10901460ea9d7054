// SPDX-License-Identifier: Apache-2.0
#include "agent/context/context.h"

#include "agent/context/parts.h"

void dk_context_gather(const char *server_address, const char *interface, enum dk_technology declared,
                       struct dk_context *out)
{
    // "auto" asks for the technology to be found out, which nothing here can do yet: it is not a declaration.
    *out = (struct dk_context){0};
    if (declared == DK_TECHNOLOGY_AUTO)
        declared = DK_TECHNOLOGY_UNKNOWN;
    dk_link_gather(server_address, interface, &out->link);
    out->link.technology = declared;
    out->link.technology_declared = declared;
    dk_clock_gather(&out->clock);
    dk_host_gather(&out->host);
}

void dk_context_gather_after(const char *server_address, const char *interface, struct dk_context *context)
{
    dk_link_gather(server_address, interface, &context->link_after);
    context->link_after.technology = context->link.technology;
    context->link_after.technology_declared = context->link.technology_declared;
    context->has_link_after = true;
}
